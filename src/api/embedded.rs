//! The client of an engine in this process.
//! It does not open stores: `opened.rs` does; nor run commands: `host.rs` does.

use super::access::Caller;
use super::error::Error;
use super::field::Kind;
use super::files::Files;
use super::host::Host;
use super::opened::open_host;
use super::waiting::Whereabouts;
use super::{Answer, COMMANDS, Call, Client, Done, Place};
use crate::value::Value;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Told of background trouble and of what the engine does by itself, as `{:event :message}`. It must not block.
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
    /// How long to wait for other writers, and for programs that hold an older schema.
    pub busy_timeout_ms: u64,
    pub on_event: Option<EventSink>,
    /// A folder or an `s3://` URL for the bytes of files, remembered in the store; `<db>-files` where nobody said.
    pub resources: Option<String>,
    /// How long what has ended is kept in the workspace, remembered in the store; 30 days where nobody said.
    pub retention_ms: Option<i64>,
    pub retention_by_type: Option<Vec<(String, i64)>>,
    /// How often old jobs are looked for.
    pub prune_every_ms: u64,
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions {
            workspace: "default".into(),
            durable: true,
            create: true,
            fallback_poll_ms: Some(1_000),
            busy_timeout_ms: 30_000,
            on_event: None,
            resources: None,
            retention_ms: None,
            retention_by_type: None,
            prune_every_ms: 60_000,
        }
    }
}

/// What the caller's own data stands under, in arguments: decoders keep it as text.
pub fn open_fields() -> &'static [&'static str] {
    static OPEN: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
        let fields = COMMANDS.iter().flat_map(|command| command.fields);
        let kept =
            |kind| matches!(kind, Kind::Open(_) | Kind::Artifacts | Kind::Labels(_) | Kind::Rows(_) | Kind::Keeps);
        let mut names: Vec<_> = fields.filter(|field| kept(field.kind)).map(|field| field.name).collect();
        names.sort_unstable();
        names.dedup();
        names
    });
    &OPEN
}

/// Opens the store at `path`; two clients of one file in one process share one engine.
pub fn open(path: &Path, options: OpenOptions) -> Result<Arc<dyn Client>, Error> {
    let host = open_host(path, &options)?;
    let place = Place::Store(host.path().to_path_buf());
    let whereabouts = Arc::new(Whereabouts { place, workspace: options.workspace.clone() });
    Ok(Arc::new(Embedded { host, whereabouts, caller: Caller::local(options.workspace) }))
}

/// A client that speaks for one workspace and may do everything in it.
struct Embedded {
    host: Arc<Host>,
    whereabouts: Arc<Whereabouts>,
    caller: Caller,
}

impl Client for Embedded {
    fn call(&self, call: Call, done: Done) -> Answer {
        self.call_within(call, Duration::ZERO, done)
    }

    fn call_within(&self, call: Call, patience: Duration, done: Done) -> Answer {
        let whereabouts = Arc::clone(&self.whereabouts);
        let done = Box::new(move |reply| done(whereabouts.named(reply)));
        match self.host.call_within(&self.caller, call, patience, done) {
            Answer::Now(reply) => Answer::Now(self.whereabouts.named(reply)),
            later @ Answer::Later(_) => later,
        }
    }

    fn place(&self) -> &Place {
        &self.whereabouts.place
    }

    fn workspace(&self) -> &str {
        &self.caller.workspace
    }

    fn files(&self) -> Result<Arc<dyn Files>, Error> {
        Ok(Arc::new(self.host.files(&self.caller.workspace)?))
    }

    fn close(&self) {
        self.host.close();
    }

    fn host(&self) -> Option<Arc<Host>> {
        self.host.share().map(Arc::new)
    }
}
