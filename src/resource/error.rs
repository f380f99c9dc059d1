//! Why something was not attached, found or read. It does not know codes of surfaces: `api` maps them.

use crate::store;

/// Why something was not attached, found or read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    TooLarge(String),
    /// What there is already forbids it.
    #[error("{0}")]
    Refused(String),
    /// The bytes cannot be read or written.
    #[error("{0}")]
    Unavailable(String),
    #[error(transparent)]
    Store(#[from] store::Error),
}

pub type Result<T> = std::result::Result<T, Error>;
