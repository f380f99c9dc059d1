//! The Rust tests, one binary.

mod cli;
mod program;
mod worker;
