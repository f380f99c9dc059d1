//! The control plane over HTTP. It does not know what a command does.

mod client;

pub use client::{connect, is_url};
