//! Limits of what the command line takes: flags, variables, files, what a handler leaves; at the bound and one over it.

use crate::program::{Place, json, text};
use serde_json::Value;
use std::fs::File;

/// The message of the refusal of these arguments.
#[track_caller]
fn refused(place: &Place, args: &[&str]) -> String {
    let message = place.refusal(2, args)["message"].as_str().expect("a message").to_owned();
    assert!(message.len() < 1_000, "the message has {} bytes", message.len());
    message
}

#[test]
fn flags_of_a_worker_have_bounds() {
    let place = Place::new();
    place.create(&[]);
    let run = ["jobs", "worker", "run", "--type", "none", "--once", "--handler", "/bin/true"];
    let labels = |count: usize| (0..count).map(|n| format!("--label=l{n}=v")).collect::<Vec<_>>();
    let flag = |name: &str, value: &str| vec![format!("--{name}={value}")];
    let (id, long) = ("w".repeat(128), "v".repeat(512));
    for (fits, over, words) in [
        (flag("lease-duration", "24h"), flag("lease-duration", "86400001ms"), "allowed: 1s to 24h"),
        (flag("lease-duration", "1s"), flag("lease-duration", "999ms"), "allowed: 1s to 24h"),
        (flag("poll-interval", "50ms"), flag("poll-interval", "49ms"), "allowed: 50ms and more"),
        (flag("grace", "366d"), flag("grace", "31622400001ms"), "at most 366d"),
        (flag("concurrency", "1000"), flag("concurrency", "1001"), "1001 is not in 1..=1000"),
        (flag("worker-id", &id), flag("worker-id", &format!("{id}w")), "129 bytes; allowed: at most 128"),
        (labels(64), labels(65), "65 entries; at most 64"),
        (flag("label", &format!("l={long}")), flag("label", &format!("l={long}v")), "513 bytes; allowed: at most 512"),
        (flag("label", &format!("{long}=v")), flag("label", &format!("{long}v=v")), "513 bytes; allowed: at most 512"),
    ] {
        let args = |more: &[String]| {
            let more: Vec<&str> = more.iter().map(String::as_str).collect();
            [&run[..], &more].concat().into_iter().map(String::from).collect::<Vec<_>>()
        };
        let output = place.errand(&args(&over)).output().expect("it runs");
        let message = json(&output.stdout)["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert!(
            output.status.code() == Some(2) && message.contains(words),
            "{over:?}: {message} {}",
            text(&output.stderr)
        );
        let output = place.errand(&args(&fits)).output().expect("it runs");
        assert!(output.status.success(), "{fits:?}: {}", text(&output.stdout));
    }
}

#[test]
fn the_name_of_a_workspace_has_a_bound_wherever_it_comes_from() {
    let place = Place::new();
    let (fits, over) = ("w".repeat(128), "w".repeat(129));
    let words = "workspace is text of 129 bytes; allowed: 1 to 128";
    assert_eq!(refused(&place, &["jobs", "create", "--type", "t", "--workspace", &over]), words);
    assert_eq!(refused(&place, &["serve", "--listen", "127.0.0.1:0", "--workspace", &over]), words);
    assert!(!place.store().exists());
    for name in ["ERRAND_WORKSPACE", "BREYTA_WORKSPACE"] {
        let list =
            |value: &str| place.errand(&["jobs", "create", "--type", "t"]).env(name, value).output().expect("it runs");
        assert_eq!(json(&list(&over).stdout)["error"]["message"], words);
        assert_eq!(json(&list(&fits).stdout)["workspaceId"], Value::from(&*fits));
    }
}

#[test]
fn options_of_the_server_have_bounds() {
    let place = Place::new();
    let long = format!("{}=1d", "t".repeat(129));
    for (args, words) in [
        (["--retention", "3661d"], "at most 3660d"),
        (["--retention", "0"], "a duration from 1ms on"),
        (["--retention-type", "t=3661d"], "at most 3660d"),
        (["--retention-type", &*long], "--retention-type"),
        (["--retention-type", "a b=1d"], "--retention-type"),
        (["--drain-time", "367d"], "at most 366d"),
        (["--resources", &*"r".repeat(513)], "--resources is text of 513 bytes; allowed: at most 512"),
    ] {
        let message = refused(&place, &[&["serve", "--listen", "127.0.0.1:0"], &args[..]].concat());
        assert!(message.contains(words), "{args:?}: {message}");
    }
    assert!(!place.store().exists(), "a store was made");
}

#[test]
fn a_file_that_a_flag_names_has_a_bound() {
    let place = Place::new();
    let file =
        |bytes: u64| File::create(place.path("large.json")).and_then(|file| file.set_len(bytes)).expect("a file");
    let create = ["jobs", "create", "--type", "t", "--payload-file", "large.json"];
    file(128 << 20);
    assert!(refused(&place, &create).contains("is malformed JSON"));
    file((128 << 20) + 1);
    assert!(refused(&place, &create).contains("is larger than 134217728 bytes"));
    std::fs::write(place.path("large.json"), format!("\"{}\"", "p".repeat((1 << 20) - 2))).expect("a file");
    place.ask(&create);
    std::fs::write(place.path("large.json"), format!("\"{}\"", "p".repeat((1 << 20) - 1))).expect("a file");
    assert_eq!(refused(&place, &create), "--payload is 1048577 bytes of EDN; at most 1048576 are allowed");
    assert_eq!(place.ask(&["jobs", "stats"])["total"], 1);
}

#[test]
fn what_a_handler_leaves_has_the_bounds_of_a_result() {
    let place = Place::new();
    let result = |outputs: usize| {
        let script = format!(
            "{{ printf '{{\"outputs\": \"'; head -c {outputs} /dev/zero | tr '\\0' x; printf '\"}}'; }} > \"$BREYTA_JOB_RESULT_FILE\""
        );
        place.handled(&script)
    };
    assert_eq!(result((1 << 20) - 2)["status"], "succeeded");
    let job = result((1 << 20) - 1);
    let message = job["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("outputs") && message.contains("at most 1048576"), "{job:.500}");
    assert_eq!((&job["status"], &job["error"]["code"]), (&"failed".into(), &"invalid_result".into()));
}
