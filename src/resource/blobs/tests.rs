//! Bytes in a folder and in a bucket: found by their hash, private, of one store, and gone when nobody has them.

use super::removal::PRIVATE_AGE;
use super::*;
use object_store::memory::InMemory;
use std::time::SystemTime;

impl Blobs {
    fn of_store(folder: PathBuf, store: Arc<dyn ObjectStore>) -> Blobs {
        let blobs = Blobs::new(folder, Some("memory://".into()), me());
        let opened = Opened { store, runtime: runtime().unwrap() };
        assert!(blobs.opened.set(opened).is_ok());
        blobs
    }
}

fn me() -> Option<Owner> {
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
fn bytes_in_a_bucket_are_removed_also_where_nothing_was_put_from_here() {
    let folder = tempfile::tempdir().unwrap();
    let bucket: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let before = Blobs::of_store(folder.path().join("before"), bucket.clone());
    let hash = put(&before, b"moved").hash;
    let elsewhere = Blobs::of_store(folder.path().join("elsewhere"), bucket);
    assert_eq!(elsewhere.remove(std::slice::from_ref(&hash), |_| Ok(false)).unwrap(), std::slice::from_ref(&hash));
    assert!(before.read(&hash, 0, 1).is_err());
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

#[test]
fn bytes_are_in_folders_that_are_found_after_a_power_loss() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("files");
    let watched = || {
        let synced = Arc::new(Mutex::new(Vec::new()));
        let (mut blobs, told) = (Blobs::new(root.clone(), None, me()), synced.clone());
        let sync = std::mem::replace(&mut blobs.sync, Box::new(|_| Ok(())));
        blobs.sync = Box::new(move |folder| {
            sync(folder)?;
            let names = std::fs::read_dir(folder)?.count();
            told.lock().unwrap().push((folder.to_owned(), names));
            Ok(())
        });
        let synced = move || std::mem::take(&mut *synced.lock().unwrap());
        (blobs, synced)
    };
    let (sha256, of_a) = (root.join("sha256"), root.join("sha256/ca"));
    let (blobs, synced) = watched();
    put(&blobs, b"a");
    let found: Vec<_> = synced().into_iter().filter(|(folder, _)| *folder != root).collect();
    // Each after that which it is to keep was made in it.
    assert_eq!(found, [(folder.path().to_owned(), 1), (sha256.clone(), 1), (of_a.clone(), 1)]);
    put(&blobs, b"a");
    assert_eq!(synced(), [(of_a.clone(), 1)], "what is certain is not done again");
    put(&blobs, b"b");
    assert_eq!(synced(), [(sha256.clone(), 2), (root.join("sha256/3e"), 1)]);

    // Another process may have made them and not have come to the end.
    let (again, synced) = watched();
    put(&again, b"a");
    let folders: Vec<_> = synced().into_iter().map(|(folder, _)| folder).collect();
    assert_eq!(folders, [folder.path(), &root, &sha256, &of_a]);
}
