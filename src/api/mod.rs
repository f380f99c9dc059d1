//! What can be asked: one table of commands with their fields, the errors, and the client through which every
//! surface asks. It does not know HTTP, JNI or argv.

mod access;
mod accounts;
mod args;
mod ask;
mod backup;
mod check;
mod checked;
mod command;
mod crash;
mod duration;
mod embedded;
mod error;
mod field;
mod files;
mod host;
mod jobs;
mod opened;
mod operation;
mod options;
mod remembered;
mod resources;
mod run;
mod shown;
mod spelling;
mod step;
mod sweep;
pub mod trip;
mod view;
mod waiting;

pub use access::{Access, Caller, SCOPES, Scope};
pub use args::Args;
pub use ask::ask;
pub use backup::{BackupOptions, BytesTo, RestoreOptions, backup, restore};
pub use check::{CheckOptions, Report, check};
pub use checked::{Checked, Waits, checked, reply_data};
pub use command::{COMMANDS, Command, command};
pub use crash::{panic_text, panicked};
pub use duration::{duration_ms, duration_text};
pub use embedded::{EventSink, OpenOptions, open, open_fields};
pub use error::{CODES, Code, CodeRow, Error};
pub use field::{Field, Kind};
pub use files::{Begun, Bytes, FileReader, Files, Link, LocalFiles, NewFile, Upstream, content_type, uploaded};
pub use host::Host;
pub use opened::open_host;
pub use options::RemoteOptions;
pub use shown::shown;
pub use spelling::{Names, nearest};
pub use step::{STEP_OPS, StepOp, step, step_within};
pub use waiting::{Waiting, Whereabouts};

use crate::value::Value;
use std::sync::Arc;
use std::time::Duration;

pub use crate::engine::{new_secret, same_secret};
pub use crate::resource::spare_descriptors;

/// The key under which a reply shows a secret, once.
const SECRET: &str = "secret";

/// A command's data, as a map whose keys are kebab-case keywords, or why not.
pub type Reply = Result<Value, Error>;

/// Told the reply once, from a thread of the client's: it must not block.
pub type Done = Box<dyn FnOnce(Reply) + Send>;

/// One command to run: its row of the table, its arguments as a map, and the names that the caller uses for them.
#[derive(Clone)]
pub struct Call {
    pub command: &'static Command,
    pub args: Value,
    pub names: Names,
}

/// What `Client::call` gave at once.
pub enum Answer {
    /// The reply; `done` was dropped.
    Now(Reply),
    /// `done` will be called once, unless the call is forgotten first. Dropping this changes nothing.
    Later(Pending),
}

/// A call under way that can be given up. The command may still take effect; its reply is then dropped.
pub struct Pending(pub Box<dyn FnOnce() + Send>);

impl Pending {
    pub fn forget(self) {
        (self.0)()
    }
}

/// Local or remote is one choice: an embedded engine, or a control plane. The same commands, the same answers.
pub trait Client: Send + Sync {
    /// Runs a command without waiting: answers at once where nothing has to be waited for, else through `done`.
    fn call(&self, call: Call, done: Done) -> Answer;

    /// As `call`, but waits on this thread, for as long as `patience`, for what has only to be made durable: that is
    /// cheaper than being told by another thread.
    fn call_within(&self, call: Call, _patience: Duration, done: Done) -> Answer {
        self.call(call, done)
    }

    /// Where the jobs are, for people and for handlers: an absolute path or a URL.
    fn place(&self) -> &Place;

    /// The workspace that this client speaks for.
    fn workspace(&self) -> &str;

    /// The bytes of files, where this client can move them.
    fn files(&self) -> Result<Arc<dyn Files>, Error> {
        Err(Error::new(Code::InvalidArgument, "files cannot be moved here; allowed: a store or a control plane"))
    }

    /// Ends every pending call with `closed` and lets go of the store. Later calls get `closed`. Idempotent.
    fn close(&self);

    /// A handle to the engine behind this client, for other callers; nothing where that is elsewhere.
    fn host(&self) -> Option<std::sync::Arc<Host>> {
        None
    }
}

/// Where a client's jobs live.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    Store(std::path::PathBuf),
    Url(String),
}
