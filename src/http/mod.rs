//! The control plane over HTTP: one engine behind keys, for programs on other machines and in other languages.
//! It does not know what a command does: it decodes, calls and encodes.

mod client;
mod commands;
mod connections;
mod files;
mod form;
mod gate;
mod health;
mod log;
mod metrics;
mod options;
mod pace;
mod resources;
mod server;
mod serving;
mod tls;
mod waiting;

pub use client::{connect, is_url, without_secret};
pub use gate::Doors;
pub use options::ServeOptions;
pub use server::{BODY_BYTES_MAX, routes};
pub use serving::Server;
pub use tls::TlsFiles;
