//! The README's tables against the tables of the program.

use errand::api::{CODES, COMMANDS};
use errand::job::limits;

/// The lines of the table that follows a marker.
fn shown(marker: &str) -> String {
    let readme = std::fs::read_to_string("README.md").expect("the README");
    let (_, after) = readme.split_once(marker).unwrap_or_else(|| panic!("README.md has no {marker}"));
    after.trim_start().lines().take_while(|line| line.starts_with('|')).map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_readme_shows_every_command() {
    let rows = COMMANDS.iter().map(|command| format!("| `{}` | {} |\n", command.name, command.doc));
    let table = ["| command | what it does |\n|---|---|\n".to_string()].into_iter().chain(rows).collect::<String>();
    assert_eq!(shown("<!-- commands -->"), table, "README.md: copy this table below its marker:\n{table}");
}

#[test]
fn the_readme_shows_every_error() {
    let row = |row: &errand::api::CodeRow| {
        let http = row.http.map_or("–".to_string(), |status| status.to_string());
        format!("| `{}` | {http} | {} | {} | {} |\n", row.name, row.exit, if row.retry { "yes" } else { "no" }, row.doc)
    };
    let head = "| code | HTTP | exit status | retry | when |\n|---|---|---|---|---|\n".to_string();
    let table = [head].into_iter().chain(CODES.iter().map(row)).collect::<String>();
    assert_eq!(shown("<!-- errors -->"), table, "README.md: copy this table below its marker:\n{table}");
}

fn size(bytes: usize) -> String {
    match bytes {
        0..0x400 => format!("{bytes} bytes"),
        0x400..0x10_0000 => format!("{} KiB", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

/// A number, from 10 000 on with spaces between its thousands.
fn count(number: i64) -> String {
    match number {
        0..10_000 => number.to_string(),
        10_000..1_000_000 => format!("{} {:03}", number / 1000, number % 1000),
        _ => format!("{} {:03} {:03}", number / 1_000_000, number / 1000 % 1000, number % 1000),
    }
}

fn time(ms: i64) -> String {
    match ms {
        86_400_001.. => format!("{} days", ms / 86_400_000),
        3_600_000.. => format!("{} h", ms / 3_600_000),
        60_000.. => format!("{} min", ms / 60_000),
        _ => format!("{} s", ms / 1_000),
    }
}

/// What is bounded, and how.
fn bounds() -> Vec<(&'static str, String)> {
    let [payload, outputs, value] = [limits::PAYLOAD_MAX, limits::OUTPUTS_MAX, limits::KV_VALUE_MAX].map(size);
    assert!(payload == outputs && payload == value, "they share a row");
    let [metadata, details, message] = [limits::METADATA_MAX, limits::DETAILS_MAX, limits::MESSAGE_MAX].map(size);
    let [key, name] = [limits::KEY_MAX, limits::NAME_MAX].map(size);
    let wait = time(limits::WAIT_MAX_MS);
    assert_eq!(wait, time(limits::TTL_MAX_S * 1_000), "they share a row");
    let of = |number: usize| count(number as i64);
    vec![
        ("payload, outputs, a value under a key", format!("{payload} each, in UTF-8 bytes of EDN text")),
        ("metadata, the labels of a worker together", metadata),
        ("progress details, metrics, failure details, worker facts, one artifact", details),
        ("message, summary, reason", message),
        ("ids, keys, step ids, codes, labels and other names that a caller gives", key.clone()),
        ("job type", format!("1 to {} of `A-Z a-z 0-9 . _ : / -`", limits::NAME_MAX)),
        ("worker id, workspace, name of an account or key, content type", name.clone()),
        ("labels of a worker", format!("{}, names and values {key} each", limits::LABELS_MAX)),
        ("artifacts of a job", format!("{}, of one call {outputs} together", of(limits::ARTIFACTS_MAX))),
        (
            "jobs in a batch",
            format!(
                "{}, and {} of payloads and metadata; over HTTP what one body holds",
                of(limits::BATCH_JOBS_MAX),
                size(limits::BATCH_BYTES_MAX)
            ),
        ),
        (
            "attempts of a job",
            format!(
                "1 to {}, default {}; with releases and retries there may be more, and a job shows the last {}",
                limits::ATTEMPTS_MAX,
                limits::ATTEMPTS_DEFAULT,
                limits::ATTEMPTS_SHOWN_MAX
            ),
        ),
        ("jobs under lease at once in a fan-out", format!("1 to {}", count(limits::FANOUT_MAX))),
        (
            "lease",
            format!(
                "{} to {}, default {}",
                time(limits::LEASE_MIN_MS),
                time(limits::LEASE_MAX_MS),
                time(limits::LEASE_DEFAULT_MS)
            ),
        ),
        (
            "a wait, a delay, a time to live",
            format!(
                "{wait}; {} scheduled checks; one long poll over HTTP {}",
                count(limits::CHECKS_MAX),
                time(limits::POLL_MAX_MS)
            ),
        ),
        (
            "retention",
            format!(
                "{}, default {}; of {} types by themselves",
                time(limits::RETENTION_MAX_MS),
                time(limits::RETENTION_DEFAULT_MS),
                of(limits::RETENTION_TYPES_MAX)
            ),
        ),
        (
            "a page",
            format!(
                "{} jobs, default {}; {} jobs of a batch, default {}; {} rows, default {}",
                limits::LIST_MAX,
                limits::LIST_DEFAULT,
                count(limits::BATCH_SHOWN_MAX),
                limits::BATCH_SHOWN_DEFAULT,
                count(limits::QUERY_ROWS_MAX),
                limits::QUERY_ROWS_DEFAULT
            ),
        ),
        (
            "a reply",
            format!(
                "{}; longer lists and batches are cut, with a cursor or `:jobs-truncated?`",
                size(limits::REPLY_BYTES_MAX)
            ),
        ),
        (
            "rows of a table",
            format!(
                "{} of {}; of one call {} and {}",
                count(limits::TABLE_ROWS_MAX),
                size(limits::TABLE_ROW_MAX),
                of(limits::TABLE_CALL_ROWS_MAX),
                size(limits::TABLE_CALL_BYTES_MAX)
            ),
        ),
        (
            "fields of a table",
            format!(
                "{}; {} key and index fields, with values of {}; an index field is added to at most {} rows",
                limits::TABLE_FIELDS_MAX,
                limits::TABLE_INDEXED_MAX,
                size(limits::INDEXED_VALUE_MAX),
                count(limits::TABLE_REINDEX_MAX)
            ),
        ),
        (
            "a query of a table",
            format!(
                "{} conditions, {} fields to sort by, an offset of {}; {} rows with {} to sort by are sorted without an index",
                limits::QUERY_FILTERS_MAX,
                limits::TABLE_INDEXED_MAX,
                count(limits::QUERY_OFFSET_MAX),
                of(limits::QUERY_SORTED_MAX),
                size(limits::QUERY_SORTED_BYTES_MAX)
            ),
        ),
        (
            "an uploaded file",
            format!(
                "{}, streamed, within {}; its name {} bytes; a link to it works for {}, a read gives {}",
                size(limits::FILE_BYTES_MAX as usize),
                time(limits::UPLOAD_MS),
                limits::FILENAME_MAX,
                time(limits::LINK_MS),
                size(limits::READ_BYTES_MAX as usize)
            ),
        ),
        ("one HTTP body", size(errand::http::BODY_BYTES_MAX)),
        ("nesting of a value", errand::value::DEPTH_MAX.to_string()),
        ("scopes or job types of an account", limits::WORDS_MAX.to_string()),
        ("an answer that is kept for a repeated operation id", time(limits::OPERATION_KEPT_MS)),
    ]
}

/// How much the engine does at once or waits by itself: nobody is held to it.
const INSIDE: [&str; 6] =
    ["AWAIT_DEFAULT_MS", "INTERVAL_DEFAULT_MS", "BACKOFF_FIRST_MS", "BACKOFF_MAX_MS", "PRUNE_JOBS", "PRUNE_ROWS"];

#[test]
fn the_readme_shows_every_limit() {
    let rows = bounds().into_iter().map(|(what, how)| format!("| {what} | {how} |\n"));
    let table = ["| what | bound |\n|---|---|\n".to_string()].into_iter().chain(rows).collect::<String>();
    assert_eq!(shown("<!-- limits -->"), table, "README.md: copy this table below its marker:\n{table}");
    let constants = include_str!("../src/job/limits.rs").lines().filter_map(|line| line.strip_prefix("pub const "));
    for name in constants.filter_map(|rest| rest.split(':').next()) {
        let named = include_str!("readme.rs").contains(&format!("limits::{name}"));
        assert!(named || INSIDE.contains(&name), "the table of limits in the README has no {name}");
    }
}
