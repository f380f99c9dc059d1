//! How long what has ended is kept in a workspace, and what is older than that by now.
//! Age is told by the earlier of two clocks, the wall clock and the store's: a jump of the wall clock keeps things
//! longer, and removes nothing early unless the host is started anew in it. It removes nothing.

use super::clock::Now;
use super::error::Result;
use super::work::Work;
use crate::job::limits;
use crate::store::Rows;
use crate::value::{MapBuilder, Value, edn};

/// How long what has ended is kept in a workspace.
#[derive(Clone, Debug, PartialEq)]
pub struct Retention {
    pub keep_ms: i64,
    pub by_type: Vec<(String, i64)>,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention { keep_ms: limits::RETENTION_DEFAULT_MS, by_type: Vec::new() }
    }
}

impl Retention {
    pub fn of(&self, job_type: &str) -> i64 {
        let own = self.by_type.iter().find(|(named, _)| named == job_type);
        own.map_or(self.keep_ms, |(_, keep_ms)| *keep_ms)
    }

    fn name(workspace: &str) -> String {
        format!("retention {workspace}")
    }

    /// As it is stored.
    pub fn stored(rows: &mut dyn Rows, workspace: &str) -> Result<Retention> {
        Ok(Retention::read(rows.meta(&Retention::name(workspace))?))
    }

    fn read(text: Option<String>) -> Retention {
        let Some(read) = text.and_then(|text| edn::read(&text).ok()) else { return Retention::default() };
        let int = |value: Option<&Value>| match value {
            Some(Value::Int(int)) => Some(*int),
            _ => None,
        };
        let by_type = match read.get("by-type") {
            Some(Value::Map(entries)) => {
                entries.iter().filter_map(|(key, value)| Some((key.as_str()?.to_string(), int(Some(value))?))).collect()
            }
            _ => Vec::new(),
        };
        Retention { keep_ms: int(read.get("keep-ms")).unwrap_or(limits::RETENTION_DEFAULT_MS), by_type }
    }

    /// `{:keep-ms n :by-type {"type" n}}`
    pub fn to_value(&self) -> Value {
        let by_type = self.by_type.iter().map(|(name, ms)| (Value::str(name.as_str()), Value::Int(*ms))).collect();
        MapBuilder::new().put("keep-ms", self.keep_ms).put("by-type", Value::Map(by_type)).build()
    }
}

impl Work<'_> {
    /// How long what has ended is kept; what is given is changed first.
    pub fn retention(
        &mut self,
        workspace: &str,
        keep_ms: Option<i64>,
        by_type: Option<&[(String, i64)]>,
    ) -> Result<Retention> {
        let name = Retention::name(workspace);
        let before = Retention::read(self.tx.meta(&name)?);
        let after = Retention {
            keep_ms: keep_ms.unwrap_or(before.keep_ms),
            by_type: by_type.map_or_else(|| before.by_type.clone(), <[_]>::to_vec),
        };
        if after != before {
            self.tx.put_meta(&name, &edn::write(&after.to_value()))?;
        }
        Ok(after)
    }
}

impl Now {
    /// What ended at or before this is older than `keep_ms`, by both clocks.
    pub(super) fn ended(self, keep_ms: i64) -> i64 {
        self.wall_ms.min(self.store_ms) - keep_ms
    }
}
