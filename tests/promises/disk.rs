//! A disk that breaks when it is told to: a VFS of SQLite's over the operating system's own, which remembers what was
//! written since the last sync. When the power fails, only what was synced is there, with any part of the rest.
//! It stands under the files of the folders that were given to it, and under no others.

use rusqlite::ffi;
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, Once, PoisonError};

/// The name to open a store with.
pub const VFS: &str = "faulty";

/// What goes wrong, and at which operation of its kind, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// At that write, sync or truncate the power fails.
    PowerLoss(usize),
    /// That write, sync or truncate fails; what a failed sync was to keep will not be kept by a later one either.
    Broken(usize),
    /// From that write on, so many writes find no space.
    Full(usize, usize),
    /// That read fails.
    Unreadable(usize),
    /// That sync fails.
    Unsynced(usize),
    /// That lock fails.
    Unlockable(usize),
}

/// The files of one folder, as they would be after a loss of power.
#[derive(Default)]
pub struct Disk {
    files: HashMap<PathBuf, Image>,
    fault: Option<Fault>,
    pub changes: usize,
    pub writes: usize,
    pub reads: usize,
    pub locks: usize,
    pub syncs: usize,
    dead: bool,
    chance: u64,
}

#[derive(Default)]
struct Image {
    kept: Vec<u8>,
    pending: Vec<Pending>,
}

struct Pending {
    change: Change,
    /// A sync that was to keep it has failed.
    dropped: bool,
}

enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Write(at, data) => {
                if bytes.len() < at + data.len() {
                    bytes.resize(at + data.len(), 0);
                }
                bytes[*at..at + data.len()].copy_from_slice(data);
            }
            Change::Truncate(length) => bytes.resize(*length, 0),
        }
    }
}

type Shared = Arc<Mutex<Disk>>;

static DISKS: LazyLock<Mutex<HashMap<PathBuf, Shared>>> = LazyLock::new(Mutex::default);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts the files of `folder` on a disk that will break so. `chance` decides what survives a loss of power.
pub fn insert(folder: &Path, fault: Fault, chance: u64) -> Shared {
    register();
    let disk = Disk { fault: Some(fault), chance: chance.wrapping_mul(2).wrapping_add(1), ..Disk::default() };
    let disk = Arc::new(Mutex::new(disk));
    locked(&DISKS).insert(folder.into(), disk.clone());
    disk
}

/// The power fails: leaves in the folder what is on the disk. Nothing may be open any more.
pub fn lose_power(folder: &Path) {
    let disk = locked(&DISKS).remove(folder).expect("the folder has a disk");
    let mut disk = locked(&disk);
    let mut files = std::mem::take(&mut disk.files);
    for (path, image) in &mut files {
        for pending in std::mem::take(&mut image.pending) {
            survive(pending.change, &mut image.kept, &mut disk.chance);
        }
        std::fs::write(path, &image.kept).expect("the file can be written");
    }
    for entry in std::fs::read_dir(folder).expect("the folder is there").flatten() {
        if entry.path().to_string_lossy().ends_with("-shm") {
            std::fs::remove_file(entry.path()).expect("memory does not survive");
        }
    }
}

/// All, nothing, or any sectors of what was not synced.
fn survive(change: Change, bytes: &mut Vec<u8>, chance: &mut u64) {
    match (next(chance) % 4, &change) {
        (0, _) => {}
        (1 | 2, _) | (_, Change::Truncate(_)) => change.apply(bytes),
        (_, Change::Write(at, data)) => {
            for (number, sector) in data.chunks(512).enumerate() {
                if next(chance).is_multiple_of(2) {
                    Change::Write(at + number * 512, sector.to_vec()).apply(bytes);
                }
            }
        }
    }
}

fn next(chance: &mut u64) -> u64 {
    *chance ^= *chance << 13;
    *chance ^= *chance >> 7;
    *chance ^= *chance << 17;
    *chance >> 20
}

impl Disk {
    /// Whether the fault has come that the disk was made with.
    pub fn has_failed(&self) -> bool {
        match self.fault {
            Some(Fault::PowerLoss(at) | Fault::Broken(at)) => self.changes >= at,
            Some(Fault::Full(at, _)) => self.writes >= at,
            Some(Fault::Unreadable(at)) => self.reads >= at,
            Some(Fault::Unsynced(at)) => self.syncs >= at,
            Some(Fault::Unlockable(at)) => self.locks >= at,
            Some(Fault::None) | None => false,
        }
    }

    /// From now on, that is what goes wrong next.
    pub fn fail_next_sync(&mut self) {
        self.fault = Some(Fault::Unsynced(self.syncs + 1));
    }

    /// Counts a change; whether it is the one that breaks.
    fn change(&mut self) -> bool {
        self.changes += 1;
        if self.fault == Some(Fault::PowerLoss(self.changes)) {
            self.dead = true;
        }
        self.dead || self.fault == Some(Fault::Broken(self.changes))
    }
}

/// An open file: SQLite's part first, then ours.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    inner: *mut Inner,
}

struct Inner {
    /// The operating system's own file, of the size that it asks for.
    real: Vec<u64>,
    path: PathBuf,
    disk: Option<Shared>,
}

impl Inner {
    fn real(&mut self) -> *mut ffi::sqlite3_file {
        self.real.as_mut_ptr().cast()
    }
}

fn system() -> *mut ffi::sqlite3_vfs {
    // SAFETY: SQLite's default VFS lives as long as the process.
    unsafe { ffi::sqlite3_vfs_find(c"unix".as_ptr()) }
}

fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let name = CString::new(VFS).expect("a name without a zero").into_raw();
        // SAFETY: the VFS is a copy of the system's with three functions of our own, and is never freed.
        unsafe {
            let vfs = ffi::sqlite3_vfs {
                iVersion: 2,
                szOsFile: size_of::<File>() as c_int,
                pNext: null_mut(),
                zName: name,
                xOpen: Some(open),
                xDelete: Some(delete),
                ..*system()
            };
            let code = ffi::sqlite3_vfs_register(Box::into_raw(Box::new(vfs)), 0);
            assert_eq!(code, ffi::SQLITE_OK);
        }
    });
}

fn disk_of(path: &Path) -> Option<Shared> {
    locked(&DISKS).get(path.parent()?).cloned()
}

/// SAFETY of the functions below: SQLite calls them with the file that `open` filled in, and with buffers of the sizes
/// that it names; a file is not closed while it is used.
unsafe extern "C" fn open(
    _vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    unsafe {
        let file: *mut File = file.cast();
        (*file).base.pMethods = null();
        let path = if name.is_null() { PathBuf::new() } else { path_of(name) };
        let watched = flags & (ffi::SQLITE_OPEN_MAIN_DB | ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL) != 0;
        let disk = if watched { disk_of(&path) } else { None };
        if disk.as_ref().is_some_and(|disk| locked(disk).dead) {
            return ffi::SQLITE_CANTOPEN;
        }
        let size = (*system()).szOsFile as usize;
        let mut inner = Box::new(Inner { real: vec![0; size.div_ceil(8)], path, disk });
        let xopen = (*system()).xOpen.expect("every VFS opens files");
        let code = xopen(system(), name, inner.real(), flags, out);
        if code != ffi::SQLITE_OK {
            return code;
        }
        remember(&mut inner);
        (*file).inner = Box::into_raw(inner);
        (*file).base.pMethods = &raw const METHODS;
        ffi::SQLITE_OK
    }
}

unsafe fn path_of(name: *const c_char) -> PathBuf {
    let name = unsafe { CStr::from_ptr(name) };
    PathBuf::from(name.to_str().expect("the tests' paths are text"))
}

/// What is in the file when it is first opened is on the disk.
fn remember(inner: &mut Inner) {
    let Some(disk) = inner.disk.clone() else { return };
    let mut disk = locked(&disk);
    if disk.files.contains_key(&inner.path) {
        return;
    }
    let mut size = 0i64;
    // SAFETY: the file was opened just now; the buffer is as large as the file.
    let kept = unsafe {
        let methods = real_methods(inner);
        assert_eq!((methods.xFileSize.expect("files have sizes"))(inner.real(), &mut size), ffi::SQLITE_OK);
        let mut bytes = vec![0u8; size as usize];
        if size > 0 {
            let read = methods.xRead.expect("files can be read");
            assert_eq!(read(inner.real(), bytes.as_mut_ptr().cast(), size as c_int, 0), ffi::SQLITE_OK);
        }
        bytes
    };
    disk.files.insert(inner.path.clone(), Image { kept, pending: Vec::new() });
}

unsafe extern "C" fn delete(_vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    unsafe {
        let path = path_of(name);
        if let Some(disk) = disk_of(&path) {
            let mut disk = locked(&disk);
            if disk.change() {
                return ffi::SQLITE_IOERR_DELETE;
            }
            disk.files.remove(&path);
        }
        ((*system()).xDelete.expect("every VFS deletes files"))(system(), name, sync)
    }
}

unsafe fn inner<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Inner {
    unsafe { &mut *(*file.cast::<File>()).inner }
}

unsafe fn real_methods<'a>(inner: &mut Inner) -> &'a ffi::sqlite3_io_methods {
    unsafe { &*(*inner.real()).pMethods }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    unsafe {
        let mut inner = Box::from_raw((*file.cast::<File>()).inner);
        (real_methods(&mut inner).xClose.expect("files can be closed"))(inner.real())
    }
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, buffer: *mut c_void, amount: c_int, at: i64) -> c_int {
    unsafe {
        let inner = inner(file);
        if let Some(disk) = &inner.disk {
            let mut disk = locked(disk);
            disk.reads += 1;
            if disk.dead || disk.fault == Some(Fault::Unreadable(disk.reads)) {
                return ffi::SQLITE_IOERR_READ;
            }
        }
        (real_methods(inner).xRead.expect("files can be read"))(inner.real(), buffer, amount, at)
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, buffer: *const c_void, amount: c_int, at: i64) -> c_int {
    unsafe {
        let inner = inner(file);
        let mut data = std::slice::from_raw_parts(buffer.cast::<u8>(), amount as usize);
        let mut code = ffi::SQLITE_OK;
        if let Some(disk) = inner.disk.clone() {
            let mut disk = locked(&disk);
            if disk.dead {
                return ffi::SQLITE_IOERR_WRITE;
            }
            disk.writes += 1;
            if disk.change() {
                // The first half of it came through.
                data = &data[..data.len() / 2];
                code = ffi::SQLITE_IOERR_WRITE;
            }
            if let Some(Fault::Full(from, count)) = disk.fault
                && (from..from + count).contains(&disk.writes)
            {
                data = &data[..data.len() / 3];
                code = ffi::SQLITE_FULL;
            }
            let change = Change::Write(at as usize, data.to_vec());
            let image = disk.files.entry(inner.path.clone()).or_default();
            image.pending.push(Pending { change, dropped: false });
        }
        let write = real_methods(inner).xWrite.expect("files can be written");
        let wrote = write(inner.real(), data.as_ptr().cast(), data.len() as c_int, at);
        if code == ffi::SQLITE_OK { wrote } else { code }
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    unsafe {
        let inner = inner(file);
        if let Some(disk) = inner.disk.clone() {
            let mut disk = locked(&disk);
            if disk.dead || disk.change() {
                return ffi::SQLITE_IOERR_TRUNCATE;
            }
            let change = Change::Truncate(size as usize);
            let image = disk.files.entry(inner.path.clone()).or_default();
            image.pending.push(Pending { change, dropped: false });
        }
        (real_methods(inner).xTruncate.expect("files can be truncated"))(inner.real(), size)
    }
}

/// Does not bother the real disk: what is synced is what we remember.
unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    unsafe {
        let inner = inner(file);
        let Some(disk) = inner.disk.clone() else { return ffi::SQLITE_OK };
        let mut disk = locked(&disk);
        if disk.dead {
            return ffi::SQLITE_IOERR_FSYNC;
        }
        disk.syncs += 1;
        let broken = disk.change() || disk.fault == Some(Fault::Unsynced(disk.syncs));
        let dead = disk.dead;
        let image = disk.files.entry(inner.path.clone()).or_default();
        if broken {
            // The kernel forgets that these pages were to be written.
            image.pending.iter_mut().for_each(|pending| pending.dropped |= !dead);
            return ffi::SQLITE_IOERR_FSYNC;
        }
        for pending in image.pending.drain(..).filter(|pending| !pending.dropped) {
            pending.change.apply(&mut image.kept);
        }
        ffi::SQLITE_OK
    }
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    unsafe {
        let inner = inner(file);
        (real_methods(inner).xFileSize.expect("files have sizes"))(inner.real(), size)
    }
}

fn refuses_lock(inner: &Inner) -> bool {
    inner.disk.as_ref().is_some_and(|disk| {
        let mut disk = locked(disk);
        disk.locks += 1;
        disk.dead || disk.fault == Some(Fault::Unlockable(disk.locks))
    })
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    unsafe {
        let inner = inner(file);
        if refuses_lock(inner) {
            return ffi::SQLITE_IOERR_LOCK;
        }
        (real_methods(inner).xLock.expect("files can be locked"))(inner.real(), level)
    }
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    unsafe {
        let inner = inner(file);
        (real_methods(inner).xUnlock.expect("files can be unlocked"))(inner.real(), level)
    }
}

unsafe extern "C" fn check_reserved(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    unsafe {
        let inner = inner(file);
        (real_methods(inner).xCheckReservedLock.expect("files can be locked"))(inner.real(), out)
    }
}

unsafe extern "C" fn control(file: *mut ffi::sqlite3_file, op: c_int, argument: *mut c_void) -> c_int {
    unsafe {
        let inner = inner(file);
        (real_methods(inner).xFileControl.expect("files can be controlled"))(inner.real(), op, argument)
    }
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    unsafe {
        let inner = inner(file);
        (real_methods(inner).xSectorSize.expect("files have sectors"))(inner.real())
    }
}

unsafe extern "C" fn characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    unsafe {
        let inner = inner(file);
        (real_methods(inner).xDeviceCharacteristics.expect("files have characteristics"))(inner.real())
    }
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    unsafe {
        let inner = inner(file);
        (real_methods(inner).xShmMap.expect("the system shares memory"))(inner.real(), page, size, extend, out)
    }
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, offset: c_int, count: c_int, flags: c_int) -> c_int {
    unsafe {
        let inner = inner(file);
        if flags & ffi::SQLITE_SHM_LOCK != 0 && refuses_lock(inner) {
            return ffi::SQLITE_IOERR_SHMLOCK;
        }
        (real_methods(inner).xShmLock.expect("the system shares memory"))(inner.real(), offset, count, flags)
    }
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    unsafe {
        let inner = inner(file);
        (real_methods(inner).xShmBarrier.expect("the system shares memory"))(inner.real());
    }
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    unsafe {
        let inner = inner(file);
        (real_methods(inner).xShmUnmap.expect("the system shares memory"))(inner.real(), delete)
    }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // Without the functions of version 3 SQLite does not map files into memory.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved),
    xFileControl: Some(control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};
