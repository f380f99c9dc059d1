//! Bytes of files to and from a control plane, a part at a time: uploads as one streamed request each, reads as commands.
//! It does not know how the server keeps them.

use super::line::Line;
use super::{Remote, runtime};
use crate::api::{self, Bytes, Code, Error, FileReader, Files, Names, NewFile, Reply};
use crate::http::files::percent;
use crate::value::{MapBuilder, Value, edn};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::channel::{Channel, Sender};
use std::convert::Infallible;
use std::sync::{Arc, mpsc};
use std::time::Instant;

/// Bytes that are read at once, and parts that wait to be sent.
const PART_BYTES: usize = 256 << 10;
const PARTS: usize = 4;

/// The files of a control plane's workspace.
pub struct RemoteFiles(pub Arc<Remote>);

impl Files for RemoteFiles {
    fn put(&self, new: NewFile, bytes: &mut dyn Bytes) -> Reply {
        let line = &self.0.line;
        let begun = self.begin(&new)?;
        let uri = begun.get("uri").and_then(Value::as_str).ok_or_else(|| odd("an upload without a uri"))?;
        let path = format!("/api/files/uploads/direct?uri={}", percent(uri, ":/"));
        let started = Instant::now();
        loop {
            match send(line, &path, bytes) {
                Ok(_) => break,
                // It came through, and its answer did not.
                Err(error) if error.code == Code::Refused => break,
                Err(error) if error.code.row().retry && started.elapsed() < line.retry_for() => {
                    bytes.rewind().map_err(unreadable)?;
                    std::thread::park_timeout(std::time::Duration::from_millis(500));
                }
                Err(error) => return Err(error),
            }
        }
        let args = MapBuilder::new().put("uri", uri).build();
        let reply = api::ask(&*self.0, "resources.get", args, Names::Clojure)?;
        reply.get("resource").cloned().ok_or_else(|| odd("no resource"))
    }

    fn get(&self, uri: &str) -> Result<FileReader, Error> {
        let args = MapBuilder::new().put("uri", uri).build();
        let reply = api::ask(&*self.0, "resources.get", args, Names::Clojure)?;
        let resource = reply.get("resource").cloned().ok_or_else(|| odd("no resource"))?;
        let size = match resource.get("size-bytes") {
            Some(Value::Int(size)) => u64::try_from(*size).unwrap_or(0),
            _ => return Err(odd("a resource without a size")),
        };
        let (client, uri) = (self.0.clone(), uri.to_owned());
        let part = move |offset: u64, limit: u64| {
            let args = MapBuilder::new()
                .put("uri", uri.as_str())
                .put("view", "base64")
                .put("offset", i64::try_from(offset).unwrap_or(i64::MAX))
                .put("limit", i64::try_from(limit).unwrap_or(i64::MAX))
                .build();
            let reply = api::ask(&*client, "resources.read", args, Names::Clojure)?;
            let content = reply.get("content").and_then(Value::as_str).unwrap_or_default();
            STANDARD.decode(content).map_err(|cause| odd(&format!("bytes that are not base64 ({cause})")))
        };
        Ok(FileReader::new(resource, size, Box::new(part)))
    }
}

impl RemoteFiles {
    fn begin(&self, new: &NewFile) -> Reply {
        let body = MapBuilder::new()
            .put("filename", new.filename.as_str())
            .put_some("folder", new.folder.as_deref())
            .put_some("content-type", new.content_type.as_deref())
            .put_some("label", new.label.as_deref())
            .put("replace-existing", new.replace_existing)
            .build();
        let line = self.0.line.clone();
        wait(async move { line.begin_upload(edn::write(&body)).await })
    }
}

/// Runs something on the client's thread and waits for it on this one.
fn wait(work: impl Future<Output = Reply> + Send + 'static) -> Reply {
    let (tell, told) = mpsc::sync_channel(1);
    runtime::handle()?.spawn(async move {
        // The receiver is gone only where the caller's thread is.
        let _ = tell.send(work.await);
    });
    told.recv().unwrap_or_else(|_| Err(odd("nothing")))
}

/// Sends bytes as the body of one request.
fn send(line: &Arc<Line>, path: &str, bytes: &mut dyn Bytes) -> Reply {
    let (sender, body) = Channel::<bytes::Bytes, Infallible>::new(PARTS);
    let (tell, told) = mpsc::sync_channel(1);
    let (line, path) = (line.clone(), path.to_owned());
    let handle = runtime::handle()?;
    handle.spawn(async move {
        // The receiver is gone only where the caller's thread is.
        let _ = tell.send(line.put(&path, reqwest::Body::wrap(body)).await);
    });
    feed(&handle, sender, bytes)?;
    told.recv().unwrap_or_else(|_| Err(odd("nothing")))
}

/// Gives the request its body; what is not taken any more has been answered already.
fn feed(handle: &tokio::runtime::Handle, mut sender: Sender<bytes::Bytes>, bytes: &mut dyn Bytes) -> Result<(), Error> {
    loop {
        let mut part = vec![0; PART_BYTES];
        let read = match bytes.read(&mut part) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(error)),
            Ok(read) => read,
        };
        part.truncate(read);
        if read == 0 || handle.block_on(sender.send_data(part.into())).is_err() {
            return Ok(());
        }
    }
}

fn unreadable(error: std::io::Error) -> Error {
    Error::new(Code::InvalidArgument, format!("file cannot be read: {error}"))
}

fn odd(what: &str) -> Error {
    Error::new(Code::Internal, format!("control plane answered {what}"))
}
