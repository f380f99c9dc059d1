//! A connection that only reads, for looks at a whole store and for copies of it: it changes nothing and migrates nothing.
//! It shares the sidecar's lock with the openers of the store where there is one.

use super::open::{existing, patient, unusable, version};
use super::{Error, Result, error, on_busy, patiently, sidecar};
use crate::store::sql;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The schema that has files.
const FILES_SINCE: usize = 3;

/// A store that is read as a whole.
pub struct Reading {
    pub(super) connection: Connection,
    path: PathBuf,
    pub(super) schema: usize,
    busy_timeout: Duration,
    /// Held as openers do, so that nobody puts another file in its place; after the connection.
    _lock: Option<File>,
}

impl Reading {
    /// Opens a store that is there and ours.
    pub fn open(path: &Path, busy_timeout: Duration) -> Result<Reading> {
        let path = existing(path)?;
        let lock = patient(busy_timeout, || shared(&path))?;
        let flags =
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
        let mut connection = Connection::open_with_flags(&path, flags).map_err(|cause| unusable(&path, cause))?;
        connection.busy_handler(Some(on_busy)).map_err(error)?;
        patiently(busy_timeout, || settle(&connection)).map_err(|cause| unusable(&path, cause))?;
        let schema = patient(busy_timeout, || version(&path, &connection))?;
        if schema == 0 {
            return Err(Error::Unusable(format!(
                "database {} is empty: nothing was ever stored in it",
                path.display()
            )));
        }
        Ok(Reading { connection, path, schema, busy_timeout, _lock: lock })
    }

    /// The absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Files whose bytes came, beyond a hash and a number, in their order: number, hash, size.
    pub fn files(&self, after: (&str, i64), limit: i64) -> Result<Vec<(i64, String, i64)>> {
        if self.schema < FILES_SINCE {
            return Ok(Vec::new());
        }
        let read = |row: &Row| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        self.waiting(|connection| {
            let mut statement = connection.prepare_cached(sql::LIST_BYTES)?;
            statement.query_map(params![after.0, after.1, limit], read)?.collect()
        })
    }

    /// What is remembered under a name.
    pub fn meta(&self, name: &str) -> Result<Option<String>> {
        self.waiting(|connection| connection.query_row(sql::GET_META, [name], |row| row.get(0)).optional())
    }

    /// Runs `work` on one state of the store, whatever is written meanwhile.
    pub(super) fn held<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.waiting(|connection| connection.execute_batch("BEGIN"))?;
        let result = work(&self.connection);
        let ended = self.waiting(|connection| connection.execute_batch("ROLLBACK"));
        result.and_then(|value| ended.map(|()| value))
    }

    /// Runs `work`, waiting for who holds the file.
    pub(super) fn waiting<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        patiently(self.busy_timeout, || work(&self.connection)).map_err(|cause| unusable(&self.path, cause))
    }
}

/// What does not fit into the cache goes to a temporary file, so that memory is bounded.
fn settle(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.pragma_update(None, "temp_store", "file")
}

/// The sidecar's lock, as openers hold it; nothing where no opener ever made one.
fn shared(path: &Path) -> Result<Option<File>> {
    let name = sidecar(path, "-lock");
    match File::open(&name) {
        Ok(file) => match file.try_lock_shared() {
            Ok(()) => Ok(Some(file)),
            Err(_) => Err(Error::Busy(format!("{} is being migrated or replaced by another process", path.display()))),
        },
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Error::Unusable(format!("{} cannot be opened: {cause}", name.display()))),
    }
}
