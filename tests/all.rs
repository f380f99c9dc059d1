//! The Rust tests, one binary.

mod cli;
mod engine;
mod program;
mod support;
mod tidy;
mod worker;
