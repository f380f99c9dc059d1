//! The Rust tests, one binary.

mod engine;
mod support;
mod tidy;
