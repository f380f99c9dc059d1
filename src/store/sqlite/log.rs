//! The write-ahead log of a file: how long it is, and making it short again.
//! SQLite empties it at a commit that finds everything moved into the file and nobody reading. Under constant load there
//! may be no such commit, and where readers overlap there is none; and while somebody reads an old state, nothing after
//! that can be moved at all.

use super::{Result, Sqlite, error, patiently, sidecar};
use rusqlite::Connection;
use rusqlite::hooks::Wal;
use std::ffi::c_int;
use std::time::{Duration, Instant};

/// How long commits and checkpoints may wait for readers that are about to end.
const READERS_TIME: Duration = Duration::from_millis(100);
/// Between two looks at whether they ended.
const PAUSE: Duration = Duration::from_millis(2);

/// Pages of the log after which a commit moves them into the file: 16 MiB. A page that many commits changed is moved
/// once, so fewer and larger moves are cheaper.
const CHECKPOINT_PAGES: c_int = 4_000;

impl Sqlite {
    pub(super) fn bytes_of_log(&self) -> u64 {
        // Where it is not there it has no bytes.
        sidecar(&self.file.path, "-wal").metadata().map_or(0, |found| found.len())
    }

    /// False where somebody reads a state that is older than the log's end.
    pub(super) fn empty_log(&self) -> Result<bool> {
        let connection = self.file.connect()?;
        let until = Instant::now() + READERS_TIME;
        if !move_pages(&connection, until)? {
            return Ok(false);
        }
        // Nobody writes meanwhile, and who begins to read finds all in the file: so those who read the log become none,
        // though others read at every moment.
        while let Log::Busy | Log::Moving { .. } = checkpoint(&connection, "TRUNCATE", READERS_TIME)? {
            if Instant::now() >= until {
                return Ok(false);
            }
            std::thread::sleep(PAUSE);
        }
        Ok(true)
    }
}

/// What a checkpoint left.
enum Log {
    /// Another connection is at it.
    Busy,
    Moving {
        pages: i64,
        moved: i64,
    },
    Moved,
}

/// Moves what can be moved; nobody waits for that. False where a state that was old at the beginning is still read: while
/// others write and read there is always something that cannot be moved yet, but not always the same.
fn move_pages(connection: &Connection, until: Instant) -> Result<bool> {
    let mut asked = None;
    loop {
        match checkpoint(connection, "PASSIVE", Duration::ZERO)? {
            Log::Moved => return Ok(true),
            Log::Moving { moved, .. } if asked.is_some_and(|asked| moved >= asked) => return Ok(true),
            Log::Moving { pages, .. } => asked = asked.or(Some(pages)),
            Log::Busy => {}
        }
        if Instant::now() >= until {
            return Ok(false);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Has commits of the connection move pages into the file, each time so many more are in the log. SQLite's own way is to
/// do that at every commit once there are so many, which is at every one for as long as readers overlap.
pub(super) fn move_at_times(connection: &mut Connection) -> rusqlite::Result<()> {
    let mut moved_at = 0;
    connection.wal_hook(Some(move |log: &mut Wal, pages: c_int| {
        // It was begun anew.
        if pages < moved_at {
            moved_at = 0;
        }
        if pages - moved_at >= CHECKPOINT_PAGES {
            moved_at = pages;
            // What cannot be moved now can be later; the commit stands.
            let _ = log.checkpoint();
        }
        Ok(())
    }))
}

fn checkpoint(connection: &Connection, mode: &str, timeout: Duration) -> Result<Log> {
    let read = |row: &rusqlite::Row| Ok((row.get::<_, bool>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    let (busy, pages, moved) = patiently(timeout, || connection.query_row(&sql, [], read)).map_err(error)?;
    Ok(match (busy, moved < pages) {
        (_, true) => Log::Moving { pages, moved },
        (true, false) => Log::Busy,
        (false, false) => Log::Moved,
    })
}
