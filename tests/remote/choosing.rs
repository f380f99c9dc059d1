//! Which control plane the command line asks, and with which key.

use super::plane::Plane;
use crate::program::{Place, json};
use std::fs;
use std::process::Command;

const WRONG: &str = "http://127.0.0.1:9";

fn status(mut command: Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    let code = json(&output.stdout)["error"]["code"].as_str().unwrap_or("ok").to_owned();
    (output.status.code(), code)
}

#[test]
fn a_key_comes_from_its_flag_or_a_file_or_the_first_variable_that_is_set() {
    let plane = Plane::with(Place::new(), &[]);
    let key = plane.said["token"].as_str().unwrap().to_owned();
    fs::write(plane.place.path("key"), format!("{key}\n")).unwrap();
    let url = plane.url();
    let list = |more: &[&str], variables: &[(&str, &str)]| {
        let mut command = plane.place.bare();
        command.args(["jobs", "list", "--api", &url]).args(more).envs(variables.iter().copied());
        status(command)
    };
    let fine = (Some(0), "ok".to_owned());
    assert_eq!(list(&["--api-key", &key], &[("ERRAND_API_KEY", "wrong")]), fine);
    assert_eq!(list(&["--api-key-file", "key"], &[("ERRAND_API_KEY", "wrong")]), fine);
    assert_eq!(list(&[], &[("ERRAND_API_KEY", &key), ("BREYTA_API_KEY", "wrong")]), fine);
    assert_eq!(list(&[], &[("BREYTA_API_KEY", &key), ("BREYTA_TOKEN", "wrong")]), fine);
    assert_eq!(list(&[], &[("BREYTA_TOKEN", &key)]), fine);
    let refused = (Some(3), "unauthenticated".to_owned());
    assert_eq!(list(&[], &[]), refused);
    assert_eq!(list(&[], &[("ERRAND_API_KEY", "wrong"), ("BREYTA_API_KEY", &key)]), refused);
}

#[test]
fn flags_win_over_errand_names_and_those_over_breyta_names() {
    let plane = Plane::open();
    let url = plane.url();
    let list = |more: &[&str], variables: &[(&str, &str)]| {
        let mut command = plane.place.bare();
        command.args(["jobs", "list"]).args(more).envs(variables.iter().copied());
        status(command)
    };
    let fine = (Some(0), "ok".to_owned());
    assert_eq!(list(&["--api", &url], &[("ERRAND_API_URL", WRONG), ("BREYTA_API_URL", WRONG)]), fine);
    assert_eq!(list(&[], &[("ERRAND_API_URL", &url), ("BREYTA_API_URL", WRONG)]), fine);
    assert_eq!(list(&[], &[("BREYTA_API_URL", &url)]), fine);
    assert_eq!(list(&["--db", "jobs.db"], &[("ERRAND_API_URL", WRONG)]), fine);
    let both = (Some(2), "invalid-argument".to_owned());
    assert_eq!(list(&["--db", "jobs.db", "--api", &url], &[]), both);
    assert_eq!(list(&[], &[("ERRAND_DB", "jobs.db"), ("ERRAND_API_URL", &url)]), both);
}
