//! Operations that a caller names, so that repeating one gives the first answer again and does nothing.
//! It does not know commands or what their answers mean.

use super::Now;
use super::error::{Error, Result};
use super::work::Work;
use crate::job::limits;
use crate::store::{Answered, OperationName, Rows, Text};

/// How a caller names what it asks, and a digest of what that is.
#[derive(Clone, Debug)]
pub struct Named {
    pub workspace: String,
    /// Callers do not see each other's operations.
    pub caller: String,
    pub operation_id: String,
    pub digest: Vec<u8>,
}

impl Named {
    fn name(&self) -> OperationName<'_> {
        OperationName { workspace_id: &self.workspace, caller: &self.caller, operation_id: &self.operation_id }
    }
}

impl Named {
    /// Whether an operation of that name was done before.
    pub fn is_answered(&self, rows: &mut dyn Rows, now: Now) -> Result<bool> {
        Ok(rows.answered(self.name(), now.store_ms)?.is_some())
    }
}

impl Work<'_> {
    /// The first answer to the operation, where it was done before.
    pub fn recalled(&mut self, named: &Named) -> Result<Option<Text>> {
        match self.tx.answered(named.name(), self.now.store_ms)? {
            Some(answered) if answered.digest == named.digest => Ok(Some(answered.answer)),
            Some(_) => Err(Error::OperationTaken(named.operation_id.clone())),
            None => Ok(None),
        }
    }

    /// Keeps the first answer for a day.
    pub fn keep_answer(&mut self, named: &Named, answer: Text) -> Result<()> {
        let answered = Answered { digest: named.digest.clone(), answer };
        let until_ms = self.now.store_ms + limits::OPERATION_KEPT_MS;
        Ok(self.tx.put_answered(named.name(), &answered, until_ms)?)
    }

    /// Forgets an operation that was undone.
    pub fn forget(&mut self, named: &Named) -> Result<()> {
        Ok(self.tx.delete_answered(named.name())?)
    }

    /// Forgets answers that were kept long enough, as many as `limit`; how many there were.
    pub fn forget_old(&mut self, limit: i64) -> Result<usize> {
        Ok(self.tx.delete_old_answers(self.now.store_ms, limit)?)
    }
}
