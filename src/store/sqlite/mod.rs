//! SQLite as a store: connections, locks between writers, and news between processes that share one file.
//! It does not know which change is legal.

mod access;
mod check;
mod copy;
#[cfg(target_os = "linux")]
mod filesystem;
mod lists;
mod log;
mod open;
mod prune;
mod reading;
mod resources;
mod session;
mod statements;
mod wake;

pub use check::{broken_laws, laws};
pub use copy::{Copied, Vacant};
pub use reading::Reading;

use super::{Error, Result, Rows, Store, Tx};
use rusqlite::{Connection, ErrorCode};
use rustix::io::Errno;
use session::Session;
use std::cell::Cell;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// `synchronous=FULL` where true; `NORMAL` may lose the last commits on power loss.
    pub durable: bool,
    /// Make the file where it is missing.
    pub create: bool,
    /// How long to wait for other writers, migrations and older openers.
    pub busy_timeout: Duration,
    /// The VFS of SQLite's to go through; the operating system's own where absent.
    pub vfs: Option<&'static str>,
}

/// One SQLite file, open in this process.
pub struct Sqlite {
    file: Arc<open::OpenFile>,
}

/// The version of the bundled SQLite.
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

impl Sqlite {
    /// Opens the file, makes or migrates its tables where that is due.
    pub fn open(path: &Path, options: SqliteOptions) -> Result<Sqlite> {
        Ok(Sqlite { file: Arc::new(open::open(path, options)?) })
    }

    /// The absolute path.
    pub fn path(&self) -> &Path {
        &self.file.path
    }
}

impl Store for Sqlite {
    fn writer(&self) -> Result<Box<dyn Tx + Send>> {
        Ok(Box::new(Session::new(self.file.connect()?, self.file.clone())))
    }

    fn reader(&self) -> Result<Box<dyn Rows + Send>> {
        Ok(Box::new(Session::new(self.file.connect()?, self.file.clone())))
    }

    fn watch(&self, on_change: Box<dyn Fn() + Send + Sync>) -> Result<Box<dyn Send + Sync>> {
        self.file.wake.watch(on_change)
    }

    fn log_bytes(&self) -> u64 {
        self.bytes_of_log()
    }

    fn shorten_log(&self) -> Result<bool> {
        self.empty_log()
    }

    fn announce(&self) -> Result<()> {
        self.file.wake.announce()
    }
}

thread_local! {
    /// Until when the busy handler may wait on this thread.
    static WAIT_UNTIL: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Waits 50 µs to 2 ms for another writer, until the thread's bound.
fn on_busy(count: i32) -> bool {
    let Some(until) = WAIT_UNTIL.get() else { return false };
    if Instant::now() >= until {
        return false;
    }
    let longest = 50u64 << count.clamp(0, 6);
    let mut random = [0; 2];
    // Without randomness all wait alike, which is only slower.
    let _ = getrandom::fill(&mut random);
    std::thread::sleep(Duration::from_micros((50 + u64::from(u16::from_le_bytes(random)) % longest).min(2_000)));
    true
}

/// Runs `work` with the busy handler waiting for at most `timeout`; not at all where that is zero.
fn patiently<T>(timeout: Duration, work: impl FnOnce() -> T) -> T {
    let before = WAIT_UNTIL.replace((!timeout.is_zero()).then(|| Instant::now() + timeout));
    let result = work();
    WAIT_UNTIL.set(before);
    result
}

/// Sidecars stand beside the database: `jobs.db-lock`, `jobs.db-wake`.
fn sidecar(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(ending);
    PathBuf::from(name)
}

fn sidecar_file(path: &Path) -> Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let failed = |cause| {
        format!(
            "database needs the file {}, in a folder that is writable: it cannot be opened: {cause}",
            path.display()
        )
    };
    options.open(path).map_err(|cause| Error::Unusable(failed(cause)))
}

/// What an error of SQLite's means to us.
fn error(error: rusqlite::Error) -> Error {
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::Busy("store is busy: another process writes".into())
        }
        Some(ErrorCode::NotADatabase) => Error::Unusable(text),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            Error::Unusable(format!("store cannot be written: {text}"))
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch) => {
            Error::Corrupt(text)
        }
        Some(ErrorCode::CannotOpen) if no_descriptor_is_free() => Error::Unavailable(
            "store cannot be opened: no file descriptor is free; allow more, as with 'ulimit -n 1024'".into(),
        ),
        Some(_) => Error::Unavailable(format!("store failed: {text}")),
        None => Error::Corrupt(format!("store holds what it should not: {text}")),
    }
}

/// Why SQLite cannot open a file is known to the operating system only.
fn no_descriptor_is_free() -> bool {
    let opened = File::open("/dev/null").map_err(|cause| cause.raw_os_error());
    [Errno::MFILE, Errno::NFILE].iter().any(|none| opened.as_ref().err() == Some(&Some(none.raw_os_error())))
}

fn execute(connection: &Connection, sql: &str) -> Result<()> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.raw_execute()).map(|_| ()).map_err(error)
}
