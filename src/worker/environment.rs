//! The environment that a handler is given: every name in two spellings, `BREYTA_…` and `ERRAND_…`.
//! It does not start the handler.

use super::folder::JobFolder;
use super::job::Job;
use crate::api::{Client, Place};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

const PREFIXES: [&str; 2] = ["BREYTA_", "ERRAND_"];

/// Facts of the job by the name after `…JOB_`.
const FACTS: [(&str, &str); 9] = [
    ("ID", "job-id"),
    ("TYPE", "job-type"),
    ("BATCH_ID", "batch-id"),
    ("ATTEMPT", "attempt"),
    ("WORKSPACE_ID", "workspace-id"),
    ("ROOT_WORKFLOW_ID", "root-workflow-id"),
    ("PARENT_STEP_ID", "parent-step-id"),
    ("FANOUT_PARENT_STEP_ID", "fanout-parent-step-id"),
    ("FANOUT_MAX_CONCURRENCY", "fanout-max-concurrency"),
];

/// What of the worker its handlers are told.
pub struct Facts {
    pub worker_id: String,
    /// This program.
    pub program: PathBuf,
    /// The folder with the links to it.
    pub links: PathBuf,
    pub api_key: Option<String>,
}

/// Every variable that a handler gets besides the worker's own, or that it must not get (`None`).
pub fn environment(
    client: &dyn Client,
    facts: &Facts,
    job: &Job,
    folder: &JobFolder,
) -> Vec<(String, Option<OsString>)> {
    let mut twins: Vec<(String, Option<OsString>)> = vec![
        ("JOB_DIR".into(), Some(folder.path.clone().into())),
        ("JOB_FILE".into(), Some(folder.job_file().into())),
        ("JOB_PAYLOAD_FILE".into(), Some(folder.payload_file().into())),
        ("JOB_RESULT_FILE".into(), Some(folder.result_file().into())),
        ("JOB_CONTEXT_FILE".into(), Some(folder.context_file().into())),
        ("WORKER_ID".into(), Some(facts.worker_id.clone().into())),
        ("CLI_BIN".into(), Some(facts.program.clone().into())),
        ("LEASE_TOKEN".into(), None),
    ];
    twins.extend(FACTS.iter().map(|(name, fact)| (format!("JOB_{name}"), Some(job.fact(fact).into()))));
    twins.extend(reach(client, facts.api_key.as_deref()));
    let mut all: Vec<_> = twins
        .into_iter()
        .flat_map(|(name, value)| PREFIXES.map(|prefix| (format!("{prefix}{name}"), value.clone())))
        .collect();
    if let Place::Store(path) = client.place() {
        all.push(("ERRAND_DB".into(), Some(path.clone().into())));
        all.push(("ERRAND_WORKSPACE".into(), Some(client.workspace().into())));
    } else {
        all.push(("ERRAND_DB".into(), None));
    }
    all.push(("PATH".into(), Some(path_with(&facts.links))));
    all
}

/// How helpers reach a control plane; with a store all of it is taken away, or a URL left from elsewhere would win.
fn reach(client: &dyn Client, api_key: Option<&str>) -> Vec<(String, Option<OsString>)> {
    let (url, workspace, key) = match client.place() {
        Place::Store(_) => (None, None, None),
        Place::Url(url) => (Some(url.into()), Some(client.workspace().into()), api_key.map(OsString::from)),
    };
    vec![("API_URL".into(), url), ("WORKSPACE".into(), workspace), ("API_KEY".into(), key), ("TOKEN".into(), None)]
}

fn path_with(links: &Path) -> OsString {
    let mut path = links.as_os_str().to_owned();
    if let Some(rest) = std::env::var_os("PATH").filter(|rest| !rest.is_empty()) {
        path.push(":");
        path.push(rest);
    }
    path
}
