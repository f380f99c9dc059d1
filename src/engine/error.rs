//! Why an operation was not done. It does not know codes of surfaces: `api` maps them.

use crate::job::{Refusal, Status};
use crate::store;

/// Why an operation was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The attempt of this token was settled by another command already.
    #[error("job is {}: its attempt was already settled by another command", .0.name())]
    Settled(Status),
    #[error("job \"{0}\" is unknown")]
    NoJob(String),
    #[error("batch \"{0}\" is unknown")]
    NoBatch(String),
    #[error("batch is {0}, which does not allow cancel")]
    BatchEnded(&'static str),
    /// The key, and the job or batch that it made.
    #[error("idempotency key \"{0}\" was used for another submission, which made \"{1}\"")]
    KeyTaken(String, String),
    #[error("job would have {0} artifacts; at most {1} are allowed")]
    TooManyArtifacts(usize, usize),
    /// What is to be attached or done does not fit.
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    TooLarge(String),
    /// What there is already forbids it.
    #[error("{0}")]
    Forbidden(String),
    /// The caller's key does not allow it.
    #[error("{0}")]
    Denied(String),
    /// The caller's key opens nothing.
    #[error("key {0}")]
    KeyRefused(&'static str),
    #[error("operation id \"{0}\" was used for another call; each call needs an id of its own")]
    OperationTaken(String),
    #[error("service account \"{0}\" is unknown")]
    NoAccount(String),
    #[error("key \"{0}\" is unknown")]
    NoKey(String),
    #[error("expiry of the key is in the past; allowed: a later instant")]
    ExpiresInThePast,
    /// The row changed under us; the operation is to be run again.
    #[error("job was changed by another writer meanwhile")]
    Conflict,
    #[error("engine is closed")]
    Closed,
    #[error("operation panicked: {0}")]
    Panicked(String),
    #[error(transparent)]
    Store(#[from] store::Error),
}

pub type Result<T> = std::result::Result<T, Error>;
