//! Caps that jobs of several types share. One row has the cap and how many jobs are active under it; each type has a row
//! of its own with its queued jobs that have a place, which is where a claim finds them as if there were no cap.
//! So a queued job of a type without workers takes no place from another type. When the cap is reached, places are taken
//! from the type that reached it and from a few others; from any other when a claim meets its job. Once there is room,
//! all have them again: a change costs by the types that are asked for, not by those that there are.
//! It does not know caps of batches, whose jobs are of one type: `work.rs` does.

use super::error::Result;
use super::work::{Work, queue_of};
use crate::job::Status;
use crate::store::{Fanout, Job, Queue, Tx};

/// Rows of shared caps have names that begin so: the group's alone, a type's with the type after it.
const SHARED: &str = "steps ";

/// From so many other types places are taken as soon as a cap is reached, so that who waits for a job of them need not
/// find that out; and a claim seldom meets many of their jobs, however many caps are reached.
const OTHERS: i64 = 8;

/// The rows of one shared cap that a job of one type is about.
pub(super) struct Shared {
    /// `used` counts the active jobs of all types.
    group: Fanout,
    /// The type's: `used` counts queued jobs that have a place, and `cap` how many may.
    pub(super) own: Fanout,
    /// Whether there was no room when they were read.
    was_full: bool,
}

impl Shared {
    fn new(group: Fanout, own: Fanout, cap: Option<i64>) -> Shared {
        let was_full = group.used >= group.cap;
        let group = Fanout { cap: cap.unwrap_or(group.cap), ..group };
        let mut shared = Shared { group, own, was_full };
        shared.own.cap = shared.room();
        shared
    }

    fn room(&self) -> i64 {
        (self.group.cap - self.group.used).max(0)
    }

    /// Whether no more jobs may be claimed under it.
    pub(super) fn is_full(&self) -> bool {
        self.room() == 0
    }
}

/// The name of the row of a workflow and step.
pub(super) fn group_name(root_workflow: Option<&str>, step: Option<&str>) -> String {
    format!("{SHARED}{:?} {:?}", root_workflow.unwrap_or(""), step.unwrap_or(""))
}

/// A type has no space in it.
fn type_name(group: &str, job_type: &str) -> String {
    format!("{group} {job_type}")
}

fn group_of<'a>(row: &'a Fanout, job: &Job) -> Option<&'a str> {
    let group = row.name.strip_suffix(job.job_type.as_str())?.strip_suffix(' ')?;
    group.starts_with(SHARED).then_some(group)
}

fn row(tx: &mut dyn Tx, workspace: &str, name: String) -> Result<Fanout> {
    match tx.fanout_by_name(workspace, &name)? {
        Some(row) => Ok(row),
        None => Ok(Fanout { fanout_id: tx.insert_fanout(workspace, &name, 0)?, cap: 0, used: 0, name }),
    }
}

impl Work<'_> {
    /// The shared cap of a submission, which makes it `cap`.
    pub(super) fn cap_of_step(&mut self, workspace: &str, job_type: &str, group: &str, cap: i64) -> Result<Shared> {
        let own = type_name(group, job_type);
        let group = row(self.tx, workspace, group.into())?;
        Ok(Shared::new(group, row(self.tx, workspace, own)?, Some(cap)))
    }

    /// The shared cap that a job is under, if it is under one.
    pub(super) fn shared_cap(&mut self, job: &Job) -> Result<Option<Shared>> {
        let Some(id) = job.fanout_id.filter(|_| job.batch_seq.is_none()) else { return Ok(None) };
        let Some(own) = self.tx.fanout(id)? else { return Ok(None) };
        let Some(group) = group_of(&own, job) else { return Ok(None) };
        let group = self.tx.fanout_by_name(&job.workspace_id, group)?;
        Ok(group.map(|group| Shared::new(group, own, None)))
    }

    /// Takes the place of a job under a cap that is full, and those of all others of its type.
    pub(super) fn shut(&mut self, job: &Job, mut shared: Shared) -> Result<()> {
        self.tx.set_held(job.seq, true)?;
        shared.own.used = (shared.own.used - 1).max(0);
        self.promote(shared.own, &queue_of(job))
    }

    /// Follows a job that went from `before` to its present status: its place is decided before its row is written,
    /// the places of others are given and taken by `share` afterwards.
    pub(super) fn moved_in_share(&mut self, job: &mut Job, before: Status, shared: &mut Shared) -> Result<()> {
        let after = job.facts.status;
        shared.group.used += i64::from(after.is_active()) - i64::from(before.is_active());
        shared.own.cap = shared.room();
        if before == Status::Queued && !job.held {
            shared.own.used -= 1;
        }
        job.held = false;
        if after == Status::Queued {
            self.place(job, false, &mut shared.own)?;
        }
        Ok(())
    }

    /// Stores the rows, and gives or takes the places that follow.
    pub(super) fn share(&mut self, shared: Shared, of: &Queue) -> Result<()> {
        let (room, full, workspace) = (shared.room(), shared.is_full(), of.workspace_id);
        let Shared { group, own, was_full } = shared;
        self.promote(own, of)?;
        let others = match (was_full, full) {
            (true, false) => self.tx.fanouts_without_places(workspace, &group.name)?,
            (false, true) => self.tx.fanouts_with_places(workspace, &group.name, OTHERS)?,
            (true, true) | (false, false) => Vec::new(),
        };
        for mut other in others {
            let name = std::mem::take(&mut other.name);
            let job_type = name.get(group.name.len() + 1..).unwrap_or_default();
            self.promote(Fanout { cap: room, ..other }, &Queue { job_type, ..*of })?;
        }
        Ok(self.tx.update_fanout(&group)?)
    }

    /// Removes the rows of a shared cap that nothing is under any more, now that a job is gone.
    pub(super) fn left_cap(&mut self, job: &Job) -> Result<()> {
        let Some(id) = job.fanout_id.filter(|_| job.batch_seq.is_none()) else { return Ok(()) };
        let Some(own) = self.tx.fanout(id)? else { return Ok(()) };
        let Some(group) = group_of(&own, job) else { return Ok(()) };
        if self.tx.has_jobs_under(id)? {
            return Ok(());
        }
        self.tx.delete_fanout(id)?;
        match self.tx.fanout_by_name(&job.workspace_id, group)? {
            Some(last) if !self.tx.has_fanouts_under(&job.workspace_id, group)? => {
                Ok(self.tx.delete_fanout(last.fanout_id)?)
            }
            Some(_) | None => Ok(()),
        }
    }
}
