//! How the commands about resources run: attach, read, list, query, delete.
//! It does not know how they are stored, nor where the bytes of files are.

use super::Reply;
use super::args::Args;
use super::error::{Code, Error};
use super::files::LocalFiles;
use super::run::{Reading, before, items_data};
use crate::engine::{self, Attaching, Now, Work};
use crate::job::limits;
use crate::resource::{self, At, Mode, NewRows, NewValue, Query};
use crate::store::{Artifact, Job, Resource, ResourcePage, Rows};
use crate::value::{MapBuilder, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub fn attach_kv(work: &mut Work, workspace: &str, args: &Args) -> engine::Result<Value> {
    let new = NewValue {
        label: args.text("label").into(),
        kind: args.maybe_string("kind").unwrap_or_else(|| resource::KV.into()),
        key: args.maybe_string("key"),
        content_type: args.maybe_string("content-type").unwrap_or_else(|| "application/json".into()),
        value: args.open("value").unwrap_or_else(|| "nil".into()),
        ttl_ms: args.int("ttl-seconds").map(|seconds| seconds * 1_000),
    };
    let put = |Attaching { tx, job, now, id }: Attaching| resource::put_value(tx, &at(workspace, job, now, id), &new);
    work.attach(workspace, args.text("job-id"), args.text("lease-token"), put).map(artifact_data)
}

pub fn attach_table(work: &mut Work, workspace: &str, args: &Args) -> engine::Result<Value> {
    let new = NewRows {
        label: args.text("label").into(),
        kind: args.maybe_string("kind").unwrap_or_else(|| resource::TABLE.into()),
        content_type: args.maybe_string("content-type"),
        table: args.maybe_string("table"),
        mode: if args.maybe_text("write-mode") == Some("upsert") { Mode::Upsert } else { Mode::Append },
        key_fields: args.names("key-fields").unwrap_or_default(),
        index_fields: args.names("index-fields").unwrap_or_default(),
        rows: args.rows(),
    };
    let put = |Attaching { tx, job, now, id }: Attaching| resource::put_rows(tx, &at(workspace, job, now, id), &new);
    work.attach(workspace, args.text("job-id"), args.text("lease-token"), put).map(artifact_data)
}

fn at<'a>(workspace: &'a str, job: &'a Job, now: Now, new_id: String) -> At<'a> {
    At { workspace, job_id: &job.job_id, job_seq: job.seq, wall_ms: now.wall_ms, store_ms: now.store_ms, new_id }
}

fn artifact_data(artifact: Artifact) -> Value {
    MapBuilder::new().put("artifact", super::view::artifact(&artifact.artifact)).build()
}

pub fn get(reading: &mut Reading, args: &Args) -> Reply {
    let Reading { rows, now, workspace } = reading;
    let found = resource::find(*rows, workspace, args.text("uri"), now.store_ms)?;
    let described = resource::describe(*rows, &found, |store_ms| now.shown(store_ms))?;
    Ok(MapBuilder::new().put("resource", described).build())
}

pub fn list(reading: &mut Reading, args: &Args) -> Reply {
    let Reading { rows, now, workspace } = reading;
    let job_seq = match args.maybe_text("job-id") {
        Some(job_id) => {
            let found = rows.job_by_id(job_id)?.filter(|job| job.workspace_id == *workspace);
            Some(found.ok_or_else(|| engine::Error::NoJob(job_id.into()))?.seq)
        }
        None => None,
    };
    let limit = args.int("limit").unwrap_or(limits::LIST_DEFAULT);
    let mut found = rows.list_resources(&ResourcePage {
        workspace_id: workspace,
        kind: args.maybe_text("type"),
        job_seq,
        now_ms: now.store_ms,
        before: before(args)?,
        limit: limit + 1,
    })?;
    let more = found.len() as i64 > limit;
    found.truncate(limit as usize);
    let mut items = Vec::with_capacity(found.len());
    for resource in &found {
        items.push(resource::describe(*rows, resource, |store_ms| now.shown(store_ms))?);
    }
    Ok(items_data(items, found.last().map(|last| last.seq).filter(|_| more)))
}

pub fn read(files: &LocalFiles, args: &Args) -> Reply {
    let LocalFiles { engine, workspace, blobs } = files;
    let uri = args.text("uri");
    let offset = args.int("offset").unwrap_or(0);
    let content = engine.read(|rows, now| {
        let found = resource::find(rows, workspace, uri, now.store_ms)?;
        let head = MapBuilder::new().put("uri", found.uri()).put("content-type", found.content_type.as_str());
        Ok(match found.kind.as_str() {
            resource::KV => Content::Read(head.put("content", value_of(rows, &found)?).build()),
            resource::TABLE => Content::Read(table_content(rows, &found, args, offset)?),
            _ => Content::Bytes(head, Box::new(found)),
        })
    })?;
    match content {
        Content::Read(data) => Ok(data),
        Content::Bytes(head, found) => {
            let limit = args.int("limit").unwrap_or(limits::READ_BYTES_MAX).min((found.size_bytes - offset).max(0));
            let hash = found.hash.as_deref().unwrap_or_default();
            let bytes = if limit == 0 { Vec::new() } else { blobs.read(hash, offset as u64, limit as u64)? };
            Ok(bytes_content(head, &found, args.maybe_text("view"), offset, bytes))
        }
    }
}

/// What was read in the store, or what is to be read elsewhere.
enum Content {
    Read(Value),
    Bytes(MapBuilder, Box<Resource>),
}

fn value_of(rows: &mut dyn Rows, found: &Resource) -> resource::Result<Value> {
    Ok(rows.value(found.seq)?.map_or(Value::Nil, Value::Text))
}

fn table_content(rows: &mut dyn Rows, found: &Resource, args: &Args, offset: i64) -> resource::Result<Value> {
    let limit = args.int("limit").unwrap_or(limits::QUERY_ROWS_DEFAULT).min(limits::QUERY_ROWS_MAX);
    let row_count = rows.table(found.seq)?.map_or(0, |table| table.row_count);
    let page = resource::run_query(rows, found.seq, &Query { limit, offset, ..Query::default() })?;
    Ok(MapBuilder::new()
        .put("uri", found.uri())
        .put("content-type", found.content_type.as_str())
        .put("table-id", found.id.as_str())
        .put_some("table-name", found.name.clone())
        .put("rows", page.rows.into_iter().map(Value::Text).collect::<Vec<_>>())
        .put("row-count", row_count)
        .put("limit", limit)
        .put("offset", offset)
        .put("has-more", page.has_more)
        .build())
}

/// Text where it is asked for or the type is a text's and the bytes are one, else base64.
fn bytes_content(head: MapBuilder, found: &Resource, view: Option<&str>, offset: i64, mut bytes: Vec<u8>) -> Value {
    let wants_text = view.map_or_else(|| resource::is_text_type(&found.content_type), |view| view == "text");
    let is_last = offset + bytes.len() as i64 >= found.size_bytes;
    if wants_text && let Err(error) = std::str::from_utf8(&bytes) {
        // A character that the limit cuts comes with the next part.
        if error.error_len().is_none() && error.valid_up_to() > 0 && !is_last {
            bytes.truncate(error.valid_up_to());
        }
    }
    let end = offset + bytes.len() as i64;
    let head = match String::from_utf8(bytes) {
        Ok(text) if wants_text => head.put("content", text),
        Ok(text) => head.put("encoding", "base64").put("content", STANDARD.encode(text)),
        Err(error) => head.put("encoding", "base64").put("content", STANDARD.encode(error.as_bytes())),
    };
    head.put("size-bytes", found.size_bytes)
        .put("offset", offset)
        .put("next-offset", end)
        .put("has-more", end < found.size_bytes)
        .build()
}

pub fn query_table(reading: &mut Reading, args: &Args) -> Reply {
    let Reading { rows, now, workspace } = reading;
    let found = resource::find(*rows, workspace, args.text("uri"), now.store_ms)?;
    if found.kind != resource::TABLE {
        return Err(Error::new(Code::InvalidArgument, format!("resource \"{}\" is not a table", found.uri())));
    }
    let (conditions, sort) = (args.open("where"), args.open("sort"));
    let query = Query {
        select: args.names("select"),
        limit: args.int("limit").unwrap_or(limits::QUERY_ROWS_DEFAULT),
        offset: args.int("offset").unwrap_or(0),
        ..Query::read(conditions.as_deref(), sort.as_deref())?
    };
    let page = resource::run_query(*rows, found.seq, &query)?;
    let shown =
        MapBuilder::new().put("limit", query.limit).put("offset", query.offset).put("has-more", page.has_more).build();
    Ok(MapBuilder::new()
        .put("uri", found.uri())
        .put("table-id", found.id.as_str())
        .put_some("table-name", found.name.clone())
        .put("count", page.rows.len() as i64)
        .put("rows", page.rows.into_iter().map(Value::Text).collect::<Vec<_>>())
        .put("page", shown)
        .build())
}

pub fn delete(work: &mut Work, workspace: &str, args: &Args) -> engine::Result<Value> {
    let (tx, now, _) = work.resources();
    let found = resource::find(tx, workspace, args.text("uri"), now.store_ms)?;
    tx.remove_resource(&found)?;
    Ok(MapBuilder::new().put("uri", found.uri()).put("deleted", true).build())
}

pub fn prune(files: &LocalFiles, args: &Args) -> Reply {
    let (job_type, older_than) = (args.maybe_text("job-type"), args.int("older-than"));
    let pruned = files.engine.prune(Some(&files.workspace), job_type, older_than)?;
    let swept = super::sweep::sweep(&files.engine, &files.blobs)?;
    Ok(MapBuilder::new()
        .put("jobs", pruned.jobs)
        .put("batches", pruned.batches)
        .put("resources", pruned.resources + swept.resources)
        .build())
}

pub fn retention(work: &mut Work, workspace: &str, args: &Args) -> engine::Result<Value> {
    let by_type = args.keeps("by-type");
    let retention = work.retention(workspace, args.int("keep"), by_type.as_deref())?;
    Ok(MapBuilder::new().put("retention", retention.to_value()).build())
}

impl From<resource::Error> for engine::Error {
    fn from(error: resource::Error) -> engine::Error {
        match error {
            resource::Error::Invalid(text) => engine::Error::Invalid(text),
            resource::Error::NotFound(text) => engine::Error::NotFound(text),
            resource::Error::TooLarge(text) => engine::Error::TooLarge(text),
            resource::Error::Refused(text) => engine::Error::Forbidden(text),
            resource::Error::Unavailable(text) => engine::Error::Store(crate::store::Error::Unavailable(text)),
            resource::Error::Store(error) => engine::Error::Store(error),
        }
    }
}

impl From<resource::Error> for Error {
    fn from(error: resource::Error) -> Error {
        engine::Error::from(error).into()
    }
}
