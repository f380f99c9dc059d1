//! Which test holds each bound of `src/job/limits.rs`: the table of commands names it, and every field of that is tried,
//! or it has a row here. A bound without either fails.

const LIMITS: &str = include_str!("../../../src/job/limits.rs");
const FIELDS: [&str; 2] = [include_str!("../../../src/api/command.rs"), include_str!("../../../src/api/field.rs")];

/// Bounds that no field of a command has as its own, and where a test tries them.
const HELD: &[(&str, &str, &str)] = &[
    ("ARTIFACTS_MAX", ELSEWHERE, "a_jobs_artifacts_have_their_bound_whoever_brings_them"),
    (
        "ATTEMPTS_SHOWN_MAX",
        "tests/engine/lifecycle.rs",
        "a_job_that_is_released_again_and_again_costs_no_more_each_time",
    ),
    ("BATCH_BYTES_MAX", ELSEWHERE, "the_payloads_of_a_batch_have_their_bound_together"),
    ("BATCH_JOBS_MAX", CASES, "jobs"),
    ("FILENAME_MAX", ELSEWHERE, "what_is_told_of_a_file_has_bounds"),
    ("INDEXED_VALUE_MAX", ELSEWHERE, "the_fields_of_a_table_have_bounds"),
    ("LINK_MS", "tests/http/attacks.rs", "a_signed_link_is_over_when_its_time_is"),
    ("OPERATION_KEPT_MS", TIMES, "what_is_kept_for_a_time_is_gone_after_it"),
    ("POLL_MAX_MS", "tests/http/polls.rs", "a_poll_has_a_bound"),
    ("QUERY_FILTERS_MAX", ELSEWHERE, "a_query_has_bounds"),
    ("QUERY_SORTED_BYTES_MAX", ELSEWHERE, "what_is_sorted_without_an_index_has_bounds"),
    ("QUERY_SORTED_MAX", ELSEWHERE, "what_is_sorted_without_an_index_has_bounds"),
    ("REPLY_BYTES_MAX", TIMES, "a_reply_is_cut_at_its_bound"),
    ("RETENTION_TYPES_MAX", CASES, "keeps"),
    ("TABLE_CALL_ROWS_MAX", CASES, "rows"),
    ("TABLE_REINDEX_MAX", ELSEWHERE, "the_rows_of_a_table_have_bounds"),
    ("TABLE_ROWS_MAX", ELSEWHERE, "the_rows_of_a_table_have_bounds"),
    ("TABLE_ROW_MAX", CASES, "rows"),
    ("UPLOAD_MS", TIMES, "what_is_kept_for_a_time_is_gone_after_it"),
    ("WORDS_MAX", CASES, "cases"),
];

const CASES: &str = "tests/promises/limits/cases.rs";
const ELSEWHERE: &str = "tests/promises/limits/elsewhere.rs";
const TIMES: &str = "tests/promises/limits/times.rs";

/// What bounds no input: what stands where nothing is given, and how much the engine does at once.
const NO_BOUNDS: &[&str] = &[
    "ATTEMPTS_DEFAULT",
    "AWAIT_DEFAULT_MS",
    "BACKOFF_FIRST_MS",
    "BACKOFF_MAX_MS",
    "BATCH_SHOWN_DEFAULT",
    "INTERVAL_DEFAULT_MS",
    "LEASE_DEFAULT_MS",
    "LIST_DEFAULT",
    "PRUNE_JOBS",
    "PRUNE_ROWS",
    "QUERY_ROWS_DEFAULT",
    "RETENTION_DEFAULT_MS",
];

/// The names of all constants.
fn names() -> Vec<&'static str> {
    let constants = LIMITS.lines().filter_map(|line| line.strip_prefix("pub const "));
    constants.map(|rest| rest.split(':').next().expect("a constant has a type")).collect()
}

/// Whether a word stands in a text by itself.
fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part))
}

#[test]
fn every_bound_has_a_test() {
    assert!(names().len() > 50, "the constants are not found");
    for name in names() {
        let of_a_field = FIELDS.iter().any(|fields| has_word(fields, &format!("limits::{name}")));
        let held = HELD.iter().any(|(held, ..)| *held == name);
        let known = of_a_field || held || NO_BOUNDS.contains(&name);
        assert!(
            known,
            "{name} of src/job/limits.rs has no test: no field names it, and no row of tests/promises/limits"
        );
    }
}

#[test]
fn every_row_names_a_bound_and_a_test_that_there_is() {
    for (name, path, test) in HELD {
        assert!(names().contains(name), "{name} is no bound");
        let source = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(source.contains(&format!("fn {test}(")), "{path} has no {test}");
    }
    NO_BOUNDS.iter().for_each(|name| assert!(names().contains(name), "{name} is no constant"));
}
