//! Caps that jobs of several types share. One row has the cap and how many jobs are active under it; each type has a row
//! of its own with how many of its queued jobs may be claimed, which is at most what the active ones leave. So a queued
//! job of a type without workers takes no place from another type, and a claim finds its job as if there were no cap.
//! It does not know caps of batches, whose jobs are of one type: `work.rs` does.

use super::error::Result;
use super::work::Work;
use crate::job::Status;
use crate::store::{Fanout, Job};

/// Rows of shared caps have names that begin so: the group's alone, a type's with the type after it.
const SHARED: &str = "steps ";

/// The rows of one shared cap.
pub(super) struct Shared {
    /// `used` counts the active jobs of all types.
    group: Fanout,
    /// `used` counts queued jobs that can be claimed, and `cap` how many may.
    types: Vec<Fanout>,
}

/// The name of the row of a workflow and step.
pub(super) fn group_name(root_workflow: Option<&str>, step: Option<&str>) -> String {
    format!("{SHARED}{:?} {:?}", root_workflow.unwrap_or(""), step.unwrap_or(""))
}

/// A type has no space in it.
fn type_name(group: &str, job_type: &str) -> String {
    format!("{group} {job_type}")
}

impl Shared {
    fn room(&self) -> i64 {
        (self.group.cap - self.group.used).max(0)
    }
}

impl Work<'_> {
    /// The rows of the group, its cap made `cap` where one is given, and the row of the type, which is taken out of them.
    fn shared(&mut self, workspace: &str, group: &str, job_type: &str, cap: Option<i64>) -> Result<(Shared, Fanout)> {
        let mut rows = self.tx.fanouts(workspace, group)?;
        let mut take =
            |tx: &mut dyn crate::store::Tx, name: &str, cap: i64| match rows.iter().position(|row| row.name == name) {
                Some(at) => Ok(rows.swap_remove(at)),
                None => tx.insert_fanout(workspace, name, cap).map(|fanout_id| Fanout {
                    fanout_id,
                    cap,
                    used: 0,
                    name: name.into(),
                }),
            };
        let known = take(self.tx, group, cap.unwrap_or(0))?;
        let group_row = Fanout { cap: cap.unwrap_or(known.cap), ..known };
        let own = take(self.tx, &type_name(group, job_type), 0)?;
        let shared = Shared { group: group_row, types: rows };
        let own = Fanout { cap: shared.room(), ..own };
        Ok((shared, own))
    }

    /// The shared cap of a submission and the row that its job is placed by.
    pub(super) fn cap_of_step(
        &mut self,
        workspace: &str,
        job_type: &str,
        group: &str,
        cap: i64,
    ) -> Result<(Shared, Fanout)> {
        self.shared(workspace, group, job_type, Some(cap))
    }

    /// Stores the rows, once every type has as many places as there are.
    pub(super) fn share(&mut self, shared: Shared, own: Fanout) -> Result<()> {
        let room = shared.room();
        self.promote(own)?;
        for other in shared.types.into_iter().filter(|other| other.cap != room) {
            self.promote(Fanout { cap: room, ..other })?;
        }
        Ok(self.tx.update_fanout(&shared.group)?)
    }

    /// What follows for the shared cap of a job that went from `before` to its present status: its place is decided
    /// before its row is written, the places of others are given by `share` afterwards. Nothing where the cap is none
    /// of these, or where the job is as active as before.
    pub(super) fn moved_in_share(&mut self, job: &mut Job, before: Status) -> Result<Option<(Shared, Fanout)>> {
        let after = job.facts.status;
        let (Some(id), true) = (job.fanout_id, before != after && !(before.is_active() && after.is_active())) else {
            return Ok(None);
        };
        let Some(name) = self.tx.fanout(id)?.map(|row| row.name).filter(|name| name.starts_with(SHARED)) else {
            return Ok(None);
        };
        let group = name.strip_suffix(&format!(" {}", job.job_type)).unwrap_or(&name).to_string();
        let (mut shared, mut own) = self.shared(&job.workspace_id, &group, &job.job_type, None)?;
        shared.group.used += i64::from(after.is_active()) - i64::from(before.is_active());
        own.cap = shared.room();
        if before == Status::Queued && !job.held {
            own.used -= 1;
        }
        job.held = false;
        if after == Status::Queued {
            self.place(job, false, &mut own)?;
        }
        Ok(Some((shared, own)))
    }

    /// Removes the rows of a shared cap that nothing is under any more, now that a job is gone.
    pub(super) fn left_cap(&mut self, job: &Job) -> Result<()> {
        let Some(id) = job.fanout_id.filter(|_| job.batch_seq.is_none()) else { return Ok(()) };
        let Some(row) = self.tx.fanout(id)?.filter(|row| row.name.starts_with(SHARED)) else { return Ok(()) };
        if self.tx.has_jobs_under(id)? {
            return Ok(());
        }
        self.tx.delete_fanout(id)?;
        let group = row.name.strip_suffix(&format!(" {}", job.job_type)).unwrap_or(&row.name);
        match self.tx.fanouts(&job.workspace_id, group)?.as_slice() {
            [last] if last.name == group => Ok(self.tx.delete_fanout(last.fanout_id)?),
            _ => Ok(()),
        }
    }
}
