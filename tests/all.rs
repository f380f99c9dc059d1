//! The Rust tests, one binary.

mod cli;
mod engine;
mod fuzz;
mod http;
mod operations;
mod oracle;
mod program;
mod promises;
mod readme;
mod remote;
mod resource;
mod scenarios;
mod storm;
mod support;
mod tidy;
mod worker;
