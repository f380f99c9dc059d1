//! The removal of what is older than it is kept, in small steps: jobs, whole batches, what they produced.
//! It does not remove the bytes of files: it says which have no owner any more.

#[cfg(test)]
mod tests;

use super::clock::Now;
use super::error::{Error, Result};
use super::retention::Retention;
use super::work::Work;
use super::{Class, Engine};
use crate::job::limits;
use crate::store::{Batch, Job, Rows};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Resources of jobs that one step lets go of at most.
const STEP_RESOURCES: usize = 500;
/// The longest pause after a step, which is as long as the step was.
const STEP_PAUSE_MAX: Duration = Duration::from_millis(5);

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub jobs: i64,
    pub batches: i64,
    pub resources: i64,
    /// How many resources a step let go of that jobs had, whether or not others have them still.
    let_go: usize,
    /// Whether a step left something for another.
    more: bool,
}

impl Pruned {
    fn add(&mut self, step: Pruned) {
        self.jobs += step.jobs;
        self.batches += step.batches;
        self.resources += step.resources;
    }
}

/// Bytes that no resource has any more, by the number under which that is noted.
pub type Ownerless = Vec<(i64, String)>;

/// What one step did with what is left of resources that are gone.
#[derive(Debug, Default)]
pub struct Swept {
    pub ownerless: Ownerless,
    /// The last number that it dealt with, where another step may find more.
    pub after: Option<i64>,
}

impl Work<'_> {
    /// One step: removes some jobs of a workspace and type that ended at or before an instant, or some of a batch.
    fn prune(&mut self, of: (&str, &str), ended_at: i64) -> Result<Pruned> {
        let mut step = Pruned::default();
        let mut last_ended = 0;
        for seq in self.tx.prunable_jobs(of, ended_at, limits::PRUNE_JOBS)? {
            let Some(job) = self.tx.job_by_seq(seq)? else { continue };
            if !self.remove_job(&job, &mut step)? {
                break;
            }
            last_ended = last_ended.max(job.ended_seq.unwrap_or(0));
        }
        let room = limits::PRUNE_JOBS - step.jobs;
        let batch = if step.more { None } else { self.tx.prunable_batches(of, ended_at, 1)?.first().copied() };
        if let Some(seq) = batch.filter(|_| room > 0)
            && let Some(batch) = self.tx.batch_by_seq(seq)?
        {
            last_ended = last_ended.max(batch.ended_seq.unwrap_or(0));
            self.prune_batch(batch, room, &mut step, &mut last_ended)?;
        }
        step.more |= step.jobs >= limits::PRUNE_JOBS || step.batches > 0;
        if last_ended > 0 {
            self.tx.keep_ended_seq(last_ended)?;
        }
        Ok(step)
    }

    /// Removes some of a batch's jobs, its counts going with them, and with the last one the batch.
    fn prune_batch(&mut self, mut batch: Batch, room: i64, step: &mut Pruned, last_ended: &mut i64) -> Result<()> {
        self.seen.forget_rows();
        let jobs = self.tx.batch_jobs(batch.seq, 0, room)?;
        let mut left = jobs.len() as i64 == room;
        for job in jobs {
            let ended = job.facts.status.is_terminal();
            if !ended || !self.remove_job(&job, step)? {
                left = true;
                break;
            }
            *last_ended = (*last_ended).max(job.ended_seq.unwrap_or(0));
            batch.counts.0[job.facts.status as usize] -= 1;
        }
        if left {
            step.more = true;
            return Ok(self.tx.update_batch_counts(&batch)?);
        }
        step.batches += 1;
        Ok(self.tx.delete_batch(&batch, &format!("batch {}", batch.batch_id))?)
    }

    /// Removes a job and what only it produced; false where there is so much of it that another step is needed.
    fn remove_job(&mut self, job: &Job, step: &mut Pruned) -> Result<bool> {
        let (resources, room) = (self.tx.resources_of_job(job.seq)?, STEP_RESOURCES - step.let_go);
        for seq in resources.iter().take(room) {
            self.tx.delete_ref(job.seq, *seq)?;
            step.let_go += 1;
            if !self.tx.is_resource_used(*seq)? {
                step.resources += self.remove_resource(*seq)?;
            }
        }
        if resources.len() > room {
            step.more = true;
            return Ok(false);
        }
        let body = self.tx.body(job.seq, false)?;
        self.tx.delete_job(job, body.idempotency_key.as_deref())?;
        self.left_cap(job)?;
        self.news.count(&job.workspace_id, &job.job_type, job.facts.status, -1);
        step.jobs += 1;
        Ok(true)
    }

    fn remove_resource(&mut self, seq: i64) -> Result<i64> {
        let Some(resource) = self.tx.resource(seq)? else { return Ok(0) };
        self.tx.remove_resource(&resource)?;
        Ok(1)
    }

    /// One step: removes values whose time is over, uploads that never came, and files that no job ever named.
    fn prune_resources(&mut self) -> Result<Pruned> {
        let mut step = Pruned::default();
        let max = limits::PRUNE_JOBS;
        let expired = self.tx.expired_resources(self.now.store_ms, max)?;
        let uploads = self.tx.expired_uploads(self.now.store_ms, max)?;
        step.more = expired.len().max(uploads.len()) as i64 == max;
        for seq in expired {
            step.resources += self.remove_resource(seq)?;
        }
        for upload in uploads {
            self.tx.delete_upload(&upload.session_id)?;
            let resource = self.tx.resource(upload.resource_seq)?;
            if resource.is_some_and(|resource| resource.hash.is_none())
                && self.tx.uploads(upload.resource_seq)?.is_empty()
            {
                step.resources += self.remove_resource(upload.resource_seq)?;
            }
        }
        for workspace in self.tx.unused_workspaces()? {
            let keep_ms = self.retention(&workspace, None, None)?.keep_ms;
            let room = (max - step.resources).max(0);
            for seq in self.tx.unused_resources(&workspace, self.now.ended(keep_ms), room)? {
                step.resources += self.remove_resource(seq)?;
            }
        }
        step.more |= step.resources >= max;
        Ok(step)
    }

    /// One step: removes rows of resources that are gone, of those that were noted after a number.
    fn sweep(&mut self, after: i64) -> Result<Swept> {
        let (mut swept, mut room) = (Swept::default(), limits::PRUNE_ROWS);
        let noted = self.tx.removed(after, limits::PRUNE_JOBS)?;
        let mut last = after;
        for removed in &noted {
            if removed.resource_seq != 0 {
                room -= self.tx.sweep_resource(removed.resource_seq, room)?;
                if room <= 0 {
                    return Ok(Swept { after: Some(last), ..swept });
                }
            }
            last = removed.removed_seq;
            match &removed.hash {
                Some(hash) if !self.tx.is_hash_used(hash)? => swept.ownerless.push((last, hash.clone())),
                Some(_) | None => self.tx.delete_removed(last)?,
            }
        }
        swept.after = (noted.len() as i64 == limits::PRUNE_JOBS).then_some(last);
        Ok(swept)
    }
}

impl Engine {
    /// Removes what is older than its retention, or than `keep_ms`: everywhere, or in a workspace, or of a type. Ends
    /// with `closed` in the middle where the last user of the engine goes.
    pub fn prune(&self, workspace: Option<&str>, job_type: Option<&str>, keep_ms: Option<i64>) -> Result<Pruned> {
        let mut pruned = Pruned::default();
        let meant =
            |(w, t): &(String, String)| workspace.is_none_or(|one| one == w) && job_type.is_none_or(|one| one == t);
        let mut types = self.read(|rows, _| Ok(rows.job_types()?))?;
        types.retain(meant);
        for (workspace, job_type) in types {
            self.wanted()?;
            let is_due = |now: Now, policy: &Retention| now.ended(keep_ms.unwrap_or(policy.of(&job_type)));
            let ended_at = self.read(|rows, now| {
                let policy = Retention::stored(rows, &workspace)?;
                let (of, ended_at) = ((workspace.as_str(), job_type.as_str()), is_due(now, &policy));
                let none = rows.prunable_jobs(of, ended_at, 1)?.is_empty()
                    && rows.prunable_batches(of, ended_at, 1)?.is_empty();
                Ok((!none).then_some(ended_at))
            })?;
            let Some(ended_at) = ended_at else { continue };
            loop {
                let (workspace, job_type) = (workspace.clone(), job_type.clone());
                let begun = Instant::now();
                let step = self.step(move |work| work.prune((&workspace, &job_type), ended_at))?;
                pruned.add(step);
                if !step.more {
                    break;
                }
                self.wanted()?;
                pause_after(begun);
            }
        }
        let mut empty = self.read(|rows, _| Ok(rows.empty_types()?))?;
        empty.retain(meant);
        self.forget_types(&empty)?;
        Ok(pruned)
    }

    /// Forgets types that have nothing any more, so that there are not more and more of them to go through.
    fn forget_types(&self, empty: &[(String, String)]) -> Result<()> {
        for some in empty.chunks(limits::PRUNE_JOBS as usize) {
            self.wanted()?;
            let (begun, some) = (Instant::now(), some.to_vec());
            // One that has jobs again by now stays.
            self.step(move |work| {
                some.iter()
                    .try_for_each(|(workspace, job_type)| Ok(work.tx.delete_empty_type((workspace, job_type))?))
            })?;
            pause_after(begun);
        }
        Ok(())
    }

    /// Removes resources whose time is over, and files that no job ever named.
    pub fn prune_resources(&self) -> Result<Pruned> {
        let mut pruned = Pruned::default();
        while self.read(|rows, now| has_old_resources(rows, now))? {
            self.wanted()?;
            let begun = Instant::now();
            let step = self.step(|work: &mut Work| work.prune_resources())?;
            pruned.add(step);
            if !step.more {
                break;
            }
            pause_after(begun);
        }
        Ok(pruned)
    }

    /// One step of removing what is left of resources that are gone, of those that were noted after a number.
    pub fn sweep(&self, after: i64) -> Result<Swept> {
        if self.read(|rows, _| Ok(rows.removed(after, 1)?.is_empty()))? {
            return Ok(Swept::default());
        }
        self.wanted()?;
        let begun = Instant::now();
        let swept = self.step(move |work: &mut Work| work.sweep(after))?;
        if swept.after.is_some() {
            pause_after(begun);
        }
        Ok(swept)
    }

    /// Forgets bytes that are gone.
    pub fn swept(&self, gone: Vec<i64>) -> Result<()> {
        if gone.is_empty() {
            return Ok(());
        }
        self.step(move |work| gone.iter().try_for_each(|removed_seq| Ok(work.tx.delete_removed(*removed_seq)?)))
    }

    /// `closed` where all who used the engine are gone: what takes long ends there.
    pub fn wanted(&self) -> Result<()> {
        if self.users.have_left() { Err(Error::Closed) } else { Ok(()) }
    }

    /// Runs a step behind everything that is more urgent, and waits for its commit.
    fn step<T: Send + 'static>(&self, op: impl FnMut(&mut Work) -> Result<T> + Send + 'static) -> Result<T> {
        let (tell, told) = mpsc::sync_channel(1);
        self.committer.enqueue(Class::Bulk, op, move |result| {
            // The receiver is gone only where the caller's thread is.
            let _ = tell.send(result);
        });
        told.recv().unwrap_or(Err(Error::Closed))
    }
}

/// Others' commits are not to wait behind one step after the other.
fn pause_after(begun: Instant) {
    std::thread::sleep(begun.elapsed().min(STEP_PAUSE_MAX));
}

fn has_old_resources(rows: &mut dyn Rows, now: Now) -> Result<bool> {
    if !rows.expired_resources(now.store_ms, 1)?.is_empty() || !rows.expired_uploads(now.store_ms, 1)?.is_empty() {
        return Ok(true);
    }
    for workspace in rows.unused_workspaces()? {
        let policy = Retention::stored(rows, &workspace)?;
        if !rows.unused_resources(&workspace, now.ended(policy.keep_ms), 1)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}
