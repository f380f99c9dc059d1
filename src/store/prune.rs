//! How old jobs and batches are found and removed, row by row.
//! It does not know how long anything is kept.

use super::{Batch, Job, Result};

/// Reads.
pub trait PruneRows {
    /// Every workspace and type that has jobs or batches, or had them when pruning last came by.
    fn job_types(&mut self) -> Result<Vec<(String, String)>>;
    /// Those of them that have neither any more.
    fn empty_types(&mut self) -> Result<Vec<(String, String)>>;
    /// Jobs of a workspace and type outside of batches that ended at or before `completed_at`, oldest first.
    fn prunable_jobs(&mut self, of: (&str, &str), completed_at: i64, limit: i64) -> Result<Vec<i64>>;
    /// Batches of a workspace and type that ended at or before `completed_at`, oldest first.
    fn prunable_batches(&mut self, of: (&str, &str), completed_at: i64, limit: i64) -> Result<Vec<i64>>;
    /// Whether any job, ended or not, is under a cap.
    fn has_jobs_under(&mut self, fanout_id: i64) -> Result<bool>;
    /// Whether any type shares the cap `name`.
    fn has_fanouts_under(&mut self, workspace: &str, name: &str) -> Result<bool>;
}

/// Writes.
pub trait PruneTx {
    /// Removes every row of a job but those of its resources.
    fn delete_job(&mut self, job: &Job, idempotency_key: Option<&str>) -> Result<()>;
    /// Removes the row of a batch that has no jobs any more, and its cap.
    fn delete_batch(&mut self, batch: &Batch, fanout: &str) -> Result<()>;
    /// Forgets a type that has neither jobs nor batches; one that has is left as it is.
    fn delete_empty_type(&mut self, of: (&str, &str)) -> Result<()>;
    /// Removes a cap that no job is under.
    fn delete_fanout(&mut self, fanout_id: i64) -> Result<()>;
    /// The last number used for an ending stays at least this, whatever is removed.
    fn keep_ended_seq(&mut self, ended_seq: i64) -> Result<()>;
}
