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
use std::io;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Bytes that are read at once, and parts that wait to be sent.
const PART_BYTES: usize = 64 << 10;
const PARTS: usize = 4;
/// How long a connection may take no part: a slow one is waited for, one that stands still is not.
const STALL_MAX: Duration = Duration::from_secs(120);
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// The files of a control plane's workspace.
pub struct RemoteFiles(pub Arc<Remote>);

impl Files for RemoteFiles {
    fn put(&self, new: NewFile, bytes: &mut dyn Bytes) -> Reply {
        let line = &self.0.line;
        let begun = retried(line, |_| self.begin(&new))?;
        let uri = begun.get("uri").and_then(Value::as_str).ok_or_else(|| odd("an upload without a uri"))?;
        let path = format!("/api/files/uploads/direct?uri={}", percent(uri, ":/"));
        let sent = retried(line, |again| {
            if again {
                bytes.rewind().map_err(unreadable)?;
            }
            send(line, &path, bytes)
        });
        // Where it was refused an earlier try may have come through, whose answer did not.
        let refusal = match sent {
            Err(error) if error.code == Code::Refused => Some(error),
            sent => sent.map(|_| None)?,
        };
        let args = MapBuilder::new().put("uri", uri).build();
        match (api::ask(&*self.0, "resources.get", args, Names::Clojure), refusal) {
            (Ok(reply), _) => reply.get("resource").cloned().ok_or_else(|| odd("no resource")),
            (Err(_), Some(refusal)) => Err(refusal),
            (Err(error), None) => Err(error),
        }
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

/// Tries, and tries again while that may help; `work` is told whether it is not the first time.
fn retried(line: &Line, mut work: impl FnMut(bool) -> Reply) -> Reply {
    let begun = Instant::now();
    let mut again = false;
    loop {
        match work(again) {
            Err(error) if error.code.row().retry && begun.elapsed() < line.retry_for() => {
                again = true;
                std::thread::park_timeout(RETRY_PAUSE);
            }
            reply => return reply,
        }
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
    let (sender, body) = Channel::<bytes::Bytes, io::Error>::new(PARTS);
    let (tell, told) = mpsc::sync_channel(1);
    let (asked, path) = (line.clone(), path.to_owned());
    let handle = runtime::handle()?;
    let request = handle.spawn(async move {
        // The receiver is gone only where the caller's thread is.
        let _ = tell.send(asked.put(&path, reqwest::Body::wrap(body)).await);
    });
    let fed = feed(&handle, sender, bytes, STALL_MAX);
    let reply = match fed {
        // What the server says may have been said before all was sent.
        Ok(size) => told.recv_timeout(line.answer_max(size)).map_err(|_| line.silent()),
        Err(error) => Err(error),
    };
    request.abort();
    reply?
}

/// Gives the request its body, and counts it; what is not taken any more has been answered already.
fn feed(
    handle: &tokio::runtime::Handle,
    mut sender: Sender<bytes::Bytes, io::Error>,
    bytes: &mut dyn Bytes,
    stall_max: Duration,
) -> Result<u64, Error> {
    let mut size = 0;
    loop {
        let mut part = vec![0; PART_BYTES];
        let read = match bytes.read(&mut part) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                // A body that only ends would be taken for the whole file.
                sender.abort(io::Error::from(error.kind()));
                return Err(unreadable(error));
            }
            Ok(read) => read,
        };
        part.truncate(read);
        if read == 0 {
            return Ok(size);
        }
        size += read as u64;
        match handle.block_on(async { timeout(stall_max, sender.send_data(part.into())).await }) {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Ok(size),
            Err(_) => {
                sender.abort(io::ErrorKind::TimedOut.into());
                let text = format!("upload stands still: nothing of it was taken for {stall_max:?}");
                return Err(Error::new(Code::Unavailable, text));
            }
        }
    }
}

fn unreadable(error: io::Error) -> Error {
    Error::new(Code::InvalidArgument, format!("file cannot be read: {error}"))
}

fn odd(what: &str) -> Error {
    Error::new(Code::Internal, format!("control plane answered {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    fn fed(parts: usize, stall_max: Duration, take: usize) -> Result<u64, Error> {
        let handle = runtime::handle().unwrap();
        let (sender, mut body) = Channel::new(PARTS);
        let taking = handle.spawn(async move {
            for _ in 0..take {
                body.frame().await;
            }
            body
        });
        let fed = feed(&handle, sender, &mut io::Cursor::new(vec![7; parts * PART_BYTES]), stall_max);
        drop(handle.block_on(taking));
        fed
    }

    #[test]
    fn an_upload_of_which_nothing_is_taken_ends_and_one_that_moves_goes_on() {
        let error = fed(20, Duration::from_millis(50), 3).unwrap_err();
        assert_eq!(error.code, Code::Unavailable);
        assert!(error.message.contains("stands still"), "{error}");
        assert_eq!(fed(20, Duration::from_secs(60), 20).unwrap(), 20 * PART_BYTES as u64);
    }
}
