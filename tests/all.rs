//! The Rust tests, one binary.

mod cli;
mod engine;
mod program;
mod scenarios;
mod support;
mod tidy;
mod worker;
