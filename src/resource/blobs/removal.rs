//! Bytes that go: those that no resource has any more, and what crashes left behind.
//! It does not know who has them: it asks, while nobody can put any.

use super::Blobs;
use crate::resource::Result;
use object_store::ObjectStoreExt;
use std::fs::File;
use std::time::{Duration, SystemTime};

/// A private file of nobody's that is younger may just have been made, and is not yet locked.
pub const PRIVATE_AGE: Duration = Duration::from_secs(60);
/// Bytes without an owner that are removed while nobody may put any.
const ORPHANS: usize = 100;

impl Blobs {
    /// Removes the bytes of every hash that `is_used` says no to; nothing where somebody puts bytes just now.
    /// Gives those that are gone.
    pub fn remove(&self, hashes: &[String], mut is_used: impl FnMut(&str) -> Result<bool>) -> Result<Vec<String>> {
        if !self.exists() {
            return Ok(hashes.to_vec());
        }
        let turn = self.turn()?;
        if turn.try_lock().is_err() {
            return Ok(Vec::new());
        }
        self.own_still()?;
        let opened = self.opened()?;
        let mut gone = Vec::new();
        for hash in hashes {
            if !is_used(hash)? {
                match opened.runtime.block_on(opened.store.delete(&self.name(hash)?)) {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(self.failed("bytes of a file cannot be removed", &error)),
                }
            }
            gone.push(hash.clone());
        }
        Ok(gone)
    }

    /// Removes what crashes left behind: private files of processes that are gone, and bytes that no resource has.
    /// Gives how many bytes were; nothing where somebody puts bytes just now, and it is to be tried again.
    pub fn remove_orphans(&self, mut is_used: impl FnMut(&str) -> Result<bool>) -> Result<Option<usize>> {
        if !self.folder.exists() {
            return Ok(Some(0));
        }
        self.remove_private_files();
        // Nobody who puts bytes waits while all of them are looked at: those that seem to be nobody's are looked at again.
        let mut orphans = Vec::new();
        self.each(|hash, _| {
            if !is_used(hash)? {
                orphans.push(hash.to_owned());
            }
            Ok(())
        })?;
        let mut removed = 0;
        for some in orphans.chunks(ORPHANS) {
            match self.remove(some, &mut is_used)?.len() {
                0 => return Ok(None),
                gone => removed += gone,
            }
        }
        Ok(Some(removed))
    }

    fn remove_private_files(&self) {
        let Ok(entries) = std::fs::read_dir(self.folder.join("tmp")) else { return };
        for entry in entries.flatten() {
            let modified = entry.metadata().and_then(|found| found.modified());
            let age = modified.ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
            let is_left = || File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
            if age.is_some_and(|age| age > PRIVATE_AGE) && is_left() {
                // The next round tries again.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}
