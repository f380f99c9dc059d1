//! Copies of a whole store while others write: one state, whole or not there, in the place of another file only where
//! nobody has that open.
//!
//! `VACUUM INTO` reads in one transaction: writers neither wait for it nor make it begin anew, as they would a backup in
//! steps; and what it writes is one file without a log beside it.

use super::open::{absolute, identity, on_one_machine};
use super::reading::Reading;
use super::{Error, Result, error, sidecar, sidecar_file};
use crate::store::sql;
use rusqlite::Connection;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What may stand beside a database and belongs to it.
const BESIDE: [&str; 5] = ["-wal", "-shm", "-journal", "-lock", "-wake"];
/// After this an unfinished copy was left behind by a process that is gone.
const LEFT_BEHIND: Duration = Duration::from_secs(24 * 3600);

/// A finished copy that is not in its place yet; removed where it never comes there.
pub struct Copied {
    partial: PathBuf,
    target: PathBuf,
}

impl Reading {
    /// Writes the store as it is now into a private file beside `target`, durably. In the copy every lease counts as
    /// renewed at its next opening, whatever the host, and these facts about the store are others or none.
    pub fn copy(&self, target: &Path, facts: &[(&str, Option<&str>)]) -> Result<Copied> {
        let target = self.target(target)?;
        remove_left_behind(&target);
        let partial = sidecar(&target, &format!("-partial-{:08x}", std::process::id() ^ nanos()));
        let (from, to) = (self.path().display().to_string(), target.display().to_string());
        let failed = |cause: String| Error::Unavailable(format!("{from} cannot be copied to {to}: {cause}"));
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial);
        made.map_err(|cause| failed(cause.to_string()))?;
        let copied = Copied { partial, target };
        let name = copied.partial.to_str().ok_or_else(|| Error::Unusable("path of the copy is not text".into()))?;
        let written = self.waiting(|connection| connection.execute(sql::COPY_INTO, [name]).map(|_| ()));
        let settled = written.and_then(|()| make_another(&copied.partial, facts));
        settled.map_err(|cause| failed(cause.to_string()))?;
        let synced = File::open(&copied.partial).and_then(|file| file.sync_all());
        synced.map_err(|cause| failed(cause.to_string()))?;
        Ok(copied)
    }

    /// The absolute path of a copy; refuses the store itself and what belongs to it.
    fn target(&self, target: &Path) -> Result<PathBuf> {
        let target = absolute(target)?;
        let own = BESIDE.iter().any(|ending| sidecar(self.path(), ending) == target);
        let same = identity(&target).is_ok_and(|found| identity(self.path()).is_ok_and(|own| own == found));
        if own || same || target == self.path() {
            let (from, to) = (self.path().display(), target.display());
            return Err(Error::Unusable(format!("copy {to} would be written over {from} itself: name another file")));
        }
        if target.is_dir() {
            return Err(Error::Unusable(format!("copy {} is a folder: name a file in it", target.display())));
        }
        Ok(target)
    }
}

impl Copied {
    /// The copy, while it is not in its place.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Where it goes.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Puts the copy in its place, in that of another copy only with `replace`.
    pub fn place(self, replace: bool) -> Result<PathBuf> {
        let beside = ["-wal", "-shm", "-journal"].map(|ending| sidecar(&self.target, ending));
        // SQLite would take what stands there for a part of the copy.
        if let Some(other) = beside.iter().find(|path| path.exists()) {
            let (target, other) = (self.target.display(), other.display());
            return Err(Error::Unusable(format!("{target} is used as a store ({other} is there): name another file")));
        }
        let placed = if replace {
            std::fs::rename(&self.partial, &self.target)
        } else {
            match std::fs::hard_link(&self.partial, &self.target) {
                Ok(()) => std::fs::remove_file(&self.partial),
                // Where a file cannot have two names.
                Err(cause) if cause.kind() != ErrorKind::AlreadyExists && !self.target.exists() => {
                    std::fs::rename(&self.partial, &self.target)
                }
                Err(cause) => Err(cause),
            }
        };
        let placed = placed.and_then(|()| sync_folder(&self.target));
        match placed {
            Ok(()) => Ok(self.target.clone()),
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists => Err(exists(&self.target)),
            Err(cause) => Err(not_placed(&self.target, &cause)),
        }
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        for ending in ["", "-journal", "-wal", "-shm"] {
            // In its place it has no other name any more.
            let _ = std::fs::remove_file(sidecar(&self.partial, ending));
        }
    }
}

/// The place of a database that nobody has open, kept so.
pub struct Vacant {
    target: PathBuf,
    _lock: File,
}

impl Vacant {
    /// Takes the place at `target`; where a database is there already only with `replace`.
    pub fn take(target: &Path, replace: bool) -> Result<Vacant> {
        let target = absolute(target)?;
        on_one_machine(&target)?;
        if target.exists() && !replace {
            return Err(exists(&target));
        }
        let lock = sidecar_file(&sidecar(&target, "-lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Vacant { target, _lock: lock }),
            Err(_) => Err(Error::Busy(format!("database {} is open: close what uses it first", target.display()))),
        }
    }

    /// Puts a copy in the place. What was there is moved aside with its log, beside what was before; gives where it is.
    pub fn fill(self, copied: Copied) -> Result<Option<PathBuf>> {
        let aside = self.free_name();
        let failed = |cause: std::io::Error| not_placed(&self.target, &cause);
        // First the database: where this ends in the middle nothing stands in the place, and nothing is lost.
        let moved = move_if_there(&self.target, &aside).map_err(failed)?;
        for ending in ["-wal", "-journal"] {
            move_if_there(&sidecar(&self.target, ending), &sidecar(&aside, ending)).map_err(failed)?;
        }
        remove_if_there(&sidecar(&self.target, "-shm")).map_err(failed)?;
        sync_folder(&self.target).map_err(failed)?;
        copied.place(true)?;
        Ok(moved.then_some(aside))
    }

    /// A name at which neither a database is nor a log, which SQLite would take for a part of what comes there.
    fn free_name(&self) -> PathBuf {
        let ending = |number| if number == 1 { "-replaced".into() } else { format!("-replaced-{number}") };
        let is_free = |name: &PathBuf| ["", "-wal", "-journal"].iter().all(|end| !sidecar(name, end).exists());
        let mut names = (1..).map(|number| sidecar(&self.target, &ending(number)));
        names.find(is_free).unwrap_or_else(|| unreachable!("numbers do not end"))
    }
}

fn exists(target: &Path) -> Error {
    Error::Unusable(format!("{} exists already; with --force it is replaced", target.display()))
}

fn not_placed(target: &Path, cause: &std::io::Error) -> Error {
    Error::Unavailable(format!("{} cannot be put in its place: {cause}", target.display()))
}

fn move_if_there(from: &Path, to: &Path) -> std::io::Result<bool> {
    match std::fs::rename(from, to) {
        Ok(()) => Ok(true),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(cause),
    }
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn nanos() -> u32 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.subsec_nanos())
}

/// Changes what the copy knows of itself.
fn make_another(path: &Path, facts: &[(&str, Option<&str>)]) -> Result<()> {
    let changed = (|| {
        let copy = Connection::open(path)?;
        copy.pragma_update(None, "journal_mode", "memory")?;
        copy.execute(sql::FORGET_BOOT, [])?;
        facts.iter().try_for_each(|(name, value)| {
            let changed = match value {
                Some(value) => copy.execute(sql::PUT_META, [name, value]),
                None => copy.execute(sql::DELETE_META, [name]),
            };
            changed.map(|_| ())
        })
    })();
    changed.map_err(error)
}

/// Removes copies to the same place that were never finished, and are not under way.
fn remove_left_behind(target: &Path) {
    let Some((folder, name)) = target.parent().zip(target.file_name()) else { return };
    let prefix = format!("{}-partial-", name.to_string_lossy());
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let modified = entry.metadata().and_then(|found| found.modified()).ok();
        let age = modified.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        if entry.file_name().to_string_lossy().starts_with(&prefix) && age.is_some_and(|age| age > LEFT_BEHIND) {
            // The next copy tries again.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
