//! What a handler may ask of this program while it runs: its job's files, its progress, its result.
//! It does not read argv or the environment; it is told where the job's directory is.

use super::folder::JobFolder;
use super::{calls, result};
use crate::api::{Client, Code, Error, Names, Reply, ask};
use serde_json::{Map, Value, json};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const REDACTED: &str = "[redacted]";

/// The files of a running job, and what can be done with them.
pub struct HandlerSide {
    pub(super) folder: JobFolder,
}

/// The end that a handler declares: what is absent stays as it is in the result.
#[derive(Default)]
pub struct Finish {
    pub status: String,
    pub fields: Map<String, Value>,
}

impl HandlerSide {
    /// The side of a handler whose job directory is `path`.
    pub fn at(path: PathBuf) -> Result<HandlerSide, Error> {
        let folder = JobFolder::existing(path);
        if !folder.context_file().is_file() {
            let text = format!("job directory \"{}\" holds no worker-context.json", folder.path.display());
            return Err(Error::new(Code::InvalidArgument, text));
        }
        Ok(HandlerSide { folder })
    }

    /// The job's files in one object, its lease token hidden.
    pub fn state(&self) -> Result<Value, Error> {
        let mut job = read(&self.folder.job_file())?;
        let mut context = read(&self.folder.context_file())?;
        for object in [&mut job, &mut context] {
            if let Some(token) = object.get_mut("leaseToken") {
                *token = REDACTED.into();
            }
        }
        let result = match result::read(&self.folder.result_file()) {
            result::Found::Nothing => Value::Null,
            result::Found::Object(object) => object.into(),
            result::Found::Broken(problem) => return Err(Error::new(Code::InvalidArgument, problem)),
        };
        Ok(json!({
            "jobDir": self.folder.path.to_string_lossy(),
            "job": job,
            "payload": read(&self.folder.payload_file())?,
            "context": context,
            "result": result,
        }))
    }

    /// Reports progress under the job's lease.
    pub fn progress(&self, client: &dyn Client, fields: Map<String, Value>) -> Reply {
        let context = read(&self.folder.context_file())?;
        let mut args = fields;
        for name in ["jobId", "leaseToken"] {
            args.insert(name.into(), context[name].clone());
        }
        self.folder.await_turn().map_err(|e| Error::new(Code::Internal, format!("worker cannot be awaited: {e}")))?;
        ask(client, "jobs.progress", calls::to_value(&args.into())?, Names::Json)
    }

    /// Writes how the job ended into its result; what an earlier call wrote is kept where it does not contradict.
    pub fn finish(&self, finish: Finish) -> Result<Value, Error> {
        let Finish { status, fields } = finish;
        let mut written = Value::Null;
        let changed = result::edit(&self.folder.result_file(), |object| {
            if status != "failed" {
                ["message", "code", "details", "retryable"].iter().for_each(|name| drop(object.remove(*name)));
            }
            object.insert("status".into(), status.into());
            for (name, value) in fields {
                let before = object.remove(&name).unwrap_or_default();
                object.insert(name, over(before, value));
            }
            written = object.clone().into();
        });
        changed.map_err(|e| Error::new(Code::InvalidArgument, format!("result cannot be written: {e}")))?;
        Ok(json!({"resultFile": self.folder.result_file().to_string_lossy(), "result": written}))
    }
}

/// `name=value` pairs over a whole value that was given beside them; nothing where neither was given.
pub fn pairs_over(whole: Option<Value>, pairs: Vec<(String, Value)>) -> Option<Value> {
    if pairs.is_empty() {
        return whole;
    }
    Some(over(whole.unwrap_or_default(), Map::from_iter(pairs).into()))
}

/// An object's entries over another's; anything else replaces.
fn over(before: Value, after: Value) -> Value {
    match (before, after) {
        (Value::Object(mut before), Value::Object(after)) => {
            before.extend(after);
            before.into()
        }
        (_, after) => after,
    }
}

pub(super) fn read(path: &Path) -> Result<Value, Error> {
    let name = path.display();
    let bytes = std::fs::read(path).map_err(|e| match e.kind() {
        ErrorKind::NotFound => Error::new(Code::NotFound, format!("file \"{name}\" does not exist")),
        _ => Error::new(Code::InvalidArgument, format!("file \"{name}\" cannot be read: {e}")),
    })?;
    serde_json::from_slice(&bytes)
        .map_err(|e| Error::new(Code::InvalidArgument, format!("file \"{name}\" is not JSON: {e}")))
}
