//! The write-ahead log of a file: how long it is, and making it short again.
//! SQLite empties it at a commit that finds everything moved into the file and nobody reading. Under constant load there
//! may be no such commit; and while somebody reads an old state, nothing after that can be moved at all.

use super::{Result, Sqlite, error, patiently, sidecar};
use rusqlite::Connection;
use std::time::Duration;

/// How long commits and checkpoints may wait for readers that are about to end.
const READERS_TIME: Duration = Duration::from_millis(100);

impl Sqlite {
    pub(super) fn bytes_of_log(&self) -> u64 {
        // Where it is not there it has no bytes.
        sidecar(&self.file.path, "-wal").metadata().map_or(0, |found| found.len())
    }

    /// False where somebody reads a state that is older than the log's end.
    pub(super) fn empty_log(&self) -> Result<bool> {
        let connection = self.file.connect()?;
        // Nobody waits for this one, and it moves what can be moved.
        let (_, pages, moved) = checkpoint(&connection, "PASSIVE", Duration::ZERO)?;
        if moved < pages {
            return Ok(false);
        }
        let (busy, ..) = checkpoint(&connection, "TRUNCATE", READERS_TIME)?;
        Ok(!busy)
    }
}

fn checkpoint(connection: &Connection, mode: &str, timeout: Duration) -> Result<(bool, i64, i64)> {
    let read = |row: &rusqlite::Row| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    patiently(timeout, || connection.query_row(&sql, [], read)).map_err(error)
}
