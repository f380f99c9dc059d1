//! The statuses of a job. It does not say which change is legal: `decide.rs` does.

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    Queued,
    Leased,
    Started,
    Running,
    Succeeded,
    NoChanges,
    Failed,
    Cancelled,
    TimedOut,
}

impl Status {
    pub const ALL: [Status; 9] = [
        Status::Queued,
        Status::Leased,
        Status::Started,
        Status::Running,
        Status::Succeeded,
        Status::NoChanges,
        Status::Failed,
        Status::Cancelled,
        Status::TimedOut,
    ];

    /// The word that every surface and the store use.
    pub fn name(self) -> &'static str {
        match self {
            Status::Queued => "queued",
            Status::Leased => "leased",
            Status::Started => "started",
            Status::Running => "running",
            Status::Succeeded => "succeeded",
            Status::NoChanges => "no_changes",
            Status::Failed => "failed",
            Status::Cancelled => "cancelled",
            Status::TimedOut => "timed_out",
        }
    }

    /// The status of that name.
    pub fn from_name(name: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Whether a worker holds it.
    pub fn is_active(self) -> bool {
        matches!(self, Status::Leased | Status::Started | Status::Running)
    }

    /// Whether nothing but an operator's retry changes it any more.
    pub fn is_terminal(self) -> bool {
        self > Status::Running
    }
}
