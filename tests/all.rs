//! The Rust tests, one binary.

mod support;

mod engine;
