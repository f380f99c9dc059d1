//! The checker: what was said outside the store against what is in it. It does not know what the engine did in between.

use super::blows::Blows;
use super::lateness::Lateness;
use super::players::Stage;
use crate::promises::invariants;
use crate::support::{at, get};
use errand::api::{self, Client, OpenOptions};
use errand::value::{Value, edn, json};
use rusqlite::Connection;
use std::collections::{HashMap, HashSet};

const TERMINAL: [&str; 5] = ["succeeded", "no_changes", "failed", "cancelled", "timed_out"];

/// What was found. Of complaints there should be none.
#[derive(Default)]
pub struct Check {
    pub acknowledged: usize,
    ended: usize,
    completed: usize,
    artifacts: usize,
    runs: usize,
    troubles: usize,
    lost: usize,
    stuck: usize,
    doubled: usize,
    wrong: usize,
    pub lateness: Lateness,
    pub complaints: Vec<String>,
}

/// How many jobs are not terminal.
pub fn open_jobs(store: &Connection) -> i64 {
    let sql = "SELECT count(*) FROM job WHERE completed_at IS NULL";
    store.query_row(sql, [], |row| row.get(0)).expect("the query gives a number")
}

/// A job as it is in the end.
type Job = serde_json::Value;

impl Check {
    pub fn of(stage: &Stage, blows: &Blows, store: Connection) -> Check {
        let mut check = Check { lateness: Lateness::of(stage, &store, blows), ..Check::default() };
        invariants::assert_hold_on(&store);
        drop(store);
        let client = api::open(&stage.place.store(), OpenOptions::default()).expect("the store opens");
        let jobs = jobs(&*client);
        check.heard(stage, &*client, &jobs);
        check.ran(stage, &jobs);
        check.jobs(&*client, &jobs);
        for role in &blows.fallen {
            check.complaints.push(format!("{role:?} ended by itself"));
        }
        check
    }

    fn lose(&mut self, what: String) {
        self.lost += 1;
        self.complaints.push(format!("lost: {what}"));
    }

    fn double(&mut self, what: String) {
        self.doubled += 1;
        self.complaints.push(format!("doubled: {what}"));
    }

    /// What the submitters, awaiters and workers said.
    fn heard(&mut self, stage: &Stage, client: &dyn Client, jobs: &HashMap<String, Job>) {
        let mut completed = HashSet::new();
        for line in stage.heard.try_iter() {
            if let Some((id, status)) = line.strip_prefix("errand: job ").and_then(|rest| rest.split_once(": ")) {
                if TERMINAL.contains(&status) {
                    self.completed += 1;
                    self.holds(jobs, id, status, "completed");
                    if !completed.insert(id.to_owned()) {
                        self.double(format!("job {id} was completed twice"));
                    }
                }
                continue;
            }
            let Some((_, said)) = line.split_once("said ") else { continue };
            match said.split_whitespace().collect::<Vec<_>>()[..] {
                ["acknowledged", id] => {
                    self.acknowledged += 1;
                    if !jobs.contains_key(id) {
                        self.lose(format!("job {id} was acknowledged and is not there"));
                    }
                }
                ["batch", id, count] => self.batch(client, id, count),
                ["batch-ended", id, status] => {
                    let now = get(client, "jobs.batches.get", &format!("{{:batch-id \"{id}\"}}"));
                    if crate::support::text(&now, &["batch", "status"]) != status {
                        self.lose(format!("batch {id} was {status} and is {}", edn::write(&now)));
                    }
                }
                ["ended", id, status] => {
                    self.ended += 1;
                    self.holds(jobs, id, status, "awaited");
                }
                ["cancelled", id, "cancelled"] => self.holds(jobs, id, "cancelled", "cancelled"),
                ["run", id, attempt] => self.run(stage, id, attempt),
                ["trouble", ..] => {
                    self.troubles += 1;
                    println!("{said}");
                }
                _ => {}
            }
        }
    }

    fn batch(&mut self, client: &dyn Client, id: &str, count: &str) {
        self.acknowledged += count.parse::<usize>().unwrap_or(0);
        let args = format!("{{:batch-id \"{id}\"}}");
        match crate::support::ask(client, "jobs.batches.get", &args) {
            Ok(reply) if edn::write(at(&reply, &["batch", "requested-count"])) == count => {}
            reply => self.lose(format!("batch {id} of {count} was acknowledged and is {reply:?}")),
        }
    }

    /// What was told of a job that ended stays so.
    fn holds(&mut self, jobs: &HashMap<String, Job>, id: &str, status: &str, told: &str) {
        let now = jobs.get(id).and_then(|job| job["status"].as_str());
        if now != Some(status) {
            self.lose(format!("job {id} was {told} as {status} and is {now:?}"));
        }
    }

    /// A run in a JVM: it goes to the runs of the scripts.
    fn run(&mut self, stage: &Stage, id: &str, attempt: &str) {
        use std::io::Write;
        let runs = std::fs::File::options().append(true).open(stage.place.path("runs.txt"));
        runs.and_then(|mut runs| writeln!(runs, "{id} {attempt}")).expect("the file is ours");
    }

    fn ran(&mut self, stage: &Stage, jobs: &HashMap<String, Job>) {
        let runs = std::fs::read_to_string(stage.place.path("runs.txt")).expect("the file is ours");
        let mut seen = HashSet::new();
        for run in runs.lines() {
            self.runs += 1;
            if !seen.insert(run) {
                self.double(format!("attempt {run} was run twice"));
            }
        }
        for (id, job) in jobs {
            let succeeded = |attempt: &&Job| attempt["outcome"] == "succeeded";
            if job["attempts"].as_array().is_some_and(|all| all.iter().filter(succeeded).count() > 1) {
                self.double(format!("job {id} has two attempts that succeeded"));
            }
        }
    }

    /// Each job has ended, once for each submission, as its payload says, with what its handler left.
    fn jobs(&mut self, client: &dyn Client, jobs: &HashMap<String, Job>) {
        let mut submitted = HashSet::new();
        for (id, job) in jobs {
            let (status, payload) = (job["status"].as_str().unwrap_or_default(), &job["payload"]);
            if !submitted.insert(&payload["n"]) {
                self.double(format!("submission {payload} made two jobs"));
            }
            if !TERMINAL.contains(&status) {
                self.stuck += 1;
                self.complaints.push(format!("stuck: {job}"));
                continue;
            }
            let right = match payload["do"].as_str() {
                Some("cancel") => ["succeeded", "cancelled"].contains(&status),
                Some("fail") => status == "failed",
                Some("silence") => status == "timed_out",
                _ => status == "succeeded",
            };
            let outputs = status != "succeeded" || job["result"]["outputs"]["n"] == payload["n"];
            let left = payload["do"] != "artifacts" || self.left(client, job);
            if !(right && outputs && left) {
                self.wrong += 1;
                self.complaints.push(format!("wrong: job {id} {job}"));
            }
        }
    }

    /// Whether the file, the value and the rows of a job are what its handler attached.
    fn left(&mut self, client: &dyn Client, job: &Job) -> bool {
        let n = &job["payload"]["n"];
        let read = |label: &str| {
            let all = job["result"]["artifacts"].as_array()?;
            let uri = all.iter().find(|artifact| artifact["label"] == label)?["resourceUri"].as_str()?;
            Some(json(&crate::support::ask(client, "resources.read", &format!("{{:uri \"{uri}\"}}")).ok()?))
        };
        // A handler in a JVM has no files.
        let has_file = job["result"]["outputs"]["by"] != "jvm";
        self.artifacts += 2 + usize::from(has_file);
        let report = format!("report of {}\n", n.as_str().unwrap_or_default());
        let rows = serde_json::json!([{"id": 1, "n": n}, {"id": 2, "n": n}]);
        (!has_file || read("report").is_some_and(|read| read["content"] == report.as_str()))
            && read("value").is_some_and(|read| read["content"]["n"] == *n)
            && read("rows").is_some_and(|read| read["rows"] == rows)
    }

    pub fn summary(&self, blows: &Blows) -> String {
        let Check { acknowledged, ended, completed, artifacts, runs, troubles, .. } = self;
        let Check { lost, stuck, doubled, wrong, lateness, .. } = self;
        format!(
            "{acknowledged} acknowledged, {} kills, {} stops ({} in the middle of a commit), {runs} runs, {completed} \
             completions and {ended} ends told, {artifacts} artifacts read back, {troubles} calls given up over HTTP; \
             {lost} lost, {stuck} stuck, {doubled} doubled, {wrong} wrong, {}",
            blows.kills,
            blows.stops.len(),
            blows.held.len(),
            lateness.summary(blows)
        )
    }
}

fn json(value: &Value) -> Job {
    serde_json::from_str(&json::write(value)).expect("a value has a JSON form")
}

/// Every job of the store, by its id.
fn jobs(client: &dyn Client) -> HashMap<String, Job> {
    let mut jobs = HashMap::new();
    let mut cursor = String::new();
    loop {
        let page = json(&get(client, "jobs.list", &format!("{{:full? true :limit 500 {cursor}}}")));
        for job in page["items"].as_array().expect("items are a list") {
            jobs.insert(job["jobId"].as_str().expect("an id is text").to_owned(), job.clone());
        }
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!(":cursor \"{next}\""),
            None => return jobs,
        }
    }
}
