//! The private folder of a worker: links to this program, and one directory for each job with its files.
//! It does not know what the files mean to a handler.

use super::job::Job;
use crate::value::json;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

/// The names under which handlers call this program.
pub const LINKS: [&str; 2] = ["errand", "breyta"];

const PREFIX: &str = "errand-worker-";

/// Locked as long as a worker or a handler of its lives. Absent in folders that are kept.
const LOCK: &str = "lock";

/// A folder that only this user can read, gone with its owner unless it is kept.
pub struct WorkerFolder {
    path: PathBuf,
    keep: bool,
    _alive: Option<File>,
}

impl WorkerFolder {
    /// Makes the folder in the system's place for temporary files, and the links to `program` in it.
    pub fn make(program: &Path, keep: bool) -> io::Result<WorkerFolder> {
        let place = std::path::absolute(std::env::temp_dir())?;
        remove_abandoned(&place);
        let path = place.join(format!("{PREFIX}{}", uuid::Uuid::new_v4().simple()));
        make_private(&path)?;
        let mut folder = WorkerFolder { path, keep, _alive: None };
        if !keep {
            folder._alive = Some(lock(&folder.path)?);
        }
        make_private(&folder.links())?;
        for name in LINKS {
            symlink(program, folder.links().join(name))?;
        }
        Ok(folder)
    }

    /// Where the links are: goes first on a handler's `PATH`.
    pub fn links(&self) -> PathBuf {
        self.path.join("bin")
    }

    /// Makes the directory of a job with its files.
    pub fn job(&self, job: &Job) -> io::Result<JobFolder> {
        let name = format!("job-{}", uuid::Uuid::new_v4().simple());
        let path = self.path.join(name);
        make_private(&path)?;
        let folder = JobFolder { path, keep: self.keep };
        write_private(&folder.job_file(), json::write_pretty(&job.whole).as_bytes())?;
        write_private(&folder.payload_file(), job.payload_json().as_bytes())?;
        let context = serde_json::json!({
            "jobId": job.id,
            "leaseToken": job.lease_token,
            "resultFile": folder.result_file().to_string_lossy(),
        });
        write_private(&folder.context_file(), context.to_string().as_bytes())?;
        Ok(folder)
    }
}

impl Drop for WorkerFolder {
    fn drop(&mut self) {
        // What is left behind is private and in the place for temporary files. Kept directories stay in it.
        let _ = std::fs::remove_dir_all(self.links());
        let _ = if self.keep { std::fs::remove_dir(&self.path) } else { std::fs::remove_dir_all(&self.path) };
    }
}

/// Makes the lock of a folder. It bears its name only once it is locked, so that nobody finds it free before.
fn lock(folder: &Path) -> io::Result<File> {
    let draft = folder.join(".lock");
    write_private(&draft, b"")?;
    let lock = File::open(&draft)?;
    lock.lock()?;
    // Handlers inherit it: one that outlives its worker still has its files.
    rustix::io::fcntl_setfd(&lock, rustix::io::FdFlags::empty())?;
    std::fs::rename(&draft, folder.join(LOCK))?;
    Ok(lock)
}

/// Removes the folders of workers that were killed, once their handlers are over too.
fn remove_abandoned(place: &Path) {
    let Ok(entries) = std::fs::read_dir(place) else { return };
    let ours = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    for folder in ours.map(|entry| entry.path()).filter(|path| is_own_folder(path)) {
        let free = File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if free {
            // Two workers that start at once may both be at it.
            let _ = std::fs::remove_dir_all(&folder);
        }
    }
}

/// Whether it is a folder itself, not a link to one, that this user made for itself alone.
fn is_own_folder(path: &Path) -> bool {
    let user = rustix::process::geteuid().as_raw();
    path.symlink_metadata().is_ok_and(|found| found.is_dir() && found.uid() == user && found.mode() & 0o077 == 0)
}

/// The directory of one job.
pub struct JobFolder {
    pub path: PathBuf,
    keep: bool,
}

impl JobFolder {
    /// A directory that a worker made, seen from a handler; it stays.
    pub fn existing(path: PathBuf) -> JobFolder {
        JobFolder { path, keep: true }
    }

    pub fn job_file(&self) -> PathBuf {
        self.path.join("job.json")
    }

    pub fn payload_file(&self) -> PathBuf {
        self.path.join("payload.json")
    }

    pub fn context_file(&self) -> PathBuf {
        self.path.join("worker-context.json")
    }

    pub fn result_file(&self) -> PathBuf {
        self.path.join("result.json")
    }

    /// Makes the helpers' reports wait until the result is dropped: what the worker says first is not to replace what
    /// a quick handler has said since.
    pub fn hold_reports(&self) -> io::Result<File> {
        let held = File::open(self.context_file())?;
        held.lock()?;
        Ok(held)
    }

    /// Waits until the worker lets helpers report, or is gone.
    pub fn await_turn(&self) -> io::Result<()> {
        File::open(self.context_file())?.lock_shared()
    }

    pub fn kept(&self) -> bool {
        self.keep
    }
}

impl Drop for JobFolder {
    fn drop(&mut self) {
        if !self.keep {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Writes a new file that only this user can read.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_whose_worker_and_handlers_are_gone_are_removed() {
        let place = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let path = place.path().join(format!("{PREFIX}{name}"));
            make_private(&path).unwrap();
            path
        };
        let (alive, dead, kept) = (folder("alive"), folder("dead"), folder("kept"));
        let lock_of_alive = lock(&alive).unwrap();
        drop(lock(&dead).unwrap());
        let other = place.path().join("other");
        make_private(&other).unwrap();
        drop(lock(&other).unwrap());
        remove_abandoned(place.path());
        assert_eq!([&alive, &dead, &kept, &other].map(|path| path.exists()), [true, false, true, true]);
        drop(lock_of_alive);
        remove_abandoned(place.path());
        assert!(!alive.exists());
    }
}
