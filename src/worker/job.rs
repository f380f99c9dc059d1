//! A claimed job, as far as a worker has to know it.
//! It does not know the handler.

use crate::value::{Value, json};

/// A job under this worker's lease.
pub struct Job {
    pub id: String,
    pub lease_token: String,
    /// The job as the claim gave it.
    pub whole: Value,
}

impl Job {
    /// The job in a claim's reply; nothing where none was due.
    pub fn claimed(reply: &Value) -> Option<Job> {
        let whole = reply.get("job")?;
        let id = whole.get("job-id")?.as_str()?.to_owned();
        let lease_token = whole.get("lease-token")?.as_str()?.to_owned();
        Some(Job { id, lease_token, whole: whole.clone() })
    }

    /// A fact as text for the environment; empty where it is absent.
    pub fn fact(&self, name: &str) -> String {
        match self.whole.get(name) {
            Some(Value::Str(text)) => text.to_string(),
            Some(Value::Int(number)) => number.to_string(),
            _ => String::new(),
        }
    }

    /// The payload as JSON, `{}` where there is none.
    pub fn payload_json(&self) -> String {
        self.whole.get("payload").map_or_else(|| "{}".to_owned(), json::write)
    }

    /// The arguments that every command about this lease needs.
    pub fn args(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut args = serde_json::Map::new();
        args.insert("jobId".into(), self.id.as_str().into());
        args.insert("leaseToken".into(), self.lease_token.as_str().into());
        args
    }
}
