//! What a handler attaches to its job: a value or rows at once, a file with the result; all of it stands in its result.
//! It does not read argv, and does not know where files are kept.

use super::helpers::{HandlerSide, read};
use super::result;
use crate::api::{Client, Code, Error, Names, NewFile, ask, content_type};
use crate::value::json as value_json;
use rustix::fs::OFlags;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Marks an artifact that the job has already: it is not sent again with the result.
const PERSISTED: &str = "_breytaPersisted";
/// The first bytes of a file that its type is told from.
const HEAD_BYTES: u64 = 1024;

/// A file to be attached.
#[derive(Debug, Default)]
pub struct AttachFile {
    pub path: PathBuf,
    /// The file's name where it is absent.
    pub label: Option<String>,
    /// `file` where it is absent.
    pub kind: Option<String>,
    pub content_type: Option<String>,
    /// Of the resource, for people.
    pub resource_label: Option<String>,
}

impl HandlerSide {
    /// Stores a file, and adds it to the artifacts of the result; gives the artifact.
    pub fn attach_file(&self, client: &dyn Client, attach: AttachFile) -> Result<Value, Error> {
        let AttachFile { path, label, kind, content_type: given, resource_label } = attach;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let filename = name.ok_or_else(|| unreadable(&path, "it has no name"))?;
        let mut file = open(&path)?;
        let mut head = Vec::new();
        let looked = (&mut file).take(HEAD_BYTES).read_to_end(&mut head).and_then(|_| file.rewind());
        looked.map_err(|cause| unreadable(&path, &cause.to_string()))?;
        let content_type = given.unwrap_or_else(|| content_type(&filename, &head));
        let new = NewFile {
            filename: filename.clone(),
            content_type: Some(content_type),
            label: resource_label.clone(),
            ..NewFile::default()
        };
        let stored = client.files()?.put(new, &mut file)?;
        let stored: Value = serde_json::from_str(&value_json::write(&stored)).unwrap_or_default();
        let mut artifact = json!({
            "kind": kind.unwrap_or_else(|| "file".into()),
            "label": label.unwrap_or_else(|| filename.clone()),
            "contentType": stored["contentType"],
            "resourceUri": stored["uri"],
            "filename": filename,
            "sizeBytes": stored["sizeBytes"],
        });
        if let Some(resource_label) = resource_label {
            artifact["resourceLabel"] = resource_label.into();
        }
        self.add(artifact.clone())?;
        Ok(artifact)
    }

    /// Attaches a value (`jobs.attach_kv`) or rows (`jobs.attach_table`) under the job's lease; gives the artifact.
    pub fn attach(
        &self,
        client: &dyn Client,
        command: &'static str,
        fields: Map<String, Value>,
    ) -> Result<Value, Error> {
        let context = read(&self.folder.context_file())?;
        let mut args = fields;
        for name in ["jobId", "leaseToken"] {
            args.insert(name.into(), context[name].clone());
        }
        let args = value_json::read(Value::from(args).to_string().as_bytes(), crate::api::open_fields())
            .map_err(|fault| Error::new(Code::InvalidArgument, fault.message.clone()).at(fault.path))?;
        let reply = ask(client, command, args, Names::Json)?;
        let artifact = reply.get("artifact").map(value_json::write).unwrap_or_default();
        let artifact: Value = serde_json::from_str(&artifact)
            .map_err(|cause| Error::new(Code::Internal, format!("reply has no artifact: {cause}")))?;
        let mut marked = artifact.clone();
        marked[PERSISTED] = true.into();
        self.add(marked)?;
        Ok(artifact)
    }

    /// Adds an artifact to the result; one of the same kind and label is replaced.
    fn add(&self, artifact: Value) -> Result<(), Error> {
        let added = result::edit(&self.folder.result_file(), |object| {
            let mut all = match object.remove("artifacts") {
                Some(Value::Array(all)) => all,
                None | Some(Value::Null) => Vec::new(),
                Some(lone) => vec![lone],
            };
            let same = |other: &Value| other["kind"] == artifact["kind"] && other["label"] == artifact["label"];
            match all.iter_mut().find(|other| same(other)) {
                Some(other) => *other = artifact.clone(),
                None => all.push(artifact.clone()),
            }
            object.insert("artifacts".into(), all.into());
        });
        added.map_err(|cause| Error::new(Code::InvalidArgument, format!("result cannot be written: {cause}")))
    }
}

fn open(path: &Path) -> Result<File, Error> {
    // Not to wait on a pipe that stands in place of the file.
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let opened = File::options().read(true).custom_flags(nonblocking).open(path);
    let file = opened.map_err(|cause| unreadable(path, &cause.to_string()))?;
    match file.metadata() {
        Ok(found) if found.is_file() => Ok(file),
        Ok(_) => Err(unreadable(path, "it is not a file")),
        Err(cause) => Err(unreadable(path, &cause.to_string())),
    }
}

fn unreadable(path: &Path, problem: &str) -> Error {
    Error::new(Code::InvalidArgument, format!("file \"{}\" cannot be attached: {problem}", path.display()))
}
