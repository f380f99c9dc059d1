//! How a handler ended, and what is reported for it.

use crate::program::{Place, json, text};
use serde_json::json;

#[test]
fn a_good_exit_without_a_result_succeeds() {
    for script in ["exit 0", ": > \"$BREYTA_JOB_RESULT_FILE\""] {
        let job = Place::new().handled(script);
        assert_eq!(job["status"], "succeeded", "{job}");
        assert_eq!(job["result"]["summary"], "handler exited successfully");
        assert_eq!(job["result"]["workerInfo"]["handler"], "handler.sh");
        for name in ["workerId", "pid", "host"] {
            assert!(!job["result"]["workerInfo"][name].is_null(), "{name}: {job}");
        }
    }
}

#[test]
fn a_good_exit_completes_with_the_result() {
    for status in ["succeeded", "no_changes", "cancelled"] {
        let job = Place::new().handled(&format!(
            r#"cat > "$BREYTA_JOB_RESULT_FILE" <<'END'
{{"status": "{status}", "summary": "s", "outputs": {{"findings": [1, 2.5, "x"], "a/b": null}}, "metrics": {{"n": 1}},
 "artifacts": {{"kind": "link", "label": "l", "resourceUri": "res://x"}}, "workerInfo": {{"gpu": true}}}}
END"#
        ));
        assert_eq!(job["status"], status, "{job}");
        assert_eq!(job["result"]["outputs"], json!({"findings": [1, 2.5, "x"], "a/b": null}));
        assert_eq!(job["result"]["metrics"], json!({"n": 1}));
        assert_eq!(job["result"]["artifacts"][0]["label"], "l");
        assert_eq!(job["result"]["workerInfo"]["gpu"], true);
        assert_eq!(job["result"]["workerInfo"]["handler"], "handler.sh");
    }
}

#[test]
fn a_good_exit_with_a_failed_result_fails_with_its_words() {
    let place = Place::new();
    let job = place.handled(
        r#"echo '{"status": "failed", "message": "no branch", "code": "bad", "details": {"b": 1}}' > "$ERRAND_JOB_RESULT_FILE""#,
    );
    assert_eq!(job["status"], "failed");
    assert_eq!(job["error"], json!({"message": "no branch", "code": "bad", "details": {"b": 1}}));
    let job = place.handled(r#"echo '{"status": "failed"}' > "$ERRAND_JOB_RESULT_FILE""#);
    assert_eq!(job["error"]["code"], "handler_failed");
    let job = place.handled(r#"echo '{"status": "timed_out"}' > "$ERRAND_JOB_RESULT_FILE""#);
    assert_eq!((&job["status"], &job["error"]["code"]), (&json!("failed"), &json!("timed_out")));
}

#[test]
fn a_result_that_is_no_object_is_invalid() {
    let place = Place::new();
    for written in ["[1]", "{", "\"x\"", "{\"status\": \"done\"}"] {
        let job = place.handled(&format!("printf '%s' '{written}' > \"$BREYTA_JOB_RESULT_FILE\""));
        assert_eq!((&job["status"], &job["error"]["code"]), (&json!("failed"), &json!("invalid_result")), "{written}");
    }
}

#[test]
fn a_result_that_is_too_large_or_refused_is_invalid() {
    let place = Place::new();
    for script in [
        "head -c 20000000 /dev/zero > \"$BREYTA_JOB_RESULT_FILE\"",
        "{ printf '{\"outputs\": \"'; head -c 2000000 /dev/zero | tr '\\0' x; printf '\"}'; } > \"$BREYTA_JOB_RESULT_FILE\"",
        "echo '{\"summary\": {\"not\": \"text\"}}' > \"$BREYTA_JOB_RESULT_FILE\"",
        "mkdir \"$BREYTA_JOB_RESULT_FILE\"",
        "mkfifo \"$BREYTA_JOB_RESULT_FILE\"",
    ] {
        let job = place.handled(script);
        let got = (&job["status"], &job["error"]["code"]);
        assert_eq!(got, (&json!("failed"), &json!("invalid_result")), "{script}: {job}");
    }
}

#[test]
fn a_bad_exit_fails_for_good() {
    let place = Place::new();
    let job = place.handled("exit 3");
    assert_eq!(job["status"], "failed");
    let expected =
        json!({"message": "handler exited with status 3", "code": "handler_failed", "details": {"exitCode": 3}});
    assert_eq!(job["error"], expected);
    let job = place
        .handled(r#"echo '{"message": "m", "code": "c", "details": {"d": 1}}' > "$BREYTA_JOB_RESULT_FILE"; exit 4"#);
    assert_eq!(job["error"], json!({"message": "m", "code": "c", "details": {"d": 1, "exitCode": 4}}));
}

#[test]
fn a_temporary_failure_and_a_death_by_a_signal_are_tried_again() {
    for (script, details) in [("exit 75", json!({"exitCode": 75})), ("kill -9 $$", json!({"signal": 9}))] {
        let place = Place::new();
        let job = place.handled(script);
        assert_eq!(job["status"], "queued", "{job}");
        assert_eq!(job["attempts"][0]["error"]["code"], "handler_failed", "{job}");
        assert_eq!(job["attempts"][0]["error"]["details"], details, "{job}");
        let id = job["jobId"].as_str().unwrap();
        let worker = place.worker(&place.script("good.sh", "exit 0"), &[]);
        let job = place.ended(id);
        assert_eq!((&job["status"], &job["attempt"]), (&json!("succeeded"), &json!(2)));
        worker.drained();
    }
}

#[test]
fn a_handler_that_cannot_start_fails_the_job() {
    let place = Place::new();
    for content in ["no program at all", "#!/nonexistent/interpreter\n"] {
        let id = place.create(&[]);
        let summary = place.work_once(&place.program("broken", content), &[]);
        assert_eq!((&summary["handledCount"], &summary["failedCount"]), (&json!(1), &json!(1)));
        let job = place.job(&id);
        assert_eq!(
            (&job["status"], &job["error"]["code"]),
            (&json!("failed"), &json!("handler_start_failed")),
            "{job}"
        );
        let hinted = job["error"]["message"].as_str().unwrap().contains("(no #! line?)");
        assert_eq!(hinted, !content.starts_with("#!"), "{job}");
    }
}

#[test]
fn a_job_directory_that_cannot_be_made_fails_the_job() {
    let place = Place::new();
    let first = place.create(&[]);
    let second = place.create(&[]);
    let worker = place.worker(&place.script("h.sh", "mv \"${ERRAND_JOB_DIR%/*}\" \"${ERRAND_JOB_DIR%/*}-away\""), &[]);
    assert_eq!(place.ended(&first)["status"], "succeeded");
    assert_eq!(place.ended(&second)["error"]["code"], "worker_setup_failed");
    worker.drained();
}

#[test]
fn a_handler_that_is_missing_or_not_executable_is_told_before_anything_is_claimed() {
    let place = Place::new();
    let id = place.create(&[]);
    std::fs::write(place.path("plain.sh"), "#!/bin/sh\n").unwrap();
    for (handler, said) in [
        ("./absent.sh", "does not exist"),
        ("./plain.sh", "not executable"),
        ("no-such-program", "PATH"),
        ("./tmp", "not a file"),
    ] {
        let output = place.errand(&["jobs", "worker", "run", "--type", "t", "--handler", handler]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{handler}");
        let message = json(&output.stdout)["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(said), "{handler}: {message} {}", text(&output.stderr));
    }
    assert_eq!(place.job(&id)["status"], "queued");
}

#[test]
fn a_worker_without_a_place_for_its_folder_says_which_and_how_to_name_another() {
    let place = Place::new();
    let id = place.create(&[]);
    let mut worker = place.errand(&["jobs", "worker", "run", "--type", "t", "--once", "--handler", "/bin/true"]);
    let output = worker.env("TMPDIR", place.path("absent")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = json(&output.stdout)["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("/absent\"") && message.contains("TMPDIR"), "{message}");
    assert_eq!(place.job(&id)["status"], "queued");
}
