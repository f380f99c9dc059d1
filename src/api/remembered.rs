//! What openers of a store say once and all others go by: where the bytes of files are, how long things are kept.
//! It does not know what follows from it.

use super::embedded::OpenOptions;
use super::error::{Code, Error};
use super::files::wait;
use crate::engine::Engine;
use crate::resource::{self, Blobs, Owner};
use crate::store::Reading;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the place of the bytes is remembered.
pub const PLACE: &str = "files";
pub const BUCKET: &str = "s3://";
/// Where the name is remembered by which a place of bytes knows its store.
pub const OWNER: &str = "files_owner";

/// Where the bytes of the store at `path` are; what the options say is remembered.
pub fn blobs(engine: &Arc<Engine>, path: &Path, options: &OpenOptions) -> Result<Blobs, Error> {
    let known = engine.read(|rows, _| Ok(rows.meta(PLACE)?))?;
    let given = options.resources.as_deref().map(absolute).transpose()?;
    if let Some(given) = given.clone().filter(|given| known.as_ref() != Some(given)) {
        wait(engine, move |work| Ok(work.resources().0.put_meta(PLACE, &given)?))?;
    }
    Ok(blobs_at(path, given.or(known), Some(owner(engine))))
}

/// Where the bytes of the store that is being read are.
pub fn blobs_of(reading: &Reading) -> Result<Blobs, Error> {
    Ok(blobs_at(reading.path(), reading.meta(PLACE)?, None))
}

/// Where the bytes of a store at `path` are, given what it remembers.
pub fn blobs_at(path: &Path, known: Option<String>, owner: Option<Owner>) -> Blobs {
    let beside = beside(path);
    match known {
        Some(url) if url.starts_with(BUCKET) => Blobs::new(beside, Some(url), owner),
        Some(folder) => Blobs::new(folder.into(), None, owner),
        None => Blobs::new(beside, None, owner),
    }
}

/// The folder of the bytes of a store at `path` where nobody said another.
pub fn beside(path: &Path) -> PathBuf {
    let mut beside = path.as_os_str().to_os_string();
    beside.push("-files");
    beside.into()
}

/// The name of the store, made when it is asked for the first time.
fn owner(engine: &Arc<Engine>) -> Owner {
    let engine = Arc::downgrade(engine);
    let name = move || {
        let engine = engine.upgrade().ok_or(crate::engine::Error::Closed)?;
        if let Some(name) = engine.read(|rows, _| Ok(rows.meta(OWNER)?))? {
            return Ok(name);
        }
        wait(&engine, |work| {
            let (tx, _, ids) = work.resources();
            if let Some(name) = tx.meta(OWNER)? {
                return Ok(name);
            }
            let name = ids.token();
            tx.put_meta(OWNER, &name)?;
            Ok(name)
        })
    };
    Box::new(move || name().map_err(|error: Error| resource::Error::Unavailable(error.message)))
}

/// Refuses a place other than the one that this process has the files of the store in.
pub fn refuse_other(engine: &Engine, path: &Path, options: &OpenOptions) -> Result<(), Error> {
    let Some(given) = options.resources.as_deref().map(absolute).transpose()? else { return Ok(()) };
    let known = engine.read(|rows, _| Ok(rows.meta(PLACE)?))?;
    if known.as_ref() == Some(&given) {
        return Ok(());
    }
    let text = format!("database {} is open in this process with its files elsewhere than \"{given}\"", path.display());
    Err(Error::new(Code::InvalidArgument, text))
}

fn absolute(place: &str) -> Result<String, Error> {
    if place.starts_with(BUCKET) {
        return Ok(place.into());
    }
    let wrong = |problem: &str| {
        Error::new(
            Code::InvalidArgument,
            format!("place of files \"{place}\" {problem}; allowed: a folder, or a bucket as s3://bucket/prefix"),
        )
    };
    if place.is_empty() || place.contains("://") {
        return Err(wrong("is neither a folder nor a bucket"));
    }
    let path = std::path::absolute(place).map_err(|error| wrong(&format!("cannot be resolved: {error}")))?;
    path.into_os_string().into_string().map_err(|_| wrong("is not text"))
}

/// Remembers how long things are kept, where the options say it.
pub fn remember_retention(engine: &Engine, options: &OpenOptions) -> Result<(), Error> {
    let OpenOptions { workspace, retention_ms, retention_by_type, .. } = options.clone();
    if retention_ms.is_none() && retention_by_type.is_none() {
        return Ok(());
    }
    wait(engine, move |work| work.retention(&workspace, retention_ms, retention_by_type.as_deref()).map(|_| ()))
}
