//! Bytes that come: written to a private file and hashed on the way, then put in their place.
//! It does not know for which resource they come.

use super::{Blobs, CHUNK, failed, hex, make_folder};
use crate::resource::{Error, Result, media};
use object_store::{ObjectStoreExt, WriteMultipart};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

/// Parts of one upload to a bucket that are under way at once.
const PARTS: usize = 4;

/// Bytes that come, in a private file that goes with this.
pub struct Spool {
    pub(super) path: PathBuf,
    file: File,
    hash: Sha256,
    size: u64,
    max: u64,
    head: Vec<u8>,
}

impl Spool {
    /// Adds bytes; more than a file may have are refused.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.size += bytes.len() as u64;
        let max = self.max;
        if self.size > max {
            return Err(Error::TooLarge(format!("file has more than {max} bytes; at most {max} are allowed")));
        }
        self.hash.update(bytes);
        let room = media::HEAD_BYTES - self.head.len();
        self.head.extend(&bytes[..bytes.len().min(room)]);
        self.file.write_all(bytes).map_err(|error| failed("upload cannot be written", error))
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // After its bytes are in their place there is nothing to remove.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Bytes in their place.
pub struct Kept {
    pub hash: String,
    pub size: u64,
    /// The first of them.
    pub head: Vec<u8>,
    _turn: File,
}

impl Blobs {
    /// A private file for bytes that come.
    pub fn spool(&self) -> Result<Spool> {
        let folder = self.folder.join("tmp");
        make_folder(&self.folder)?;
        make_folder(&folder)?;
        let path = folder.join(uuid::Uuid::new_v4().simple().to_string());
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|error| failed("file for an upload cannot be made", error))?;
        // For as long as this process lives: by that others know what is left behind.
        file.lock_shared().map_err(|error| failed("file for an upload cannot be locked", error))?;
        Ok(Spool { path, file, hash: Sha256::new(), size: 0, max: self.file_bytes_max, head: Vec::new() })
    }

    /// Puts bytes in their place. They stay there at least as long as the result lives: by then a resource has them.
    pub fn keep(&self, spool: Spool) -> Result<Kept> {
        self.own()?;
        let size = spool.size;
        let turn = self.hold()?;
        let hash = hex(&spool.hash.clone().finalize());
        spool.file.sync_all().map_err(|error| failed("upload cannot be written", error))?;
        match self.bucket {
            Some(_) => self.send(&spool.path, &hash)?,
            None => self.put(&spool.path, &hash)?,
        }
        let head = spool.head.clone();
        Ok(Kept { hash, size, head, _turn: turn })
    }

    /// Renames a private file to its place.
    fn put(&self, path: &Path, hash: &str) -> Result<()> {
        let to = self.folder.join(self.name(hash)?.as_ref());
        let folder = to.parent().unwrap_or(&self.folder);
        self.make_lasting(&self.folder)?;
        self.make_lasting(&self.folder.join("sha256"))?;
        self.make_lasting(folder)?;
        let placed = std::fs::rename(path, &to).and_then(|()| (self.sync)(folder));
        placed.map_err(|error| failed("upload cannot be put in its place", error))
    }

    /// Makes a folder that is found after a power loss too.
    fn make_lasting(&self, folder: &Path) -> Result<()> {
        make_folder(folder)?;
        let lasting = || self.lasting.lock().unwrap_or_else(PoisonError::into_inner);
        if lasting().contains(folder) {
            return Ok(());
        }
        // Also where it was there: who made it may not have come to this, or not yet.
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        match (self.sync)(parent) {
            // Who may not read the folder that ours are in cannot do more.
            Err(error) if error.kind() != ErrorKind::PermissionDenied => {
                Err(failed(&format!("folder \"{}\" cannot be kept", folder.display()), error))
            }
            _ => {
                lasting().insert(folder.to_owned());
                Ok(())
            }
        }
    }

    /// Copies a private file into the bucket.
    fn send(&self, path: &Path, hash: &str) -> Result<()> {
        let (opened, name) = (self.opened()?, self.name(hash)?);
        let mut file = File::open(path).map_err(|error| failed("upload cannot be read", error))?;
        let sent = opened.runtime.block_on(async {
            let mut writer = WriteMultipart::new(opened.store.put_multipart(&name).await?);
            let mut chunk = vec![0; CHUNK];
            loop {
                let read = file
                    .read(&mut chunk)
                    .map_err(|source| object_store::Error::Generic { store: "upload", source: Box::new(source) })?;
                if read == 0 {
                    return writer.finish().await;
                }
                writer.wait_for_capacity(PARTS).await?;
                writer.write(&chunk[..read]);
            }
        });
        sent.map(|_| ()).map_err(|error| self.failed("upload cannot be sent", &error))
    }
}
