//! The bytes of files: in and out as streams, links that are signed, uploads of several requests.
//! It does not know HTTP; nothing here holds a file in memory.

use super::Reply;
use super::error::{Code, Error};
use crate::engine::{self, Class, Engine, Work};
use crate::job::limits;
use crate::resource::{self, Blobs, Spool};
pub use crate::resource::{NewFile, content_type};
use crate::store::{Resource, Rows, Upload};
use crate::value::{MapBuilder, Value, json};
use std::io::{Read, Seek};
use std::sync::{Arc, mpsc};

/// Where the key of signed links is kept.
const LINK_KEY: &str = "link_key";

/// Bytes that can be read again from the beginning.
pub trait Bytes: Read + Seek {}

impl<T: Read + Seek> Bytes for T {}

/// Files of a client's workspace.
pub trait Files: Send + Sync {
    /// Stores a file with these bytes, and gives what is known of it.
    fn put(&self, new: NewFile, bytes: &mut dyn Bytes) -> Reply;

    /// Opens a file for reading.
    fn get(&self, uri: &str) -> Result<FileReader, Error>;
}

/// A file that is being read.
pub struct FileReader {
    /// What is known of it, as `resources.get` gives it.
    pub resource: Value,
    pub size_bytes: u64,
    bytes: Box<dyn FnMut(u64, u64) -> Result<Vec<u8>, Error> + Send>,
    at: u64,
}

impl FileReader {
    /// A reader of a file; `bytes` gives some from an offset on, at most so many.
    pub fn new(
        resource: Value,
        size_bytes: u64,
        bytes: Box<dyn FnMut(u64, u64) -> Result<Vec<u8>, Error> + Send>,
    ) -> FileReader {
        FileReader { resource, size_bytes, bytes, at: 0 }
    }

    /// The next bytes; none at the end.
    pub fn chunk(&mut self) -> Result<Vec<u8>, Error> {
        let left = self.size_bytes - self.at;
        if left == 0 {
            return Ok(Vec::new());
        }
        let chunk = (self.bytes)(self.at, left.min(limits::READ_BYTES_MAX as u64))?;
        if chunk.is_empty() {
            return Err(Error::new(Code::Internal, "file has fewer bytes than it should"));
        }
        self.at += chunk.len() as u64;
        Ok(chunk)
    }
}

/// An upload that has begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Begun {
    pub uri: String,
    pub session_id: String,
    /// The secret of the one-time URL.
    pub token: String,
}

/// The files of a store in this process.
#[derive(Clone)]
pub struct LocalFiles {
    pub(super) engine: Arc<Engine>,
    pub(super) blobs: Arc<Blobs>,
    pub(super) workspace: String,
}

/// Bytes on their way into a file.
pub struct Upstream {
    files: LocalFiles,
    session_id: String,
    spool: Spool,
}

impl Upstream {
    /// Adds bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.spool.write(bytes)?)
    }

    /// Gives the file all the bytes that came, and what is known of it then. Dropped without it, nothing was uploaded.
    pub fn finish(self) -> Reply {
        let Upstream { files, session_id, spool } = self;
        let kept = files.blobs.keep(spool)?;
        files.write(move |work| {
            let (tx, now, _) = work.resources();
            let resource = resource::finish(tx, &session_id, &kept, (now.wall_ms, now.store_ms))?;
            Ok(resource::describe(tx, &resource, |store_ms| now.shown(store_ms))?)
        })
    }
}

impl LocalFiles {
    /// Begins an upload; `may_replace` is asked of the file that gets the bytes where there is one already.
    pub fn begin(&self, new: &NewFile, may_replace: impl FnOnce(&str) -> Result<(), Error>) -> Result<Begun, Error> {
        if new.replace_existing {
            let folder = new.folder.as_deref().unwrap_or_default();
            let known = self.read(|rows, _| Ok(rows.file_by_name(&self.workspace, folder, &new.filename)?))?;
            known.map_or(Ok(()), |known| may_replace(&known.uri()))?;
        }
        let (workspace, new) = (self.workspace.clone(), new.clone());
        self.write(move |work| {
            let (tx, now, ids) = work.resources();
            let (token, all) = (format!("{}{}", ids.token(), ids.token()), (ids.id(), ids.token()));
            let begun = resource::begin(tx, &workspace, &new, all, &token, (now.wall_ms, now.store_ms))?;
            Ok(Begun { uri: begun.uri, session_id: begun.session_id, token })
        })
    }

    /// A stream into the file of a session that knows the secret of its one-time URL, in whatever workspace.
    pub fn write_with_token(&self, session_id: &str, token: &str) -> Result<Upstream, Error> {
        let upload = self.read(|rows, store_ms| open_upload(rows.upload(session_id)?, store_ms))?;
        // Digests are compared: how long that takes tells nothing of the secret.
        let upload = upload.filter(|upload| upload.token_hash == resource::token_hash(token));
        self.upstream(upload)
    }

    /// A stream into the file of that URI, for which an upload has begun.
    pub fn write_to(&self, uri: &str) -> Result<Upstream, Error> {
        let upload = self.read(|rows, store_ms| {
            let file = self.file(rows, uri)?;
            let mut newest = None;
            for upload in rows.uploads(file.seq)?.into_iter().filter(|upload| !upload.done) {
                newest = open_upload(Some(upload), store_ms)?.or(newest);
            }
            match (newest, file.hash) {
                (None, Some(_)) => {
                    Err(resource::Error::Refused("upload has its bytes already; begin another one".into()))
                }
                (newest, _) => Ok(newest),
            }
        })?;
        self.upstream(upload)
    }

    fn upstream(&self, upload: Option<Upload>) -> Result<Upstream, Error> {
        let upload =
            upload.ok_or_else(|| Error::new(Code::NotFound, "upload is unknown or over; begin another one"))?;
        Ok(Upstream { files: self.clone(), session_id: upload.session_id, spool: self.blobs.spool()? })
    }

    /// What is known of a file whose bytes are there; of an upload where a session is named, it has to be its own.
    pub fn complete(&self, uri: &str, session_id: Option<&str>) -> Reply {
        self.read(|rows, _| {
            let file = self.file(rows, uri)?;
            if let Some(session_id) = session_id {
                let own = rows.upload(session_id)?.filter(|upload| upload.resource_seq == file.seq);
                match own {
                    Some(upload) if upload.done => {}
                    Some(_) => return Err(resource::Error::Refused("upload has no bytes yet".into())),
                    None => return Err(resource::Error::NotFound("upload of that session is unknown".into())),
                }
            }
            match file.hash {
                Some(_) => resource::describe(rows, &file, |store_ms| store_ms),
                None => Err(resource::Error::Refused("upload has no bytes yet".into())),
            }
        })
    }

    /// A file, whether its bytes are there or not.
    fn file(&self, rows: &mut dyn Rows, uri: &str) -> resource::Result<Resource> {
        resource::find_file(rows, &self.workspace, uri)
    }

    /// The end of a link to a resource's content that works for a while without a key, and until when it does.
    pub fn sign(&self, uri: &str) -> Result<Link, Error> {
        self.read(|rows, store_ms| resource::find(rows, &self.workspace, uri, store_ms))?;
        let key = self.link_key()?;
        let expires_at = self.engine.now().wall_ms + limits::LINK_MS;
        Ok(Link { uri: uri.into(), expires_at, signature: resource::signature(&key, uri, expires_at) })
    }

    /// Whether a link is one of ours and not over.
    pub fn is_signed(&self, link: &Link) -> Result<bool, Error> {
        if link.expires_at < self.engine.now().wall_ms {
            return Ok(false);
        }
        let expected = resource::signature(&self.link_key()?, &link.uri, link.expires_at);
        Ok(resource::token_hash(&expected) == resource::token_hash(&link.signature))
    }

    /// The workspace of a signed link's resource.
    pub fn of_workspace(&self, uri: &str) -> Option<LocalFiles> {
        let (workspace, ..) = crate::store::uri_parts(uri)?;
        Some(LocalFiles { workspace: workspace.into(), ..self.clone() })
    }

    /// Opens any resource for reading: a file as it is, data as EDN or JSON text.
    pub fn download(&self, uri: &str) -> Result<FileReader, Error> {
        let (resource, data) = self.read(|rows, store_ms| {
            let found = resource::find(rows, &self.workspace, uri, store_ms)?;
            let data = match found.kind.as_str() {
                resource::FILE => None,
                resource::KV => Some(rows.value(found.seq)?.map_or(Value::Nil, Value::Text)),
                _ => {
                    let query = resource::Query { limit: limits::QUERY_ROWS_MAX, ..resource::Query::default() };
                    let page = resource::run_query(rows, found.seq, &query)?;
                    Some(Value::Vector(page.rows.into_iter().map(Value::Text).collect()))
                }
            };
            Ok((resource::describe(rows, &found, |store_ms| store_ms)?, data))
        })?;
        let Some(data) = data else { return self.get(uri) };
        let text = json::write(&data).into_bytes();
        let size = text.len() as u64;
        let bytes = move |offset: u64, limit: u64| Ok(text[offset as usize..(offset + limit) as usize].to_vec());
        Ok(FileReader::new(resource, size, Box::new(bytes)))
    }

    fn link_key(&self) -> Result<String, Error> {
        if let Some(key) = self.read(|rows, _| Ok(rows.meta(LINK_KEY)?))? {
            return Ok(key);
        }
        self.write(|work| {
            let (tx, _, ids) = work.resources();
            if let Some(key) = tx.meta(LINK_KEY)? {
                return Ok(key);
            }
            let key = format!("{}{}", ids.token(), ids.token());
            tx.put_meta(LINK_KEY, &key)?;
            Ok(key)
        })
    }

    fn read<T>(&self, read: impl FnOnce(&mut dyn Rows, i64) -> resource::Result<T>) -> Result<T, Error> {
        Ok(self.engine.read(|rows, now| Ok(read(rows, now.store_ms)?))?)
    }

    fn write<T: Send + 'static>(
        &self,
        op: impl FnMut(&mut Work) -> engine::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        wait(&self.engine, op)
    }
}

/// Writes and waits for the commit.
pub(super) fn wait<T: Send + 'static>(
    engine: &Engine,
    op: impl FnMut(&mut Work) -> engine::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let (tell, told) = mpsc::sync_channel(1);
    let done = move |result| {
        // The receiver is gone only where the caller's thread is.
        let _ = tell.send(result);
    };
    let result = match engine.write(Class::Urgent, op, done) {
        Some(result) => result,
        None => told.recv().unwrap_or(Err(engine::Error::Closed)),
    };
    Ok(result?)
}

impl Files for LocalFiles {
    fn put(&self, new: NewFile, bytes: &mut dyn Bytes) -> Reply {
        let mut spool = self.blobs.spool()?;
        let mut chunk = vec![0; limits::READ_BYTES_MAX as usize];
        loop {
            match bytes.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => spool.write(&chunk[..read])?,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::new(Code::InvalidArgument, format!("file cannot be read: {error}"))),
            }
        }
        let begun = self.begin(&new, |_| Ok(()))?;
        Upstream { files: self.clone(), session_id: begun.session_id, spool }.finish()
    }

    fn get(&self, uri: &str) -> Result<FileReader, Error> {
        let shown = |store_ms| self.engine.now().shown(store_ms);
        let (resource, described) = self.read(|rows, store_ms| {
            let found = resource::find(rows, &self.workspace, uri, store_ms)?;
            let described = resource::describe(rows, &found, shown)?;
            Ok((found, described))
        })?;
        let Some(hash) = resource.hash else {
            return Err(Error::new(Code::InvalidArgument, format!("resource \"{uri}\" is not a file")));
        };
        let blobs = self.blobs.clone();
        let bytes = move |offset, limit| Ok(blobs.read(&hash, offset, limit)?);
        Ok(FileReader::new(described, resource.size_bytes as u64, Box::new(bytes)))
    }
}

/// A link to a resource's content, signed.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    pub uri: String,
    /// By the wall clock, in milliseconds.
    pub expires_at: i64,
    pub signature: String,
}

fn open_upload(upload: Option<Upload>, store_ms: i64) -> resource::Result<Option<Upload>> {
    match upload.filter(|upload| upload.expires_ms > store_ms) {
        Some(upload) if upload.done => {
            Err(resource::Error::Refused("upload has its bytes already; begin another one".into()))
        }
        other => Ok(other),
    }
}

/// `{:uri :content-type :size-bytes}`, of what is known of a file.
pub fn uploaded(resource: &Value) -> Value {
    let of = |name: &str| resource.get(name).cloned();
    MapBuilder::new()
        .put_some("uri", of("uri"))
        .put_some("content-type", of("content-type"))
        .put_some("size-bytes", of("size-bytes"))
        .build()
}
