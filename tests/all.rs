//! The Rust tests, one binary.

mod cli;
mod engine;
mod oracle;
mod program;
mod promises;
mod support;
mod tidy;
mod worker;
