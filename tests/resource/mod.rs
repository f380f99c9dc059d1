//! What jobs produce, through commands and through the real program, on real files.

mod attach;
mod handlers;
mod retention;
mod tables;

use crate::support::{Store, get, text};
use errand::api::Client;
use std::sync::Arc;

/// A claimed job on a store of its own.
pub struct Claimed {
    pub store: Store,
    pub client: Arc<dyn Client>,
    pub job_id: String,
    pub token: String,
}

impl Claimed {
    pub fn new() -> Claimed {
        let store = Store::new();
        let client = store.open();
        get(&*client, "jobs.create", r#"{:job-type "t"}"#);
        let claimed = get(&*client, "jobs.claim", r#"{:job-type "t" :worker-id "w"}"#);
        let (job_id, token) =
            (text(&claimed, &["job", "job-id"]).into(), text(&claimed, &["job", "lease-token"]).into());
        Claimed { store, client, job_id, token }
    }

    /// The arguments with the job and its token.
    pub fn held(&self, args: &str) -> String {
        format!("{{:job-id \"{}\" :lease-token \"{}\" {args}}}", self.job_id, self.token)
    }

    /// Attaches and gives the URI.
    pub fn attach(&self, command: &str, args: &str) -> String {
        let reply = get(&*self.client, command, &self.held(args));
        text(&reply, &["artifact", "resource-uri"]).into()
    }
}
