//! What jobs produce: values under keys, rows of tables, files by the hash of their bytes.
//! It does not know leases, commands or surfaces: who may attach is decided before it is asked.

mod blobs;
mod bucket;
mod descriptors;
mod error;
mod files;
mod kv;
mod link;
mod media;
mod order;
mod query;
mod table;

pub use blobs::{Blobs, Kept, Owner, Spool, hex};
pub use descriptors::spare as spare_descriptors;
pub use error::{Error, Result};
pub use files::{Begun, NewFile, begin, finish, token_hash};
pub use kv::{NewValue, put_value};
pub use link::signature;
pub use media::{BYTES, content_type, is_text_type};
pub use query::{Found, Query, run_query};
pub use table::{Mode, NewRow, NewRows, names, put_rows};

use crate::store::{Resource, Rows, uri_parts};
use crate::value::{MapBuilder, Value};

pub const FILE: &str = "file";
pub const KV: &str = "kv";
pub const TABLE: &str = "table";
pub const TABLE_CONTENT_TYPE: &str = "application/vnd.breyta.table+json";

/// For which job, and when, something is attached.
#[derive(Clone, Debug)]
pub struct At<'a> {
    pub workspace: &'a str,
    pub job_id: &'a str,
    pub job_seq: i64,
    pub wall_ms: i64,
    pub store_ms: i64,
    /// Of a resource that has to be made; nobody guesses it.
    pub new_id: String,
}

/// The resource of that URI, if it is in the workspace and its time is not over.
pub fn find(rows: &mut dyn Rows, workspace: &str, uri: &str, store_ms: i64) -> Result<Resource> {
    let unknown = || Error::NotFound(format!("resource \"{}\" is unknown", shortened(uri)));
    let (of, kind, id) = uri_parts(uri).ok_or_else(|| {
        Error::Invalid(format!(
            "uri \"{}\" is not a resource's; allowed: res://v1/ws/<workspace>/<file, result/kv or result/table>/<id>",
            shortened(uri)
        ))
    })?;
    if of != workspace {
        return Err(unknown());
    }
    let found = rows.resource_by_id(workspace, kind, id)?;
    found.filter(|resource| lives(resource, store_ms)).ok_or_else(unknown)
}

/// The file of that URI in the workspace, whether its bytes are there or not.
pub fn find_file(rows: &mut dyn Rows, workspace: &str, uri: &str) -> Result<Resource> {
    let found = match uri_parts(uri) {
        Some((of, FILE, id)) if of == workspace => rows.resource_by_id(workspace, FILE, id)?,
        Some(_) | None => None,
    };
    found.ok_or_else(|| Error::NotFound(format!("file \"{}\" is unknown", shortened(uri))))
}

fn lives(resource: &Resource, store_ms: i64) -> bool {
    resource.expires_ms.is_none_or(|expires_ms| expires_ms > store_ms)
        && (resource.kind != FILE || resource.hash.is_some())
}

/// A resource as callers see it; `shown` names a moment of the store's by the wall clock.
pub fn describe(rows: &mut dyn Rows, resource: &Resource, shown: impl Fn(i64) -> i64) -> Result<Value> {
    let job = rows.job_of_resource(resource.seq)?;
    let (job_id, job_type) = job.map_or((None, None), |(id, job_type)| (Some(id), Some(job_type)));
    let table = if resource.kind == TABLE { rows.table(resource.seq)? } else { None };
    let name = |kind: &str| resource.name.clone().filter(|_| resource.kind == kind);
    let described = MapBuilder::new()
        .put("uri", resource.uri())
        .put("type", kind_path(&resource.kind))
        .put("content-type", resource.content_type.as_str())
        .put("size-bytes", resource.size_bytes)
        .put_some("label", resource.label.clone())
        .put_some("key", name(KV))
        .put_some("table-id", (resource.kind == TABLE).then(|| resource.id.clone()))
        .put_some("table-name", name(TABLE))
        .put_some("folder", resource.folder.clone().filter(|folder| !folder.is_empty()))
        .put_some("filename", resource.filename.clone())
        .put_some("sha256", resource.hash.clone());
    let described = match table {
        Some(table) => described
            .put("row-count", table.row_count)
            .put("key-fields", strings(names(&table.key_fields)))
            .put("index-fields", strings(names(&table.index_fields)))
            .put("fields", strings(names(&table.fields))),
        None => described,
    };
    Ok(described
        .put_some("expires-at", resource.expires_ms.map(|expires_ms| Value::Inst(shown(expires_ms))))
        .put("created-at", Value::Inst(resource.created_at))
        .put("updated-at", Value::Inst(resource.updated_at))
        .put_some("job-id", job_id)
        .put_some("job-type", job_type)
        .build())
}

/// `file`, `result/kv`, `result/table`
fn kind_path(kind: &str) -> String {
    if matches!(kind, KV | TABLE) { format!("result/{kind}") } else { kind.to_string() }
}

fn strings(names: Vec<String>) -> Vec<Value> {
    names.into_iter().map(Value::from).collect()
}

/// A caller's text as a message shows it.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}
