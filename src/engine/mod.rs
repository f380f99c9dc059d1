//! To be written.

/// In which order operations that wait share the next commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Urgent,
    Bulk,
}
