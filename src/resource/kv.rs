//! Values under keys: `job:<job id>:<key>`, with a time to live where one is given.
//! It does not parse the values.

use super::{At, KV, Result};
use crate::store::{Artifact, Resource, Text, Tx};
use crate::value::{MapBuilder, edn};

/// A value to be stored under a key of a job's.
#[derive(Clone, Debug)]
pub struct NewValue {
    pub label: String,
    /// Of the artifact.
    pub kind: String,
    /// The label where it is absent.
    pub key: Option<String>,
    pub content_type: String,
    pub value: Text,
    pub ttl_ms: Option<i64>,
}

/// Stores a value, or replaces the one under the same key; gives the artifact to be recorded.
pub fn put_value(tx: &mut dyn Tx, at: &At, new: &NewValue) -> Result<Artifact> {
    let key = format!("job:{}:{}", at.job_id, new.key.as_deref().unwrap_or(&new.label));
    let mut resource = match tx.resource_by_name(at.workspace, KV, &key)? {
        Some(known) => known,
        None => made(tx, at, KV, &key)?,
    };
    resource.label = Some(new.label.clone());
    resource.content_type.clone_from(&new.content_type);
    resource.size_bytes = new.value.len() as i64;
    resource.expires_ms = new.ttl_ms.map(|ttl_ms| at.store_ms + ttl_ms);
    resource.updated_at = at.wall_ms;
    tx.update_resource(&resource)?;
    tx.put_value(resource.seq, &new.value)?;
    let artifact = MapBuilder::new()
        .put("label", new.label.as_str())
        .put("kind", new.kind.as_str())
        .put("content-type", new.content_type.as_str())
        .put("resource-uri", resource.uri())
        .put("key", key)
        .put("size-bytes", resource.size_bytes)
        .build();
    Ok(Artifact { kind: new.kind.clone(), label: Some(new.label.clone()), artifact: edn::write(&artifact).into() })
}

/// A resource of the job's that there was not before.
pub(super) fn made(tx: &mut dyn Tx, at: &At, kind: &str, name: &str) -> Result<Resource> {
    let mut resource = Resource {
        workspace_id: at.workspace.into(),
        kind: kind.into(),
        id: at.new_id.clone(),
        name: Some(name.into()),
        job_seq: Some(at.job_seq),
        created_at: at.wall_ms,
        updated_at: at.wall_ms,
        ..Resource::default()
    };
    resource.seq = tx.insert_resource(&resource)?;
    tx.insert_ref(at.job_seq, resource.seq)?;
    Ok(resource)
}
