//! Which store is used, and when it is made.

use crate::program::{Place, json, succeeded, text};

#[test]
fn a_submission_makes_a_missing_store_and_says_where() {
    let place = Place::new();
    let output = place.bare().args(["jobs", "create", "--type", "t"]).output().unwrap();
    assert!(output.status.success());
    let store = std::fs::canonicalize(place.path("errand.db")).unwrap();
    assert!(text(&output.stderr).contains(store.to_str().unwrap()), "{}", text(&output.stderr));
    let again = place.bare().args(["jobs", "create", "--type", "t"]).output().unwrap();
    assert_eq!(text(&again.stderr), "");
}

#[test]
fn a_read_of_a_missing_store_fails_and_makes_nothing() {
    let place = Place::new();
    for args in [vec!["jobs", "list"], vec!["jobs", "show", "x"], vec!["jobs", "cancel", "x"], vec!["jobs", "stats"]] {
        assert_eq!(place.refusal(4, &args)["code"], "not-found", "{args:?}");
    }
    assert!(!place.store().exists());
}

#[test]
fn a_flag_wins_over_the_environment_and_errand_names_over_breyta_names() {
    let place = Place::new();
    let output = place.errand(&["jobs", "create", "--type", "t", "--db", "other.db"]).output().unwrap();
    assert!(output.status.success() && place.path("other.db").exists() && !place.store().exists());
    let output =
        place.errand(&["jobs", "list", "--db", "other.db"]).env("BREYTA_API_URL", "http://x").output().unwrap();
    assert_eq!(json(&output.stdout)["data"]["items"].as_array().map(Vec::len), Some(1));
    let output =
        place.errand(&["jobs", "list", "--db", "other.db"]).env("ERRAND_API_URL", "http://x").output().unwrap();
    assert!(output.status.success());
}

#[test]
fn a_store_and_a_control_plane_at_one_level_are_an_error() {
    let place = Place::new();
    let error = place.refusal(2, &["jobs", "list", "--db", "a.db", "--api", "http://x"]);
    assert!(error["message"].as_str().unwrap().contains("--db and --api"), "{error}");
    let output = place.errand(&["jobs", "list"]).env("ERRAND_API_URL", "http://x").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn an_address_of_a_database_server_is_not_taken_for_a_file_and_not_shown() {
    let place = Place::new();
    let error = place.refusal(2, &["jobs", "create", "--type", "t", "--db", "postgres://user:secret@host/x"]);
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("PostgreSQL") && !message.contains("secret"), "{message}");
}

#[test]
fn workspaces_do_not_see_each_other() {
    let place = Place::new();
    let id = place.create(&["--workspace", "one"]);
    assert_eq!(place.refusal(4, &["jobs", "show", &id])["code"], "not-found");
    for name in ["ERRAND_WORKSPACE", "BREYTA_WORKSPACE"] {
        let output = place.errand(&["jobs", "show", &id]).env(name, "one").output().unwrap();
        assert_eq!(json(&output.stdout)["workspaceId"], "one", "{name}");
    }
}

#[test]
fn a_file_that_is_no_store_and_a_folder_that_is_missing_are_clear_errors() {
    let place = Place::new();
    std::fs::write(place.store(), "this is a text and no database at all, and it is long enough to be read".repeat(50))
        .unwrap();
    for args in [vec!["jobs", "list"], vec!["jobs", "create", "--type", "t"]] {
        let output = place.errand(&args).output().unwrap();
        assert!(!output.status.success(), "{args:?}");
        assert!(
            json(&output.stdout)["error"]["message"].as_str().unwrap().contains("jobs.db"),
            "{}",
            text(&output.stdout)
        );
    }
    let output = place.errand(&["jobs", "create", "--type", "t", "--db", "absent/x.db"]).output().unwrap();
    assert!(!output.status.success());
}

#[test]
fn a_folder_that_is_missing_is_told_alike_by_every_command() {
    let place = Place::new();
    place.create(&[]);
    let commands: [&[&str]; 7] = [
        &["jobs", "create", "--type", "t", "--db", "none/jobs.db"],
        &["jobs", "list", "--db", "none/jobs.db"],
        &["check", "--db", "none/jobs.db"],
        &["serve", "--listen", "127.0.0.1:0", "--db", "none/jobs.db"],
        &["backup", "--to", "none/jobs.db"],
        &["restore", "--from", "jobs.db", "--to", "none/jobs.db"],
        &["bench", "--folder", "none"],
    ];
    for command in commands {
        let error = place.refusal(4, command);
        let message = error["message"].as_str().expect("a message");
        assert!(
            message.starts_with("folder \"") && message.ends_with("none\" does not exist; make it first"),
            "{error}"
        );
    }
}

#[test]
fn a_flag_that_a_command_would_ignore_is_refused_and_not_in_its_help() {
    let place = Place::new();
    place.create(&[]);
    let elsewhere: &[&str] = &["--api=http://127.0.0.1:1", "--api-key=k", "--api-key-file=k"];
    let commands: [(&[&str], &[&str]); 6] = [
        (&["bench"], &["--db=x", "--workspace=w"]),
        (&["restore", "--from", "jobs.db", "--to", "x.db"], &["--db=x", "--workspace=w"]),
        (&["completions", "bash"], &["--db=x", "--workspace=w"]),
        (&["check"], &["--workspace=w"]),
        (&["backup", "--to", "x.db"], &["--workspace=w"]),
        (&["keys", "bootstrap"], &[]),
    ];
    for (command, more) in commands {
        let help = succeeded(place.errand(&[command, &["--help"]].concat())).stdout;
        let help = text(&help);
        for flag in [elsewhere, more].concat() {
            let name = flag.split('=').next().expect("a flag");
            for args in [[command, &[flag]].concat(), [&[flag], command].concat()] {
                let error = place.refusal(2, &args);
                assert!(error["message"].as_str().is_some_and(|text| text.starts_with(name)), "{args:?}: {error}");
            }
            assert!(!help.contains(&format!(" {name} ")), "{command:?}: {help}");
        }
    }
    assert!(!place.path("x.db").exists());
    succeeded(place.errand(&["check", "--db", "jobs.db"]));
}
