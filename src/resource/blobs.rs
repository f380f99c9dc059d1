//! The bytes of files, by their SHA-256: in a folder beside the database, or in a bucket. What comes is written to a
//! private file first and hashed on the way, so nothing is held in memory and nothing half is ever found.
//! It does not know which resource has which bytes; who puts or removes bytes takes turns by a lock in the folder.

mod incoming;
mod owner;
mod removal;

#[cfg(test)]
mod tests;

pub use incoming::{Kept, Spool};
pub use owner::Owner;

use super::{Error, Result, bucket};
use crate::job::limits;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Name;
use object_store::{ObjectStore, ObjectStoreExt};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use tokio::runtime::Runtime;

/// Bytes that are moved at once.
const CHUNK: usize = 1 << 20;
/// File descriptors that a runtime opens at most when it is made; without them it panics.
const RUNTIME_FILES: usize = 8;

type SyncFolder = Box<dyn Fn(&Path) -> io::Result<()> + Send + Sync>;

/// Where bytes are kept.
pub struct Blobs {
    /// For private files and the lock; and for the bytes themselves where there is no bucket.
    folder: PathBuf,
    bucket: Option<String>,
    file_bytes_max: u64,
    /// Absent for a store that has no name yet.
    owner: Option<Owner>,
    /// Whether the place is known to be the owner's.
    owned: OnceLock<()>,
    opened: OnceLock<Opened>,
    /// Folders of which it is certain that they are found after a power loss.
    lasting: Mutex<HashSet<PathBuf>>,
    /// Makes what a folder names outlast a power loss.
    sync: SyncFolder,
}

struct Opened {
    store: Arc<dyn ObjectStore>,
    runtime: Runtime,
}

impl Blobs {
    /// Bytes in `folder`, or in the bucket of an `s3://` URL with `folder` for what is under way. Nothing is made yet.
    pub fn new(folder: PathBuf, bucket: Option<String>, owner: Option<Owner>) -> Blobs {
        Blobs {
            folder,
            bucket,
            file_bytes_max: limits::FILE_BYTES_MAX,
            owner,
            owned: OnceLock::new(),
            opened: OnceLock::new(),
            lasting: Mutex::default(),
            sync: Box::new(|folder| File::open(folder)?.sync_all()),
        }
    }

    fn opened(&self) -> Result<&Opened> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        make_folder(&self.folder)?;
        let store: Arc<dyn ObjectStore> = match &self.bucket {
            Some(url) => bucket::open(url)?,
            None => {
                let built = LocalFileSystem::new_with_prefix(&self.folder);
                let what = format!("folder \"{}\" cannot be used", self.folder.display());
                Arc::new(built.map_err(|error| failed(&what, error))?.with_fsync(true))
            }
        };
        let runtime = runtime().map_err(|error| failed("thread cannot be started", error))?;
        Ok(self.opened.get_or_init(|| Opened { store, runtime }))
    }

    /// What is wrong with the place of the bytes.
    fn failed(&self, what: &str, error: &object_store::Error) -> Error {
        match &self.bucket {
            Some(url) => failed(what, bucket::explained(url, error)),
            None => failed(what, error),
        }
    }

    /// Some of the bytes from `offset` on: at most `limit`, none at the end.
    pub fn read(&self, hash: &str, offset: u64, limit: u64) -> Result<Vec<u8>> {
        let (opened, name) = (self.opened()?, self.name(hash)?);
        let read = opened.runtime.block_on(opened.store.get_range(&name, offset..offset + limit));
        read.map(Vec::from).map_err(|error| match error {
            object_store::Error::NotFound { .. } => Error::Unavailable("bytes of the file are missing".into()),
            error => self.failed("bytes of the file cannot be read", &error),
        })
    }

    /// How many bytes there are of a hash; nothing where there are none.
    pub fn size(&self, hash: &str) -> Result<Option<u64>> {
        let name = self.name(hash)?;
        if self.bucket.is_none() && !self.folder.exists() {
            return Ok(None);
        }
        let opened = self.opened()?;
        match opened.runtime.block_on(opened.store.head(&name)) {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("bytes of a file cannot be looked at", &error)),
        }
    }

    /// Gives all the bytes of a hash, some at a time.
    pub fn read_all(&self, hash: &str, size: u64, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut offset = 0;
        while offset < size {
            let bytes = self.read(hash, offset, CHUNK as u64)?;
            if bytes.is_empty() {
                return Ok(());
            }
            take(&bytes)?;
            offset += bytes.len() as u64;
        }
        Ok(())
    }

    /// What the bytes that are kept under a hash have for a hash.
    pub fn digest(&self, hash: &str, size: u64) -> Result<String> {
        let mut digest = Sha256::new();
        self.read_all(hash, size, |bytes| {
            digest.update(bytes);
            Ok(())
        })?;
        Ok(hex(&digest.finalize()))
    }

    /// Lets no bytes be removed, by any process, while the result lives.
    pub fn hold(&self) -> Result<File> {
        let turn = self.turn()?;
        turn.lock_shared().map_err(|error| failed("lock of the files cannot be taken", error))?;
        Ok(turn)
    }

    /// Where the bytes are, for people.
    pub fn place(&self) -> String {
        self.bucket.clone().unwrap_or_else(|| self.folder.display().to_string())
    }

    /// Whether the bytes are in a bucket.
    pub fn is_bucket(&self) -> bool {
        self.bucket.is_some()
    }

    /// Whether there may be any bytes.
    pub fn exists(&self) -> bool {
        self.bucket.is_some() || self.folder.exists()
    }

    /// Gives every hash that there are bytes of, and how many.
    pub fn each(&self, mut take: impl FnMut(&str, u64) -> Result<()>) -> Result<()> {
        if !self.exists() {
            return Ok(());
        }
        let opened = self.opened()?;
        let mut found = opened.store.list(Some(&Name::from("sha256")));
        loop {
            let next = opened.runtime.block_on(std::future::poll_fn(|context| found.as_mut().poll_next(context)));
            let Some(object) = next else { return Ok(()) };
            let object = object.map_err(|error| self.failed("files cannot be listed", &error))?;
            if let Some(hash) = object.location.filename().filter(|hash| is_hash(hash)) {
                take(hash, object.size)?;
            }
        }
    }

    fn turn(&self) -> Result<File> {
        make_folder(&self.folder)?;
        let mut options = OpenOptions::new();
        let opened = options.write(true).create(true).truncate(false).mode(0o600).open(self.folder.join("lock"));
        opened.map_err(|error| failed("lock of the files cannot be opened", error))
    }

    fn name(&self, hash: &str) -> Result<Name> {
        match is_hash(hash) {
            true => Ok(Name::from(format!("sha256/{}/{hash}", &hash[..2]))),
            false => Err(crate::store::Error::Corrupt(format!("file has the hash \"{hash}\", which is none")).into()),
        }
    }
}

fn runtime() -> io::Result<Runtime> {
    super::spare_descriptors(RUNTIME_FILES)?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).thread_name("errand-files").enable_all().build()
}

fn make_folder(path: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            // A folder that others made readable is ours alone again.
            let mode = path.metadata().map(|found| found.permissions().mode());
            if mode.is_ok_and(|mode| mode & 0o077 != 0) {
                let _ = std::fs::set_permissions(path, Permissions::from_mode(0o700));
            }
            Ok(())
        }
        Err(error) => Err(failed(&format!("folder \"{}\" cannot be made", path.display()), error)),
    }
}

fn failed(what: &str, error: impl std::fmt::Display) -> Error {
    Error::Unavailable(format!("{what}: {error}"))
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
