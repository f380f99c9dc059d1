//! The bytes of files, by their SHA-256: in a folder beside the database, or in a bucket. What comes is written to a
//! private file first and hashed on the way, so nothing is held in memory and nothing half is ever found.
//! It does not know which resource has which bytes; who puts or removes bytes takes turns by a lock in the folder.

use super::{Error, Result, bucket};
use crate::job::limits;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Name;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, WriteMultipart};
use sha2::{Digest, Sha256};
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};
use tokio::runtime::Runtime;

/// Bytes that are moved at once.
const CHUNK: usize = 1 << 20;
/// Parts of one upload to a bucket that are under way at once.
const PARTS: usize = 4;
/// File descriptors that a runtime opens at most when it is made; without them it panics.
const RUNTIME_FILES: usize = 8;
/// A private file of nobody's that is younger may just have been made, and is not yet locked.
const PRIVATE_AGE: Duration = Duration::from_secs(60);

/// Bytes without an owner that are removed while nobody may put any.
const ORPHANS: usize = 100;

/// Names the object that says whose a place is.
const OWNER: &str = "owner";

/// Gives the name of the store that the bytes are of.
pub type Owner = Box<dyn Fn() -> Result<String> + Send + Sync>;

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
}

struct Opened {
    store: Arc<dyn ObjectStore>,
    runtime: Runtime,
}

impl Blobs {
    /// Bytes in `folder`, or in the bucket of an `s3://` URL with `folder` for what is under way. Nothing is made yet.
    pub fn new(folder: PathBuf, bucket: Option<String>, owner: Option<Owner>) -> Blobs {
        let (owned, opened) = (OnceLock::new(), OnceLock::new());
        Blobs { folder, bucket, file_bytes_max: limits::FILE_BYTES_MAX, owner, owned, opened }
    }

    #[cfg(test)]
    fn of_store(folder: PathBuf, store: Arc<dyn ObjectStore>) -> Blobs {
        let blobs = Blobs::new(folder, Some("memory://".into()), tests::me());
        let opened = Opened { store, runtime: runtime().unwrap() };
        assert!(blobs.opened.set(opened).is_ok());
        blobs
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

    /// Refuses a place in which another store keeps its bytes: each would remove those of the other.
    fn own(&self) -> Result<()> {
        if self.owned.get().is_some() { Ok(()) } else { self.own_still() }
    }

    /// As `own`, though it was known before: another store may have been given the place.
    fn own_still(&self) -> Result<()> {
        let Some(owner) = &self.owner else { return Ok(()) };
        let (opened, own, name) = (self.opened()?, owner()?, Name::from(OWNER));
        let told = opened.runtime.block_on(async {
            let store = &opened.store;
            match store.get(&name).await {
                Err(object_store::Error::NotFound { .. }) => {
                    let put = store.put_opts(&name, own.clone().into(), PutMode::Create.into()).await;
                    match put {
                        Err(object_store::Error::AlreadyExists { .. }) => {
                            store.get(&name).await?.bytes().await.map(Some)
                        }
                        put => put.map(|_| None),
                    }
                }
                got => got?.bytes().await.map(Some),
            }
        });
        match told.map_err(|error| self.failed("files cannot be used", &error))? {
            Some(other) if other != own.as_bytes() => {
                let place = self.bucket.clone().unwrap_or_else(|| self.folder.display().to_string());
                let text = format!("place of files \"{place}\" belongs to another store; give each its own");
                return Err(Error::Refused(text));
            }
            Some(_) | None => {}
        }
        self.keep_private()?;
        self.owned.get_or_init(|| ());
        Ok(())
    }

    fn keep_private(&self) -> Result<()> {
        if self.bucket.is_some() {
            return Ok(());
        }
        let private = std::fs::set_permissions(self.folder.join(OWNER), Permissions::from_mode(0o600));
        private.map_err(|error| failed("folder of the files cannot be used", error))
    }

    /// Gives the place to the store of that name. Whose it was may still read there.
    pub fn give(&self, name: &str) -> Result<()> {
        let opened = self.opened()?;
        let given = opened.runtime.block_on(opened.store.put(&Name::from(OWNER), name.to_owned().into()));
        given.map_err(|error| self.failed("files cannot be used", &error))?;
        self.keep_private()
    }

    /// What is wrong with the place of the bytes.
    fn failed(&self, what: &str, error: &object_store::Error) -> Error {
        match &self.bucket {
            Some(url) => failed(what, bucket::explained(url, error)),
            None => failed(what, error),
        }
    }

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
        let turn = self.turn()?;
        turn.lock_shared().map_err(|error| failed("lock of the files cannot be taken", error))?;
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
        make_folder(&self.folder.join("sha256"))?;
        make_folder(folder)?;
        let placed = std::fs::rename(path, &to).and_then(|()| File::open(folder)?.sync_all());
        placed.map_err(|error| failed("upload cannot be put in its place", error))
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

    /// Removes the bytes of every hash that `is_used` says no to; nothing where somebody puts bytes just now.
    /// Gives those that are gone.
    pub fn remove(&self, hashes: &[String], mut is_used: impl FnMut(&str) -> Result<bool>) -> Result<Vec<String>> {
        if !self.folder.exists() {
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

/// Bytes that come, in a private file that goes with this.
pub struct Spool {
    path: PathBuf,
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
        let room = super::media::HEAD_BYTES - self.head.len();
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

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    pub fn me() -> Option<Owner> {
        Some(Box::new(|| Ok("me".into())))
    }

    fn put(blobs: &Blobs, bytes: &[u8]) -> Kept {
        let mut spool = blobs.spool().unwrap();
        for chunk in bytes.chunks(1000) {
            spool.write(chunk).unwrap();
        }
        blobs.keep(spool).unwrap()
    }

    fn each(test: impl Fn(&Blobs)) {
        let folder = tempfile::tempdir().unwrap();
        test(&Blobs::new(folder.path().join("local"), None, me()));
        test(&Blobs::of_store(folder.path().join("bucket"), Arc::new(InMemory::new())));
    }

    #[test]
    fn bytes_are_found_by_their_hash_in_a_folder_and_in_a_bucket() {
        each(|blobs| {
            let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
            let kept = put(blobs, &bytes);
            assert_eq!((kept.size, kept.hash.len()), (3_000_000, 64));
            assert_eq!(blobs.read(&kept.hash, 1_000_000, 500).unwrap(), bytes[1_000_000..1_000_500]);
            assert_eq!(blobs.read(&kept.hash, 2_999_990, 500).unwrap(), bytes[2_999_990..]);
            assert_eq!(std::fs::read_dir(blobs.folder.join("tmp")).unwrap().count(), 0);
        });
    }

    #[test]
    fn only_bytes_that_nobody_has_are_removed_and_not_while_others_come() {
        each(|blobs| {
            let (a, b) = (put(blobs, b"a"), put(blobs, b"b"));
            let hashes = [a.hash.clone(), b.hash.clone()];
            assert_eq!(blobs.remove(&hashes, |_| Ok(false)).unwrap(), Vec::<String>::new());
            assert_eq!(blobs.remove_orphans(|_| Ok(false)).unwrap(), None);
            drop((a, b));
            assert_eq!(blobs.remove(&hashes, |hash| Ok(hash == hashes[1])).unwrap(), hashes);
            assert!(blobs.read(&hashes[0], 0, 1).is_err());
            assert_eq!(blobs.read(&hashes[1], 0, 1).unwrap(), b"b");
            assert_eq!(blobs.remove_orphans(|_| Ok(false)).unwrap(), Some(1));
            assert!(blobs.read(&hashes[1], 0, 1).is_err());
        });
    }

    #[test]
    fn who_puts_bytes_does_not_wait_while_all_files_are_looked_at() {
        each(|blobs| {
            drop(put(blobs, b"one"));
            let mut free = Vec::new();
            let removed = blobs.remove_orphans(|_| {
                free.push(blobs.turn()?.try_lock_shared().is_ok());
                Ok(true)
            });
            assert_eq!((removed.unwrap(), free), (Some(0), vec![true]));
        });
    }

    #[test]
    fn a_place_belongs_to_one_store() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let folder = tempfile::tempdir().unwrap();
        let other = || Some(Box::new(|| Ok("other".into())) as Owner);
        for memory in [None, Some(store)] {
            let of = |owner: Option<Owner>| match &memory {
                None => Blobs::new(folder.path().join("shared"), None, owner),
                Some(store) => Blobs { owner, ..Blobs::of_store(folder.path().join("own"), store.clone()) },
            };
            let kept = put(&of(me()), b"mine");
            put(&of(me()), b"mine too");
            let strange = of(other());
            let spool = strange.spool().unwrap();
            assert!(matches!(strange.keep(spool), Err(Error::Refused(_))));
            drop(kept);
            assert!(matches!(strange.remove_orphans(|_| Ok(false)), Err(Error::Refused(_))));
        }
    }

    #[test]
    fn a_file_may_be_as_large_as_its_limit_and_not_a_byte_larger() {
        let folder = tempfile::tempdir().unwrap();
        let mut blobs = Blobs::new(folder.path().join("files"), None, me());
        assert_eq!(blobs.file_bytes_max, 4 << 30);
        blobs.file_bytes_max = 2000;
        assert_eq!(put(&blobs, &[7; 2000]).size, 2000);
        let mut spool = blobs.spool().unwrap();
        spool.write(&[7; 1500]).unwrap();
        assert!(matches!(spool.write(&[7; 501]), Err(Error::TooLarge(_))));
        drop(spool);
        assert_eq!(std::fs::read_dir(blobs.folder.join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn a_private_file_goes_once_its_process_is_gone_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(folder.path().join("files"), None, me());
        let spool = blobs.spool().unwrap();
        let tmp = blobs.folder.join("tmp");
        let left = tmp.join("left");
        std::fs::write(&left, "half").unwrap();
        let long_ago = SystemTime::now() - 2 * PRIVATE_AGE;
        for path in [&left, &spool.path] {
            File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
        }
        std::fs::write(tmp.join("new"), "").unwrap();
        blobs.remove_orphans(|_| Ok(true)).unwrap();
        assert!(!left.exists() && spool.path.exists() && tmp.join("new").exists());
    }

    #[test]
    fn files_and_folders_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(folder.path().join("files"), None, me());
        let kept = put(&blobs, b"secret");
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let path = blobs.folder.join(blobs.name(&kept.hash).unwrap().as_ref());
        assert_eq!((mode(&path), mode(&blobs.folder), mode(path.parent().unwrap())), (0o600, 0o700, 0o700));
        assert!(blobs.name("../../etc/passwd").is_err());
    }
}
