//! Files as resources: begun with a name, given bytes once, replaced where that was asked for.
//! It does not move bytes: `blobs` does.

use super::blobs::hex;
use super::media::{self, content_type};
use super::{Error, FILE, Kept, Result, shortened};
use crate::job::limits;
use crate::store::{Resource, Tx, Upload};
use sha2::{Digest, Sha256};

/// A file that is to come.
#[derive(Clone, Debug, Default)]
pub struct NewFile {
    /// Only a name: it is never a path of ours.
    pub filename: String,
    pub folder: Option<String>,
    /// Told from the name and the bytes where it is absent.
    pub content_type: Option<String>,
    pub label: Option<String>,
    /// Whether the latest file of that folder and name gets these bytes, instead of a new one beside it.
    pub replace_existing: bool,
}

/// An upload that has begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Begun {
    pub uri: String,
    pub session_id: String,
}

impl NewFile {
    /// Refuses names that could be taken for paths, types that could not stand in a header, and what is too long.
    pub fn check(&self) -> Result<()> {
        let is_plain = |name: &str| {
            !name.is_empty()
                && name.len() <= limits::FILENAME_MAX
                && !matches!(name, "." | "..")
                && !name.chars().any(|c| matches!(c, '/' | '\\') || c.is_control())
        };
        if !is_plain(&self.filename) {
            let (given, max) = (shortened(&self.filename), limits::FILENAME_MAX);
            return Err(Error::Invalid(format!(
                "filename \"{given}\" is not a plain name; allowed: 1 to {max} bytes without / \\ and control characters"
            )));
        }
        if let Some(folder) = &self.folder
            && !folder.is_empty()
            && (folder.len() > limits::KEY_MAX || !folder.split('/').all(is_plain))
        {
            return Err(Error::Invalid(format!(
                "folder \"{}\" is not a relative path of plain names; allowed: \"reports/2026\"",
                shortened(folder)
            )));
        }
        if let Some(label) = &self.label
            && label.len() > limits::KEY_MAX
        {
            let (size, max) = (label.len(), limits::KEY_MAX);
            return Err(Error::Invalid(format!("label of the file is {size} bytes; at most {max} are allowed")));
        }
        check_content_type(self.content_type.as_deref())
    }
}

fn check_content_type(given: Option<&str>) -> Result<()> {
    let Some(given) = given else { return Ok(()) };
    let fits =
        given.len() <= limits::NAME_MAX && given.contains('/') && given.bytes().all(|b| (b' '..=b'~').contains(&b));
    if fits {
        return Ok(());
    }
    Err(Error::Invalid(format!("content type \"{}\" is none; allowed: such as text/plain", shortened(given))))
}

/// Begins an upload: the file is known from now on, and found once its bytes are there.
/// `token_hash` is of the secret that the one-time URL bears.
pub fn begin(
    tx: &mut dyn Tx,
    workspace: &str,
    new: &NewFile,
    ids: (String, String),
    token: &str,
    (wall_ms, store_ms): (i64, i64),
) -> Result<Begun> {
    new.check()?;
    let (id, session_id) = ids;
    let folder = new.folder.clone().unwrap_or_default();
    let known = if new.replace_existing { tx.file_by_name(workspace, &folder, &new.filename)? } else { None };
    let resource = match known {
        Some(known) => known,
        None => {
            let mut resource = Resource {
                workspace_id: workspace.into(),
                kind: FILE.into(),
                id,
                label: new.label.clone(),
                content_type: new.content_type.clone().unwrap_or_else(|| media::BYTES.into()),
                folder: Some(folder),
                filename: Some(new.filename.clone()),
                created_at: wall_ms,
                updated_at: wall_ms,
                ..Resource::default()
            };
            resource.seq = tx.insert_resource(&resource)?;
            resource
        }
    };
    tx.insert_upload(&Upload {
        session_id: session_id.clone(),
        resource_seq: resource.seq,
        content_type: new.content_type.clone().unwrap_or_default(),
        token_hash: token_hash(token),
        expires_ms: store_ms + limits::UPLOAD_MS,
        done: false,
    })?;
    Ok(Begun { uri: resource.uri(), session_id })
}

/// What is kept of a secret.
pub fn token_hash(token: &str) -> String {
    hex(&Sha256::digest(token))
}

/// Gives a file its bytes, and ends the upload.
pub fn finish(tx: &mut dyn Tx, session_id: &str, kept: &Kept, (wall_ms, store_ms): (i64, i64)) -> Result<Resource> {
    let upload = tx.upload(session_id)?.filter(|upload| upload.expires_ms > store_ms);
    let upload = upload.ok_or_else(|| Error::NotFound("upload is unknown or over; begin another one".into()))?;
    if upload.done {
        return Err(Error::Refused("upload has its bytes already; begin another one".into()));
    }
    let found = tx.resource(upload.resource_seq)?;
    let mut resource = found.ok_or_else(|| Error::NotFound("file of the upload was removed".into()))?;
    if let Some(before) = resource.hash.replace(kept.hash.clone())
        && before != kept.hash
    {
        tx.remove_bytes(&before)?;
    }
    resource.size_bytes = kept.size as i64;
    resource.content_type = match upload.content_type.as_str() {
        "" => content_type(resource.filename.as_deref().unwrap_or_default(), &kept.head),
        given => given.into(),
    };
    resource.updated_at = wall_ms;
    tx.update_resource(&resource)?;
    tx.finish_upload(session_id)?;
    Ok(resource)
}
