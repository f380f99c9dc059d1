//! The private folder of a worker: links to this program, and one directory for each job with its files.
//! It does not know what the files mean to a handler.

use super::job::Job;
use crate::value::json;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

/// The names under which handlers call this program.
pub const LINKS: [&str; 2] = ["errand", "breyta"];

/// A folder that only this user can read, gone with its owner unless it is kept.
pub struct WorkerFolder {
    path: PathBuf,
    keep: bool,
}

impl WorkerFolder {
    /// Makes the folder in the system's place for temporary files, and the links to `program` in it.
    pub fn make(program: &Path, keep: bool) -> io::Result<WorkerFolder> {
        let path = std::env::temp_dir().join(format!("errand-worker-{}", uuid::Uuid::new_v4().simple()));
        let path = std::path::absolute(path)?;
        make_private(&path)?;
        let folder = WorkerFolder { path, keep };
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
