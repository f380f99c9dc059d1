//! Opening a SQLite file: who may, in which version, with which settings.
//!
//! Every opener holds `<db>-lock` shared for as long as it lives; a migration holds it exclusively. Nothing here opens
//! the database by plain I/O while a connection of this process may hold locks on it: POSIX locks would be lost.

use super::wake::Wake;
use super::{Error, Result, SqliteOptions, error, patiently, sidecar, sidecar_file};
use crate::store::sql::MIGRATIONS;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{Access, FlockOperation, access, flock};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// "ERND": marks a SQLite file as ours.
const APPLICATION_ID: i32 = 0x4552_4e44;

/// What a WAL that was longer is cut down to, once it is begun anew.
const LOG_BYTES_KEPT: i64 = 64 << 20;

/// Between two tries for the sidecar's lock.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// A file that is open, with the lock that says so to others.
pub struct OpenFile {
    pub path: PathBuf,
    pub wake: Wake,
    options: SqliteOptions,
    lock: File,
    /// Device and inode.
    identity: (u64, u64),
}

/// Opens the file at `path` for as long as the result lives.
pub fn open(path: &Path, options: SqliteOptions) -> Result<OpenFile> {
    let path = absolute(path)?;
    on_one_machine(&path)?;
    make_if_missing(&path, options.create)?;
    allowed(&path)?;
    let identity = identity(&path)?;
    let connection = bare(&path, options)?;
    // What is refused is left as it was: nothing is put beside it before this.
    patient(options.busy_timeout, || version(&path, &connection))?;
    let wake = Wake::open(sidecar(&path, "-wake"))?;
    let lock = sidecar_file(&sidecar(&path, "-lock"))?;
    let file = OpenFile { path, wake, options, lock, identity };
    let name = file.path.display();
    file.lock(FlockOperation::NonBlockingLockShared, &format!("{name} is being migrated by another process"))?;
    let until = Instant::now() + options.busy_timeout;
    while patient(file.options.busy_timeout, || version(&file.path, &connection))? < MIGRATIONS.len() {
        // Another process may be at it: then it is done when the lock is free, or others share it already.
        if file.try_lock(FlockOperation::NonBlockingLockExclusive)? {
            patient(file.options.busy_timeout, || {
                settle(&connection, options.durable).map_err(|cause| unusable(&file.path, cause))
            })?;
            // Whoever looks at the version may hold the file for a moment, with no lock of the sidecar's.
            patient(file.options.busy_timeout, || migrate(&file.path, &connection))?;
        } else if Instant::now() >= until {
            return Err(Error::Busy(format!(
                "{name} has an older schema and is open in an older program: close that, then open again"
            )));
        } else {
            std::thread::sleep(LOCK_PAUSE);
        }
        file.lock(FlockOperation::NonBlockingLockShared, &format!("{name} is being migrated by another process"))?;
    }
    Ok(file)
}

impl OpenFile {
    /// How long to wait for other writers.
    pub fn busy_timeout(&self) -> Duration {
        self.options.busy_timeout
    }

    /// Whether the file is still where it was opened. Where it is not, what is written to it would be lost, and a
    /// new connection would be to another file.
    pub fn in_place(&self) -> Result<()> {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            return Ok(());
        }
        let path = self.path.display();
        Err(Error::Unavailable(format!("database {path} was removed or replaced while it was open: open it again")))
    }

    /// One more connection to the file.
    pub fn connect(&self) -> Result<Connection> {
        self.in_place()?;
        let connection = bare(&self.path, self.options)?;
        patient(self.options.busy_timeout, || {
            settle(&connection, self.options.durable).map_err(|cause| unusable(&self.path, cause))
        })?;
        if connection.is_readonly("main").map_err(error)? {
            return Err(Error::Unusable(format!("database {} is read-only: it must be writable", self.path.display())));
        }
        Ok(connection)
    }

    /// Takes the sidecar's lock, or says after `busy_timeout` what it waited for.
    fn lock(&self, operation: FlockOperation, waited_for: &str) -> Result<()> {
        let until = Instant::now() + self.options.busy_timeout;
        while !self.try_lock(operation)? {
            if Instant::now() >= until {
                return Err(Error::Busy(waited_for.into()));
            }
            std::thread::sleep(LOCK_PAUSE);
        }
        Ok(())
    }

    /// Takes the sidecar's lock if it is free. Where it is not, a lock that was held before may be lost.
    fn try_lock(&self, operation: FlockOperation) -> Result<bool> {
        match flock(&self.lock, operation) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(cause) => Err(Error::Unusable(format!("{} cannot be locked: {cause}", self.path.display()))),
        }
    }
}

/// A connection that has not looked at the file yet.
fn bare(path: &Path, options: SqliteOptions) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let opened = match options.vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs),
        None => Connection::open_with_flags(path, flags),
    };
    let mut connection = opened.map_err(|cause| unusable(path, cause))?;
    connection.busy_handler(Some(super::on_busy)).map_err(error)?;
    super::log::move_at_times(&mut connection).map_err(error)?;
    connection.set_prepared_statement_cache_capacity(256);
    Ok(connection)
}

/// Tries again while another process holds the file: SQLite does not wait by itself for all that opening needs.
pub(super) fn patient<T>(busy_timeout: Duration, mut work: impl FnMut() -> Result<T>) -> Result<T> {
    let until = Instant::now() + busy_timeout;
    loop {
        match patiently(busy_timeout, &mut work) {
            Err(Error::Busy(_)) if Instant::now() < until => std::thread::sleep(Duration::from_millis(2)),
            result => return result,
        }
    }
}

fn settle(connection: &Connection, durable: bool) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", if durable { "FULL" } else { "NORMAL" })?;
    connection.pragma_update(None, "fullfsync", durable)?;
    // One plan for a statement, whatever is bound to it: else SQLite prepares some of them anew for every call.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.pragma_update(None, "temp_store", "memory")
}

/// Refuses a place that other machines may write to.
#[cfg(target_os = "linux")]
pub(super) fn on_one_machine(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), |folder| super::filesystem::allowed(folder, path))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn on_one_machine(_path: &Path) -> Result<()> {
    Ok(())
}

/// The path of a database that is there, with its folder resolved.
pub(super) fn existing(path: &Path) -> Result<PathBuf> {
    let path = absolute(path)?;
    make_if_missing(&path, false)?;
    Ok(path)
}

/// The path with its folder resolved, so that one file has one name.
pub(super) fn absolute(path: &Path) -> Result<PathBuf> {
    let Some(name) = path.file_name() else {
        return Err(Error::Unusable(format!("\"{}\" is not the path of a file", path.display())));
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    let folder = folder.canonicalize().map_err(|cause| {
        let folder = folder.display();
        match cause.kind() {
            ErrorKind::NotFound => Error::Missing(format!("folder \"{folder}\" does not exist; make it first")),
            _ => Error::Unusable(format!("folder \"{folder}\" cannot be used: {cause}")),
        }
    })?;
    // A link to a database is that database.
    Ok(folder.join(name).canonicalize().unwrap_or_else(|_| folder.join(name)))
}

/// Device and inode: what a file is, whatever its name.
pub(super) fn identity(path: &Path) -> Result<(u64, u64)> {
    let found = path.metadata().map(|found| (found.dev(), found.ino()));
    found.map_err(|cause| Error::Unavailable(format!("database {} cannot be looked at: {cause}", path.display())))
}

fn make_if_missing(path: &Path, create: bool) -> Result<()> {
    match path.metadata() {
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => Err(Error::Unusable(format!("database {} is not a file", path.display()))),
        Err(cause) if cause.kind() == ErrorKind::NotFound && create => {
            match File::options().write(true).create_new(true).mode(0o600).open(path) {
                Ok(_) => Ok(()),
                Err(cause) if cause.kind() == ErrorKind::AlreadyExists => Ok(()),
                Err(cause) => Err(Error::Unusable(format!("database {} cannot be made: {cause}", path.display()))),
            }
        }
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            Err(Error::Missing(format!("database {} does not exist", path.display())))
        }
        Err(cause) => Err(Error::Unusable(format!("database {} cannot be used: {cause}", path.display()))),
    }
}

/// Refuses a file that may not be read and written. SQLite would open it for reading, and leave files of its own
/// beside it that are not its owner's.
fn allowed(path: &Path) -> Result<()> {
    for (needed, said) in [(Access::READ_OK, "cannot be read"), (Access::WRITE_OK, "is read-only: it must be writable")]
    {
        if let Err(cause) = access(path, needed) {
            return Err(Error::Unusable(format!("database {} {said} ({cause})", path.display())));
        }
    }
    Ok(())
}

pub(super) fn unusable(path: &Path, cause: rusqlite::Error) -> Error {
    let path = path.display();
    match error(cause) {
        Error::Unusable(text) => Error::Unusable(format!("database {path} cannot be used: {text}")),
        Error::Busy(_) => Error::Busy(format!("database {path} is busy: another process holds it")),
        Error::Unavailable(text) => Error::Unavailable(format!("database {path}: {text}")),
        Error::Corrupt(text) => Error::Corrupt(format!("database {path}: {text}")),
        other @ (Error::Missing(_) | Error::Unknown(_)) => other,
    }
}

/// The schema's version; 0 for an empty file. Refuses what is not ours or newer than us.
pub(super) fn version(path: &Path, connection: &Connection) -> Result<usize> {
    let read =
        |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i32>(0)).map_err(|cause| unusable(path, cause));
    let all = || {
        Ok((read("PRAGMA application_id")?, read("PRAGMA user_version")?, read("SELECT count(*) FROM sqlite_schema")?))
    };
    // Of one state: another process may be making the tables.
    connection.execute_batch("SAVEPOINT look").map_err(|cause| unusable(path, cause))?;
    let seen = all();
    connection.execute_batch("RELEASE look").map_err(|cause| unusable(path, cause))?;
    let (application_id, version, tables) = seen?;
    let empty = tables == 0;
    let path = path.display();
    if application_id != APPLICATION_ID && !(empty && application_id == 0) {
        return Err(Error::Unusable(format!("database {path} belongs to another program: name another file")));
    }
    match usize::try_from(version) {
        Ok(version) if version <= MIGRATIONS.len() => Ok(version),
        Ok(_) | Err(_) => Err(Error::Unusable(format!(
            "database {path} is from a newer version of Errand: its schema is {version}, this program knows up to {}",
            MIGRATIONS.len()
        ))),
    }
}

/// Brings the tables up to date, in one transaction.
fn migrate(path: &Path, connection: &Connection) -> Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE").map_err(|cause| unusable(path, cause))?;
    // The lock was waited for: another process may have done it meanwhile.
    let done = (|| {
        for (index, sql) in MIGRATIONS.iter().enumerate().skip(version(path, connection)?) {
            connection.execute_batch(sql).map_err(error)?;
            connection.pragma_update(None, "user_version", index as i64 + 1).map_err(error)?;
        }
        connection.pragma_update(None, "application_id", APPLICATION_ID).map_err(error)?;
        connection.execute_batch("COMMIT").map_err(error)
    })();
    if done.is_err() && !connection.is_autocommit() {
        // The first error is the one to tell.
        let _ = connection.execute_batch("ROLLBACK");
    }
    done
}
