//! What a worker attaches to its job while it runs: fenced by its lease, stored and recorded in one transaction.
//! It does not know what is attached.

use super::clock::{Ids, Now};
use super::error::{Error, Result};
use super::work::Work;
use crate::job::{Event, decide};
use crate::store::{Artifact, Job, Resource, Text, Tx, uri_parts};
use crate::value::{Value, edn};

/// For what a worker attaches something.
pub struct Attaching<'a> {
    pub tx: &'a mut dyn Tx,
    pub job: &'a Job,
    pub now: Now,
    /// For something new.
    pub id: String,
}

impl Work<'_> {
    /// Has `put` store something for the job that the token holds, and records the artifact that it gives on the job.
    /// It extends the lease, as progress does.
    pub fn attach<E: Into<Error>>(
        &mut self,
        workspace: &str,
        job_id: &str,
        token: &str,
        put: impl FnOnce(Attaching) -> std::result::Result<Artifact, E>,
    ) -> Result<Artifact> {
        let mut job = self.job(workspace, job_id)?;
        let event = Event::Progress { token: self.holds(&job, token)?, status: None };
        let change = decide(&job.facts, &event, self.now.store_ms)?;
        job.last_heartbeat_at = Some(self.now.wall_ms);
        self.apply(&mut job, &change)?;
        let id = self.ids.id();
        let attaching = Attaching { tx: self.tx, job: &job, now: self.now, id };
        let artifact = put(attaching).map_err(Into::into)?;
        self.add_artifacts(&job, std::slice::from_ref(&artifact))?;
        Ok(artifact)
    }

    /// What a resource is changed by outside of a job.
    pub fn resources(&mut self) -> (&mut dyn Tx, Now, &dyn Ids) {
        (self.tx, self.now, self.ids)
    }

    /// Notes that a job names the resource of an artifact, if it does: the resource stays as long as the job.
    pub(super) fn refer(&mut self, job: &Job, artifact: &Text) -> Result<()> {
        let Some(mut resource) = self.named(job, artifact)? else { return Ok(()) };
        self.tx.insert_ref(job.seq, resource.seq)?;
        if resource.job_seq.is_none() {
            resource.job_seq = Some(job.seq);
            self.tx.update_resource(&resource)?;
        }
        Ok(())
    }

    fn named(&mut self, job: &Job, artifact: &Text) -> Result<Option<Resource>> {
        // Most artifacts that are not ours are told from ours without being read.
        if !artifact.contains("\"res://") {
            return Ok(None);
        }
        let Ok(artifact) = edn::read(artifact) else { return Ok(None) };
        let parts = artifact.get("resource-uri").and_then(Value::as_str).and_then(uri_parts);
        match parts {
            Some((workspace, kind, id)) if workspace == job.workspace_id => {
                Ok(self.tx.resource_by_id(workspace, kind, id)?)
            }
            Some(_) | None => Ok(None),
        }
    }
}
