//! The status of a batch, from the counts of its jobs.

use super::Status;

/// Where a batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchStatus {
    Queued,
    Running,
    Completed,
    Failed,
    PartiallyFailed,
    Cancelled,
}

impl BatchStatus {
    pub const ALL: [BatchStatus; 6] = [
        BatchStatus::Queued,
        BatchStatus::Running,
        BatchStatus::Completed,
        BatchStatus::Failed,
        BatchStatus::PartiallyFailed,
        BatchStatus::Cancelled,
    ];

    /// The word that every surface and the store use.
    pub fn name(self) -> &'static str {
        match self {
            BatchStatus::Queued => "queued",
            BatchStatus::Running => "running",
            BatchStatus::Completed => "completed",
            BatchStatus::Failed => "failed",
            BatchStatus::PartiallyFailed => "partially_failed",
            BatchStatus::Cancelled => "cancelled",
        }
    }

    /// The status of that name.
    pub fn from_name(name: &str) -> Option<BatchStatus> {
        BatchStatus::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Whether all its jobs have ended.
    pub fn is_terminal(self) -> bool {
        !matches!(self, BatchStatus::Queued | BatchStatus::Running)
    }
}

/// How many jobs of a batch stand at each status, in the order of `Status::ALL`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub [i64; 9]);

impl Counts {
    /// A batch of so many queued jobs.
    pub fn queued(jobs: i64) -> Counts {
        let mut counts = Counts::default();
        counts.0[Status::Queued as usize] = jobs;
        counts
    }

    pub fn of(&self, status: Status) -> i64 {
        self.0[status as usize]
    }

    /// One job moved.
    pub fn shift(&mut self, from: Status, to: Status) {
        self.0[from as usize] -= 1;
        self.0[to as usize] += 1;
        assert!(self.of(from) >= 0, "a batch counts its own jobs");
    }

    /// The batch's status; `begun` says whether any job was ever claimed or ended.
    pub fn status(&self, begun: bool) -> BatchStatus {
        let open = Status::ALL.into_iter().filter(|status| !status.is_terminal());
        if open.map(|status| self.of(status)).sum::<i64>() > 0 {
            return if begun { BatchStatus::Running } else { BatchStatus::Queued };
        }
        let ok = self.of(Status::Succeeded) + self.of(Status::NoChanges);
        let bad = self.of(Status::Failed) + self.of(Status::TimedOut);
        match (ok, bad, self.of(Status::Cancelled)) {
            (_, 0, 0) => BatchStatus::Completed,
            (0, 0, _) => BatchStatus::Cancelled,
            (0, _, _) => BatchStatus::Failed,
            _ => BatchStatus::PartiallyFailed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(ok: i64, no_changes: i64, failed: i64, cancelled: i64, timed_out: i64) -> BatchStatus {
        Counts([0, 0, 0, 0, ok, no_changes, failed, cancelled, timed_out]).status(true)
    }

    #[test]
    fn a_batch_ends_as_its_jobs_did() {
        assert_eq!(ended(2, 1, 0, 0, 0), BatchStatus::Completed);
        assert_eq!(ended(0, 0, 0, 3, 0), BatchStatus::Cancelled);
        assert_eq!(ended(0, 0, 1, 0, 1), BatchStatus::Failed);
        assert_eq!(ended(0, 0, 1, 2, 0), BatchStatus::Failed);
        assert_eq!(ended(1, 0, 1, 0, 0), BatchStatus::PartiallyFailed);
        assert_eq!(ended(1, 0, 0, 1, 0), BatchStatus::PartiallyFailed);
        assert_eq!(ended(0, 1, 0, 0, 1), BatchStatus::PartiallyFailed);
    }

    #[test]
    fn a_batch_is_queued_until_a_job_begins_and_runs_until_all_ended() {
        assert_eq!(Counts::queued(2).status(false), BatchStatus::Queued);
        assert_eq!(Counts::queued(2).status(true), BatchStatus::Running);
        let mut counts = Counts::queued(2);
        counts.shift(Status::Queued, Status::Leased);
        assert_eq!(counts.status(true), BatchStatus::Running);
        counts.shift(Status::Leased, Status::Failed);
        assert_eq!(counts.status(true), BatchStatus::Running);
    }
}
