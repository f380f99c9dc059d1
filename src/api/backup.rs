//! Copies of a whole store and of the bytes of its files, made while others work on it, and their way back.
//! Both look at what they made before anybody is given it.

use super::check::{check_rows, trouble};
use super::error::{Code, Error};
use super::{new_secret, remembered};
use crate::resource::Blobs;
use crate::store::{Copied, Reading, Vacant};
use crate::value::{MapBuilder, Value};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Files that are looked up at once.
const PAGE: i64 = 1000;

/// Where the bytes of files are copied to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BytesTo {
    /// Into a folder beside the copy, where they are in a folder; those in a bucket stay there.
    #[default]
    Beside,
    Folder(PathBuf),
    /// They stay where they are.
    Leave,
}

/// How a store is backed up.
#[derive(Clone, Debug)]
pub struct BackupOptions {
    pub to: PathBuf,
    pub bytes: BytesTo,
    /// Take the place of an earlier copy.
    pub force: bool,
    /// Keep the copy without having looked at it.
    pub unchecked: bool,
    pub busy_timeout: Duration,
}

/// How a copy becomes a store.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    pub from: PathBuf,
    pub to: PathBuf,
    /// Where the bytes of files are; beside the copy where absent.
    pub bytes: Option<PathBuf>,
    /// Move a store that is there aside.
    pub force: bool,
    /// Take over the place of files that the store has which was copied.
    pub take_files: bool,
    /// Take the copy without having looked at it.
    pub unchecked: bool,
    pub busy_timeout: Duration,
}

/// Copies the store at `path`, beside whoever has it open, as it is at one moment after this was called.
pub fn backup(path: &Path, options: &BackupOptions) -> Result<Value, Error> {
    let BackupOptions { to, bytes, force, unchecked, busy_timeout } = options;
    let reading = Reading::open(path, *busy_timeout)?;
    if to.exists() && !force {
        return Err(Error::new(
            Code::InvalidArgument,
            format!("copy {} exists already; with --force it is replaced", to.display()),
        ));
    }
    let from = remembered::blobs_of(&reading)?;
    let into = match bytes {
        BytesTo::Beside if from.is_bucket() => None,
        BytesTo::Beside => Some(Blobs::new(remembered::beside(to), None, None)),
        BytesTo::Folder(folder) => Some(Blobs::new(absolute(folder)?, None, None)),
        BytesTo::Leave => None,
    };
    // No bytes go away between the copy of the rows and that of the bytes.
    let _held = if into.is_some() && from.exists() { Some(from.hold().map_err(trouble)?) } else { None };
    // Should it be used as a store it is another one: where the files of the first are it removes nothing.
    let copied = reading.copy(to, &[(remembered::OWNER, None)])?;
    drop(reading);
    let copy = Reading::open(copied.path(), *busy_timeout)?;
    let counted = looked_at(&copied, &copy, *unchecked)?;
    let moved = match &into {
        Some(into) => Some(move_bytes(&copy, &from, into)?),
        None => None,
    };
    if let Some(Moved { missing: Some(hash), .. }) = &moved
        && !unchecked
    {
        return Err(not_whole(path, &format!("bytes with hash {hash} are missing in {}", from.place())));
    }
    drop(copy);
    let place = copied.place(*force)?;
    let stays = (into.is_none() && from.exists()).then(|| from.place());
    let files = moved.map(|moved| moved.value(&into.map(|into| into.place()).unwrap_or_default()));
    Ok(answer(&place, counted).put_some("files", files).put_some("files-stay-in", stays).build())
}

/// Makes a copy a store again: in a place that nobody has open, whole, or not at all.
pub fn restore(options: &RestoreOptions) -> Result<Value, Error> {
    let RestoreOptions { from, to, bytes, force, take_files: _, unchecked, busy_timeout } = options;
    let reading = Reading::open(from, *busy_timeout)?;
    let keeps = place_of_files(&reading, options)?;
    let vacant = Vacant::take(to, *force)?;
    // Another store than the one that was copied, so that neither removes files of the other.
    let name = new_secret();
    let copied = reading.copy(to, &[(remembered::OWNER, Some(&name)), (remembered::PLACE, keeps.as_deref())])?;
    let beside = remembered::beside(reading.path());
    let first = remembered::blobs_of(&reading)?;
    drop(reading);
    let copy = Reading::open(copied.path(), *busy_timeout)?;
    let counted = looked_at(&copied, &copy, *unchecked)?;
    let into = remembered::blobs_at(copied.target(), keeps, None);
    let source = bytes.as_deref().map(absolute).transpose()?;
    // Bytes in a bucket are there still, unless others are named.
    let mut moved = match (source, into.is_bucket()) {
        (None, true) => None,
        (source, _) => Some(move_bytes(&copy, &Blobs::new(source.unwrap_or(beside), None, None), &into)?),
    };
    if let Some(Moved { missing: Some(_), copied, bytes, .. }) = moved
        && first.place() != into.place()
    {
        let rest = move_bytes(&copy, &first, &into)?;
        moved = Some(Moved {
            copied: rest.copied + copied,
            bytes: rest.bytes + bytes,
            present: rest.present - copied,
            ..rest
        });
    }
    if let Some(Moved { missing: Some(hash), .. }) = &moved
        && !unchecked
    {
        let text = format!("bytes with hash {hash} are neither with the copy nor in {}", into.place());
        return Err(not_whole(from, &text));
    }
    drop(copy);
    let place = copied.target().to_path_buf();
    if into.exists() {
        into.give(&name).map_err(trouble)?;
    }
    let aside = vacant.fill(copied)?;
    let files = moved.map(|moved| moved.value(&into.place()));
    let aside = aside.map(|path| path.display().to_string());
    Ok(answer(&place, counted).put_some("files", files).put_some("replaced", aside).build())
}

/// The place of files that a copy keeps: none where it has its own beside it. A place that was named is that of the store
/// that was copied, which may go on elsewhere: it is kept where that one is replaced, or where that is asked for.
fn place_of_files(reading: &Reading, options: &RestoreOptions) -> Result<Option<String>, Error> {
    let Some(named) = reading.meta(remembered::PLACE)? else { return Ok(None) };
    let replaced = if options.force { Reading::open(&options.to, options.busy_timeout).ok() } else { None };
    let replaced = replaced.and_then(|replaced| replaced.meta(remembered::PLACE).ok().flatten());
    if options.take_files || replaced.as_ref() == Some(&named) {
        return Ok(Some(named));
    }
    if named.starts_with(remembered::BUCKET) {
        let text = format!(
            "files of the copy are in {named}, which is the place of the store that was copied; with --take-files it \
             becomes that of {}, and the other can store and remove none there any more",
            options.to.display()
        );
        return Err(Error::new(Code::Refused, text));
    }
    Ok(None)
}

fn answer(place: &Path, counted: Option<Value>) -> MapBuilder {
    let size = place.metadata().map_or(0, |found| i64::try_from(found.len()).unwrap_or(i64::MAX));
    let of = |name: &'static str| counted.as_ref().and_then(|counted| counted.get(name)).cloned();
    MapBuilder::new()
        .put("path", place.display().to_string())
        .put("size-bytes", size)
        .put("checked?", counted.is_some())
        .put_some("jobs", of("jobs"))
        .put_some("batches", of("batches"))
        .put_some("resources", of("resources"))
}

/// What was counted in a copy, by a look at all of it.
fn looked_at(copied: &Copied, copy: &Reading, unchecked: bool) -> Result<Option<Value>, Error> {
    if unchecked {
        return Ok(None);
    }
    let report = check_rows(copy)?;
    match report.first {
        Some(first) => Err(not_whole(copied.target(), &first)),
        None => Ok(Some(report.data)),
    }
}

fn not_whole(path: &Path, first: &str) -> Error {
    let text = format!("copy {} would not be whole ({first}); --unchecked takes it all the same", path.display());
    Error::new(Code::Refused, text)
}

/// What became of the bytes.
#[derive(Default)]
struct Moved {
    copied: i64,
    bytes: i64,
    present: i64,
    /// The first hash of which there are none.
    missing: Option<String>,
}

impl Moved {
    fn value(&self, place: &str) -> Value {
        MapBuilder::new()
            .put("path", place)
            .put("copied", self.copied)
            .put("copied-bytes", self.bytes)
            .put("present", self.present)
            .build()
    }
}

/// Copies the bytes of every file that are not there yet.
fn move_bytes(rows: &Reading, from: &Blobs, into: &Blobs) -> Result<Moved, Error> {
    let mut moved = Moved::default();
    let mut after = (String::new(), i64::MIN);
    loop {
        let page = rows.files((&after.0, after.1), PAGE)?;
        let Some((seq, last, _)) = page.last() else { return Ok(moved) };
        let mut before = std::mem::replace(&mut after, (last.clone(), *seq)).0;
        for (_, hash, _) in page {
            if hash != before {
                move_one(from, into, &hash, &mut moved)?;
            }
            before = hash;
        }
    }
}

fn move_one(from: &Blobs, into: &Blobs, hash: &str, moved: &mut Moved) -> Result<(), Error> {
    let there = into.size(hash).map_err(trouble)?;
    match from.size(hash).map_err(trouble)? {
        // Bytes come to their place whole.
        size if there.is_some() && (size.is_none() || size == there) => moved.present += 1,
        Some(size) => {
            let mut spool = into.spool().map_err(trouble)?;
            from.read_all(hash, size, |bytes| spool.write(bytes)).map_err(trouble)?;
            let kept = into.keep(spool).map_err(trouble)?;
            if kept.hash != hash {
                let text = format!("bytes in {} with hash {} stand under hash {hash}", from.place(), kept.hash);
                return Err(Error::new(Code::Internal, text));
            }
            (moved.copied, moved.bytes) = (moved.copied + 1, moved.bytes + i64::try_from(size).unwrap_or(i64::MAX));
        }
        None => {
            moved.missing.get_or_insert_with(|| hash.to_owned());
        }
    }
    Ok(())
}

fn absolute(folder: &Path) -> Result<PathBuf, Error> {
    let wrong = |cause| format!("folder \"{}\" cannot be resolved: {cause}", folder.display());
    std::path::absolute(folder).map_err(|cause| Error::new(Code::InvalidArgument, wrong(cause)))
}
