//! The client of an engine in this process.

use super::{Client, Error};
use crate::value::Value;
use std::path::Path;
use std::sync::Arc;

/// Told of background trouble and of what the engine does by itself, as a map with `:event`. It must not block.
pub type EventSink = Arc<dyn Fn(Value) + Send + Sync>;

/// How a store is opened. `from_value` reads the same by name from a map, with errors for what it does not know.
#[derive(Clone)]
pub struct OpenOptions {
    pub workspace: String,
    /// `FULL` where true (the default), else `NORMAL`: the last commits may be lost on power loss.
    pub durable: bool,
    /// Make the file where it is missing; else a missing file is `not-found`.
    pub create: bool,
    /// How often other processes' commits are looked for besides being woken; nothing switches it off.
    pub fallback_poll_ms: Option<u64>,
    pub on_event: Option<EventSink>,
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions {
            workspace: "default".into(),
            durable: true,
            create: true,
            fallback_poll_ms: Some(1000),
            on_event: None,
        }
    }
}

impl OpenOptions {
    /// Reads `{:workspace :sync :create? :fallback-poll}`: `:sync` is "full" or "normal", `:fallback-poll` a duration
    /// or `false`.
    pub fn from_value(_options: &Value) -> Result<OpenOptions, Error> {
        todo!()
    }
}

/// Opens the store at `path`; two clients of one file in one process share one engine.
pub fn open(_path: &Path, _options: OpenOptions) -> Result<Arc<dyn Client>, Error> {
    todo!()
}
