//! What the program says about itself.

use crate::program::{Place, succeeded, text};

#[track_caller]
fn said(args: &[&str]) -> String {
    text(&succeeded(Place::new().errand(args)).stdout)
}

#[test]
fn every_group_of_commands_explains_itself() {
    for (args, words) in [
        (vec![], ["errand jobs create", "Exit status"]),
        (vec!["jobs"], ["To submit", "batches"]),
        (vec!["jobs", "batches"], ["Usage", "create"]),
        (vec!["jobs", "worker"], ["ERRAND_JOB_PAYLOAD_FILE", "A handler in shell"]),
    ] {
        let help = said(&args);
        for word in words {
            assert!(help.contains(word), "{args:?}: {word}");
        }
    }
}

#[test]
fn every_verb_has_help_with_examples() {
    let verbs = "create list ls show claim heartbeat progress complete fail release cancel retry await stats";
    for verb in verbs.split(' ') {
        assert!(said(&["jobs", verb, "--help"]).contains("Examples:\n  "), "{verb}");
    }
    for verb in ["create", "show", "await", "cancel", "list"] {
        assert!(said(&["jobs", "batches", verb, "--help"]).contains("Examples:\n  "), "{verb}");
    }
    assert!(said(&["jobs", "worker", "run", "--help"]).contains("SIGTERM"));
}

#[test]
fn the_version_names_sqlite_too() {
    let version = said(&["--version"]);
    assert!(version.starts_with(&format!("errand {} (SQLite 3.", env!("CARGO_PKG_VERSION"))), "{version}");
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(said(&["completions", shell]).contains("idempotency-key"), "{shell}");
    }
}

#[test]
fn wrong_usage_ends_with_status_2_and_says_what_is_known() {
    for (args, word) in [
        (vec!["jobs", "crate"], "create"),
        (vec!["jobs", "create", "--tpye", "x"], "--type"),
        (vec!["jobs", "create"], "--type"),
        (vec!["jobs", "list", "--status", "done"], "succeeded"),
        (vec!["jobs", "worker", "run", "--type", "t"], "--handler"),
        (vec!["jobs", "worker", "run", "--type", "t", "--handler", "true", "--grace", "5 minutes"], "10s|duration"),
    ] {
        let error = Place::new().refusal(2, &args);
        let said = error["message"].as_str().unwrap();
        assert!(word.split('|').any(|word| said.contains(word)), "{args:?}: {said}");
    }
}
