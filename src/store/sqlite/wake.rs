//! News between those who share one file: `<db>-wake` is written after a commit that matters to others, and watched by
//! those who wait. Who watches holds a lock of it, so that nothing is written where nobody does.
//! It does not know what the news are.

use super::{Error, Result, sidecar_file};
use notify::{EventKind, RecursiveMode, Watcher};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The sidecar of one opener.
pub struct Wake {
    path: PathBuf,
    file: File,
}

impl Wake {
    pub fn open(path: PathBuf) -> Result<Wake> {
        let file = sidecar_file(&path)?;
        Ok(Wake { path, file })
    }

    /// Calls `on_change` after others have written, for as long as the result lives.
    pub fn watch(&self, on_change: Box<dyn Fn() + Send + Sync>) -> Result<Box<dyn Send + Sync>> {
        // Before the first look at what was committed: who commits and sees no lock did so before that look.
        lock::take(&self.file).map_err(|cause| self.failed("locked", cause))?;
        let handler = move |event: notify::Result<notify::Event>| match event {
            Ok(event) if matches!(event.kind, EventKind::Access(_)) => {}
            Ok(_) | Err(_) => on_change(),
        };
        let failed = |cause: notify::Error| self.failed("watched", cause);
        let mut watcher = notify::recommended_watcher(handler).map_err(failed)?;
        watcher.watch(&self.path, RecursiveMode::NonRecursive).map_err(failed)?;
        Ok(Box::new(watcher))
    }

    /// Wakes the others who watch, where there are any; called after a commit.
    pub fn announce(&self) -> Result<()> {
        if !lock::is_taken_by_another(&self.file) {
            return Ok(());
        }
        self.file.write_at(b"!", 0).map(|_| ()).map_err(|cause| self.failed("written", cause))
    }

    fn failed(&self, what: &str, cause: impl std::fmt::Display) -> Error {
        let path: &Path = &self.path;
        Error::Unavailable(format!("{} cannot be {what}: {cause}", path.display()))
    }
}

/// Locks of one open file: two openers in one process are two, as in two processes.
#[cfg(target_os = "linux")]
mod lock {
    use nix::fcntl::{FcntlArg, fcntl};
    use nix::libc;
    use std::fs::File;

    fn of(kind: libc::c_int) -> libc::flock {
        let (l_type, l_whence) = (kind as libc::c_short, libc::SEEK_SET as libc::c_short);
        libc::flock { l_type, l_whence, l_start: 0, l_len: 0, l_pid: 0 }
    }

    /// Shared, until the file is closed.
    pub fn take(file: &File) -> nix::Result<()> {
        fcntl(file, FcntlArg::F_OFD_SETLK(&of(libc::F_RDLCK))).map(drop)
    }

    /// Also where it cannot be known.
    pub fn is_taken_by_another(file: &File) -> bool {
        let mut found = of(libc::F_WRLCK);
        let known = fcntl(file, FcntlArg::F_OFD_GETLK(&mut found));
        known.is_err() || libc::c_int::from(found.l_type) != libc::F_UNLCK
    }
}

/// Elsewhere there are no such locks: all that matters is written.
#[cfg(not(target_os = "linux"))]
mod lock {
    use std::fs::File;

    pub fn take(_file: &File) -> std::io::Result<()> {
        Ok(())
    }

    pub fn is_taken_by_another(_file: &File) -> bool {
        true
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_else_watches_is_not_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("jobs.db-wake");
        let written = || std::fs::read(&path).expect("it is there").len();
        let [one, other, third] = [(); 3].map(|()| Wake::open(path.clone()).expect("it opens"));
        let _own = one.watch(Box::new(|| {})).expect("it is watched");
        one.announce().expect("it is written");
        assert_eq!(written(), 0, "its own watch does not count");
        other.announce().expect("it is written");
        assert_eq!(written(), 1, "another's does");
        drop(one);
        std::fs::write(&path, "").expect("it is emptied");
        third.announce().expect("it is written");
        assert_eq!(written(), 0, "who is gone watches no longer");
    }
}
