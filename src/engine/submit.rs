//! Submitting jobs and batches, once per idempotency key.

use super::cap::group_name;
use super::error::{Error, Result};
use super::view::{BatchView, Depth, JobView};
use super::work::Work;
use crate::job::{BatchStatus, Counts, Facts, Status, limits};
use crate::store::{Batch, Body, Fanout, Job, Queue, Submission, Text};
use sha2::{Digest, Sha256};

/// What belongs to one job of a submission.
#[derive(Clone, Debug, Default)]
pub struct NewJob {
    pub payload: Option<Text>,
    pub metadata: Option<Text>,
    pub max_attempts: Option<i64>,
}

/// What a job or a batch is submitted with.
#[derive(Clone, Debug, Default)]
pub struct Submit {
    pub workspace: String,
    pub job_type: String,
    pub idempotency_key: Option<String>,
    /// Of the submission, made where there is a key: the same digest is the same submission.
    pub digest: Vec<u8>,
    pub root_workflow_id: Option<String>,
    pub parent_step_id: Option<String>,
    pub fanout_parent_step_id: Option<String>,
    pub fanout_max_concurrency: Option<i64>,
}

impl Submit {
    fn queue(&self, batch_seq: Option<i64>) -> Queue<'_> {
        Queue { workspace_id: &self.workspace, job_type: &self.job_type, batch_seq }
    }
}

/// The digest of a submission, from texts that are equal where their values are.
pub fn digest<'a>(parts: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().to_vec()
}

impl Work<'_> {
    /// Stores one queued job.
    pub fn create(&mut self, submit: &Submit, new: &NewJob) -> Result<JobView> {
        if let Some(job_id) = self.submitted(submit)? {
            let job = self.job(&submit.workspace, &job_id)?;
            return JobView::read(self.tx, job, Depth::Full, self.now);
        }
        let shared = submit.fanout_max_concurrency.map(|cap| {
            let group = group_name(submit.root_workflow_id.as_deref(), submit.fanout_parent_step_id.as_deref());
            self.cap_of_step(&submit.workspace, &submit.job_type, &group, cap)
        });
        let mut shared = shared.transpose()?;
        let view = self.insert(submit, new, None, shared.as_mut().map(|shared| &mut shared.own))?;
        if let Some(shared) = shared {
            self.share(shared, &submit.queue(None))?;
        }
        self.news.count(&submit.workspace, &submit.job_type, Status::Queued, 1);
        self.news.queued(&submit.workspace, &submit.job_type, 1, false);
        self.remember(submit, &view.job.job_id)?;
        Ok(view)
    }

    /// Stores a batch of queued jobs.
    pub fn create_batch(&mut self, submit: &Submit, metadata: Option<&Text>, jobs: &[NewJob]) -> Result<BatchView> {
        if let Some(batch_id) = self.submitted(submit)? {
            let batch = self.tx.batch_by_id(&batch_id)?.ok_or(Error::NoBatch(batch_id))?;
            return BatchView::read(self.tx, batch, Some(limits::BATCH_SHOWN_MAX), limits::REPLY_BYTES_MAX, self.now);
        }
        let batch = self.insert_batch(submit, metadata, jobs.len() as i64)?;
        let mut fanout = self.cap_of_batch(submit, &batch.batch_id)?;
        let (mut views, mut bytes) = (Vec::with_capacity(jobs.len()), 0);
        for new in jobs {
            let view = self.insert(submit, new, Some(&batch), fanout.as_mut())?;
            bytes += view.size();
            if bytes <= limits::REPLY_BYTES_MAX {
                views.push(view);
            }
        }
        let truncated = bytes > limits::REPLY_BYTES_MAX;
        if let Some(fanout) = fanout {
            self.promote(fanout, &submit.queue(Some(batch.seq)))?;
        }
        self.news.count(&submit.workspace, &submit.job_type, Status::Queued, batch.requested_count);
        self.news.queued(&submit.workspace, &submit.job_type, batch.requested_count, true);
        self.remember(submit, &batch.batch_id)?;
        Ok(BatchView { batch, jobs: Some(views), truncated })
    }

    /// The id that the same submission made before.
    fn submitted(&mut self, submit: &Submit) -> Result<Option<String>> {
        let Some(key) = &submit.idempotency_key else { return Ok(None) };
        match self.tx.submission(&submit.workspace, key)? {
            Some(earlier) if earlier.digest == submit.digest => Ok(Some(earlier.id)),
            Some(earlier) => Err(Error::KeyTaken(key.clone(), earlier.id)),
            None => Ok(None),
        }
    }

    fn remember(&mut self, submit: &Submit, id: &str) -> Result<()> {
        match &submit.idempotency_key {
            Some(key) => {
                let submission = Submission { id: id.into(), digest: submit.digest.clone() };
                Ok(self.tx.insert_submission(&submit.workspace, key, &submission)?)
            }
            None => Ok(()),
        }
    }

    /// The cap that the submission of a batch names.
    fn cap_of_batch(&mut self, submit: &Submit, batch_id: &str) -> Result<Option<Fanout>> {
        let Some(cap) = submit.fanout_max_concurrency else { return Ok(None) };
        let name = format!("batch {batch_id}");
        Ok(Some(Fanout { fanout_id: self.tx.insert_fanout(&submit.workspace, &name, cap)?, cap, used: 0, name }))
    }

    fn insert(
        &mut self,
        submit: &Submit,
        new: &NewJob,
        batch: Option<&Batch>,
        fanout: Option<&mut Fanout>,
    ) -> Result<JobView> {
        let body = Body {
            batch_id: batch.map(|batch| batch.batch_id.clone()),
            root_workflow_id: submit.root_workflow_id.clone(),
            parent_step_id: submit.parent_step_id.clone(),
            fanout_parent_step_id: submit.fanout_parent_step_id.clone(),
            fanout_max_concurrency: submit.fanout_max_concurrency,
            idempotency_key: submit.idempotency_key.clone(),
            metadata: new.metadata.clone(),
            payload: Some(new.payload.clone().unwrap_or_else(|| "{}".into())),
        };
        let mut job =
            self.queued_job(submit, new.max_attempts.unwrap_or(limits::ATTEMPTS_DEFAULT), batch.map(|batch| batch.seq));
        if let Some(fanout) = fanout {
            job.seq = i64::MAX;
            job.fanout_id = Some(fanout.fanout_id);
            self.place(&mut job, false, fanout)?;
        }
        job.seq = self.tx.insert_job(&job, &body)?;
        JobView::with_body(self.tx, job, body, Depth::Full, self.now)
    }

    fn queued_job(&self, submit: &Submit, max_attempts: i64, batch_seq: Option<i64>) -> Job {
        Job {
            seq: 0,
            job_id: self.ids.id(),
            workspace_id: submit.workspace.clone(),
            job_type: submit.job_type.clone(),
            rev: 0,
            facts: Facts {
                status: Status::Queued,
                attempt: 0,
                max_attempts,
                spent: 0,
                cancel_requested: false,
                due_ms: self.now.store_ms,
                lease_ms: limits::LEASE_DEFAULT_MS,
                lease_until_ms: None,
            },
            worker_id: None,
            batch_seq,
            fanout_id: None,
            held: false,
            created_at: self.now.wall_ms,
            started_at: None,
            updated_at: self.now.wall_ms,
            completed_at: None,
            last_heartbeat_at: None,
            ended_seq: None,
        }
    }

    fn insert_batch(&mut self, submit: &Submit, metadata: Option<&Text>, jobs: i64) -> Result<Batch> {
        let mut batch = Batch {
            seq: 0,
            batch_id: self.ids.id(),
            workspace_id: submit.workspace.clone(),
            job_type: submit.job_type.clone(),
            status: BatchStatus::Queued,
            begun: false,
            requested_count: jobs,
            counts: Counts::queued(jobs),
            created_at: self.now.wall_ms,
            updated_at: self.now.wall_ms,
            completed_at: None,
            ended_seq: None,
            idempotency_key: submit.idempotency_key.clone(),
            root_workflow_id: submit.root_workflow_id.clone(),
            parent_step_id: submit.parent_step_id.clone(),
            metadata: metadata.cloned(),
        };
        batch.seq = self.tx.insert_batch(&batch)?;
        Ok(batch)
    }
}
