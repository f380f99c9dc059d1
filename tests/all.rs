//! The Rust tests, one binary.

mod tidy;
