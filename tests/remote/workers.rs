//! Workers of a control plane: the whole contract over HTTP, and a restart in the middle of a job.

use super::plane::Plane;
use crate::program::{Worker, json, succeeded};
use crate::support::{get, text};
use serde_json::{Value, json};
use std::process::Stdio;

impl Plane {
    fn ask(&self, args: &[&str]) -> Value {
        json(&succeeded(self.errand(args)).stdout)["data"].clone()
    }

    fn worker(&self, handler: &str, more: &[&str]) -> Worker {
        let mut command = self.errand(&["jobs", "worker", "run", "--type", "t", "--handler", handler]);
        Worker::of(command.args(more).stdout(Stdio::piped()).spawn().unwrap())
    }

    fn create(&self) -> String {
        self.ask(&["jobs", "create", "--type", "t", "--payload", "{\"a\": 1}"])["job"]["jobId"].as_str().unwrap().into()
    }

    fn ended(&self, id: &str) -> Value {
        self.ask(&["jobs", "await", id, "--timeout", "60s"])["job"].clone()
    }
}

#[test]
fn a_handler_that_knows_only_breyta_works_over_http() {
    let plane = Plane::open();
    let id = plane.create();
    let handler = plane.place.script(
        "handler.sh",
        "set -e
         test \"$(cat \"$BREYTA_JOB_PAYLOAD_FILE\")\" = '{\"a\":1}'
         breyta jobs worker progress --status running --message half --metric done=0.5
         breyta jobs worker finish --summary done --output url=\"$BREYTA_API_URL\" --output workspace=\"$BREYTA_WORKSPACE\" \\
           --output key=\"${BREYTA_API_KEY:-$BREYTA_TOKEN}\" --output db=\"x$ERRAND_DB$BREYTA_DB\"",
    );
    let worker = plane.worker(&handler, &[]);
    let job = plane.ended(&id);
    assert_eq!(job["status"], "succeeded", "{job}");
    let outputs = json!({"url": plane.url(), "workspace": "default", "key": "any", "db": "x"});
    assert_eq!(job["result"]["outputs"], outputs);
    assert_eq!(job["progress"]["message"], "half");
    assert_eq!(worker.drained()["handledCount"], 1);
}

#[test]
fn a_worker_rides_out_a_restart_in_the_middle_of_a_job() {
    let mut plane = Plane::open();
    let id = plane.create();
    let (begun, goes_on) = (plane.place.pipe("begun"), plane.place.pipe("goes-on"));
    let handler = plane.place.script(
        "handler.sh",
        "echo \"$BREYTA_JOB_ID\" > begun; cat goes-on > /dev/null
         exec breyta jobs worker finish --output attempt=\"$BREYTA_JOB_ATTEMPT\"",
    );
    let worker = plane.worker(&handler, &["--lease-duration", "30s"]);
    assert_eq!(begun.hear(), id);
    plane.end();
    plane.again();
    goes_on.tell();
    let job = plane.ended(&id);
    assert_eq!(job["result"]["outputs"], json!({"attempt": 1}), "{job}");
    // It claims again, too.
    let next = plane.create();
    assert_eq!(begun.hear(), next);
    plane.kill();
    goes_on.tell();
    plane.again();
    assert_eq!(plane.ended(&next)["status"], "succeeded");
    assert_eq!(worker.drained()["handledCount"], 2);
}

#[test]
fn a_worker_that_ends_while_it_claims_takes_no_job_with_it() {
    let plane = Plane::open();
    let handler = plane.place.script("handler.sh", "exit 0");
    let worker = plane.worker(&handler, &["--poll-interval", "30s"]);
    let client = plane.client();
    let first = plane.create();
    plane.ended(&first);
    worker.drained();
    let id = plane.create();
    let claimed = get(&*client, "jobs.claim", "{:job-type \"t\" :worker-id \"w\"}");
    assert_eq!(text(&claimed, &["job", "job-id"]), id);
}
