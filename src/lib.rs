//! Errand: a durable job engine that lives inside your program.
//!
//! Modules in reading order; each may name only those above it (`tests/tidy.rs` holds this).
//!
//! - `value`   EDN values; text, binary form, JSON
//! - `job`     the rules: states, batches, retries, waits, limits; pure
//! - `store`   rows in, rows out; SQLite
//! - `engine`  read → decide → write; group commit, wake-ups, upkeep
//! - `resource` what jobs produce: files, values under keys, tables; bytes by content hash
//! - `api`     the table of commands, errors, the client
//! - `http`    the control plane: server, keys, long polls; its client
//! - `worker`  claim loop, handler process, job directory, helpers
//! - `cli`     argv → command; output for people and for pipes
//! - `jvm`     the boundary to Java

pub mod api;
pub mod cli;
pub mod engine;
pub mod http;
pub mod job;
pub mod jvm;
pub mod resource;
pub mod store;
pub mod value;
pub mod worker;
