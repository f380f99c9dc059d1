//! One operation at work in a transaction: what it reads with, what it writes, what it leaves to be told afterwards.
//! It does not know which commit it shares.

use super::cap::Shared;
use super::clock::{Ids, Now};
use super::error::{Error, Result};
use crate::job::{BatchStatus, Change, Status};
use crate::store::{Batch, Fanout, Job, Queue, Rows, Tx};

/// What the next commit has to tell to those who wait, and to count.
#[derive(Default)]
pub struct News {
    /// Ids of jobs and batches that ended.
    pub ended: Vec<String>,
    /// Jobs that may have become claimable.
    pub queued: Vec<Claimable>,
    /// Whether other processes should look.
    pub matters: bool,
    counts: Vec<(String, String, Status, i64)>,
}

/// How many jobs of a type may have become claimable at most.
pub struct Claimable {
    pub workspace: String,
    pub job_type: String,
    pub jobs: i64,
    /// Whether some of them belong to batches.
    pub in_batch: bool,
}

impl News {
    /// Adds the news of an operation that is kept.
    pub fn append(&mut self, mut other: News) {
        self.ended.append(&mut other.ended);
        for Claimable { workspace, job_type, jobs, in_batch } in other.queued {
            self.queued(&workspace, &job_type, jobs, in_batch);
        }
        for (workspace, job_type, status, jobs) in other.counts {
            self.count(&workspace, &job_type, status, jobs);
        }
        self.matters |= other.matters;
    }

    /// Writes the counts; the last thing before the commit.
    pub fn flush(&mut self, tx: &mut dyn Tx) -> Result<()> {
        for (workspace, job_type, status, jobs) in self.counts.drain(..).filter(|(.., jobs)| *jobs != 0) {
            tx.add_count(&workspace, &job_type, status, jobs)?;
        }
        Ok(())
    }

    pub(super) fn count(&mut self, workspace: &str, job_type: &str, status: Status, jobs: i64) {
        let same =
            |row: &&mut (String, String, Status, i64)| row.2 == status && row.1 == job_type && row.0 == workspace;
        match self.counts.iter_mut().find(same) {
            Some(row) => row.3 += jobs,
            None => self.counts.push((workspace.into(), job_type.into(), status, jobs)),
        }
    }

    pub(super) fn queued(&mut self, workspace: &str, job_type: &str, jobs: i64, in_batch: bool) {
        self.matters = true;
        match self.queued.iter_mut().find(|known| known.job_type == job_type && known.workspace == workspace) {
            Some(known) => {
                known.jobs += jobs;
                known.in_batch |= in_batch;
            }
            None => {
                let (workspace, job_type) = (workspace.into(), job_type.into());
                self.queued.push(Claimable { workspace, job_type, jobs, in_batch });
            }
        }
    }
}

/// An operation at work.
pub struct Work<'a> {
    pub(super) tx: &'a mut dyn Tx,
    pub(super) now: Now,
    pub(super) ids: &'a dyn Ids,
    pub(super) news: News,
    pub(super) seen: &'a mut Seen,
}

/// What the operations of one transaction left, so that the next ones need not read it.
#[derive(Default)]
pub struct Seen {
    /// The last number used for an ending.
    last_ended: Option<i64>,
    /// The batch that was changed last, as it is now.
    batch: Option<Batch>,
}

impl Seen {
    /// An operation was undone, or changes rows by itself.
    pub(super) fn forget_rows(&mut self) {
        self.batch = None;
    }
}

impl Work<'_> {
    /// What the transaction reads, and its moment.
    pub fn rows(&mut self) -> (&mut dyn Rows, Now) {
        (self.tx, self.now)
    }

    /// The job of that id, if it is in the workspace.
    pub(super) fn job(&mut self, workspace: &str, job_id: &str) -> Result<Job> {
        let found = self.tx.job_by_id(job_id)?.filter(|job| job.workspace_id == workspace);
        found.ok_or_else(|| Error::NoJob(job_id.into()))
    }

    pub(super) fn next_ended(&mut self) -> Result<i64> {
        let last = match self.seen.last_ended {
            Some(last) => last,
            None => self.tx.last_ended_seq()?,
        };
        self.seen.last_ended = Some(last + 1);
        Ok(last + 1)
    }

    /// Writes what was decided for a job, with all that follows from it: counts, its batch, its cap, its wake-ups.
    pub(super) fn apply(&mut self, job: &mut Job, change: &Change) -> Result<()> {
        let (before, after) = (job.facts.status, change.next.status);
        let as_active = before == after || (before.is_active() && after.is_active());
        let shared = if as_active { None } else { self.shared_cap(job)? };
        self.apply_under(job, change, shared)
    }

    /// As `apply`, where the cap that the job shares with other types was read, if there is one and it matters.
    pub(super) fn apply_under(&mut self, job: &mut Job, change: &Change, mut shared: Option<Shared>) -> Result<()> {
        let (before, after) = (job.facts.status, change.next.status);
        let renewed = job.facts.is_renewed_in(&change.next);
        let was_placed = !job.held && !before.is_terminal();
        job.facts = change.next;
        job.rev += 1;
        job.updated_at = self.now.wall_ms;
        if before != after {
            self.moved(job, before, after)?;
        }
        if let Some(shared) = &mut shared {
            self.moved_in_share(job, before, shared)?;
        }
        let mut fanout = match job.fanout_id {
            Some(_) if shared.is_some() => None,
            Some(id) if before != after && (after.is_terminal() || after == Status::Queued) => self.tx.fanout(id)?,
            Some(_) | None => None,
        };
        if let Some(fanout) = &mut fanout {
            self.place(job, was_placed, fanout)?;
        }
        let update = if renewed { Tx::renew_lease } else { Tx::update_job };
        if !update(self.tx, job)? {
            return Err(Error::Conflict);
        }
        if let Some(shared) = shared {
            return self.share(shared, &queue_of(job));
        }
        match fanout {
            Some(fanout) => self.promote(fanout, &queue_of(job)),
            None => Ok(()),
        }
    }

    fn moved(&mut self, job: &mut Job, before: Status, after: Status) -> Result<()> {
        self.news.count(&job.workspace_id, &job.job_type, before, -1);
        self.news.count(&job.workspace_id, &job.job_type, after, 1);
        if after.is_terminal() {
            job.completed_at = Some(self.now.wall_ms);
            job.ended_seq = Some(self.next_ended()?);
            self.news.ended.push(job.job_id.clone());
            self.news.matters = true;
        } else {
            // Its number in the order of endings stays until it ends again: were the last one given away anew, those who
            // have seen it would miss an ending.
            job.completed_at = None;
        }
        // After a restart of the host with a wall clock that is behind, no job must wait for longer than from here. What
        // was submitted last tells the time itself, until it has failed.
        if after == Status::Queued || (after.is_terminal() && job.facts.spent > 0) {
            self.tx.keep_time(self.now.store_ms)?;
        }
        if after == Status::Queued {
            self.news.queued(&job.workspace_id, &job.job_type, 1, job.batch_seq.is_some());
        }
        match job.batch_seq {
            Some(seq) => self.moved_in_batch(seq, before, after),
            None => Ok(()),
        }
    }

    fn moved_in_batch(&mut self, seq: i64, before: Status, after: Status) -> Result<()> {
        let batch = match self.seen.batch.take().filter(|batch| batch.seq == seq) {
            Some(batch) => Some(batch),
            None => self.tx.batch_by_seq(seq)?,
        };
        let mut batch = batch.ok_or_else(|| crate::store::Error::Corrupt(format!("batch {seq} is gone")))?;
        batch.counts.shift(before, after);
        batch.begun |= after != Status::Queued;
        batch.updated_at = self.now.wall_ms;
        let (was, was_terminal) = (batch.status, batch.status.is_terminal());
        batch.status = batch.counts.status(batch.begun);
        if batch.status.is_terminal() && !was_terminal {
            batch.completed_at = Some(self.now.wall_ms);
            batch.ended_seq = Some(self.next_ended()?);
            self.news.ended.push(batch.batch_id.clone());
        }
        if !batch.status.is_terminal() {
            batch.completed_at = None;
        }
        assert!(batch.status != BatchStatus::Queued || !batch.begun, "a batch that began is not queued");
        let update = if batch.status == was { Tx::update_batch_counts } else { Tx::update_batch };
        update(self.tx, &batch)?;
        self.seen.batch = Some(batch);
        Ok(())
    }

    /// Decides whether a job that was queued or ended has a place under its cap: the places belong to the active jobs
    /// and to the queued ones that are due first.
    pub(super) fn place(&mut self, job: &mut Job, was_placed: bool, fanout: &mut Fanout) -> Result<()> {
        if was_placed {
            fanout.used -= 1;
        }
        job.held = false;
        if job.facts.status.is_terminal() {
            return Ok(());
        }
        let due = (job.facts.due_ms, job.seq);
        job.held = match self.tx.next_held(fanout.fanout_id)? {
            Some(seq) if seq != job.seq && self.due(seq)? < due => true,
            Some(_) | None => fanout.used >= fanout.cap && !self.displace(due, fanout)?,
        };
        if !job.held {
            fanout.used += 1;
        }
        Ok(())
    }

    /// Takes the place of a queued job that is due later.
    fn displace(&mut self, due: (i64, i64), fanout: &mut Fanout) -> Result<bool> {
        match self.tx.last_placed(fanout.fanout_id)? {
            Some(seq) if self.due(seq)? > due && fanout.used >= fanout.cap => {
                self.tx.set_held(seq, true)?;
                fanout.used -= 1;
                Ok(true)
            }
            Some(_) | None => Ok(false),
        }
    }

    fn due(&mut self, seq: i64) -> Result<(i64, i64)> {
        let job = self.tx.job_by_seq(seq)?;
        Ok(job.map_or((i64::MAX, seq), |job| (job.facts.due_ms, seq)))
    }

    /// Gives free places to the jobs that wait for one, takes those that a lowered cap no longer has, and stores it.
    /// The jobs under it are of that queue.
    pub(super) fn promote(&mut self, mut fanout: Fanout, of: &Queue) -> Result<()> {
        while fanout.used > fanout.cap {
            let Some(seq) = self.tx.last_placed(fanout.fanout_id)? else { break };
            self.tx.set_held(seq, true)?;
            fanout.used -= 1;
        }
        let used = fanout.used;
        while fanout.used < fanout.cap {
            let Some(seq) = self.tx.next_held(fanout.fanout_id)? else { break };
            self.tx.set_held(seq, false)?;
            fanout.used += 1;
        }
        if fanout.used > used {
            self.news.queued(of.workspace_id, of.job_type, fanout.used - used, of.batch_seq.is_some());
        }
        Ok(self.tx.update_fanout(&fanout)?)
    }
}

/// The queue that a job is claimed from.
pub(super) fn queue_of(job: &Job) -> Queue<'_> {
    Queue { workspace_id: &job.workspace_id, job_type: &job.job_type, batch_seq: job.batch_seq }
}
