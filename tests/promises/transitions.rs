//! Every status, event, budget, token, cancel request and lease, against a golden table that is also the README's.
//! `UPDATE_GOLDEN=1` writes it anew. It does not go through a store: the rules are one pure function.

use errand::job::{Change, Ending, Event, Facts, Outcome, Refusal, Status, decide};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const NOW: i64 = 1_000_000;
const LEASE: i64 = 60_000;
const BUDGET: i64 = 3;

/// What a row depends on besides the event; the values of each stand in `VALUES` in the same order.
const COLUMNS: [&str; 6] = ["from", "attempts left", "token", "cancel requested", "lease", "due"];
const VALUES: [&[&str]; 6] = [
    &["queued", "leased", "started", "running", "succeeded", "no_changes", "failed", "cancelled", "timed_out"],
    &["0", "1", "2+"],
    &["right", "wrong"],
    &["no", "yes"],
    &["holds", "over"],
    &["yes", "no"],
];

type Setting = [usize; 6];

fn events(token: bool) -> Vec<(&'static str, Event)> {
    let progress = |status| Event::Progress { token, status };
    let complete = |ending| Event::Complete { token, ending };
    let fail = |retryable, retry_after_ms| Event::Fail { token, retryable, retry_after_ms, jitter: 0 };
    vec![
        ("claim", Event::Claim { lease_ms: LEASE }),
        ("heartbeat", Event::Heartbeat { token, lease_ms: None }),
        ("progress", progress(None)),
        ("progress (leased)", progress(Some(Status::Leased))),
        ("progress (started)", progress(Some(Status::Started))),
        ("progress (running)", progress(Some(Status::Running))),
        ("complete", complete(Ending::Succeeded)),
        ("complete (no_changes)", complete(Ending::NoChanges)),
        ("complete (cancelled)", complete(Ending::Cancelled)),
        ("fail", fail(false, None)),
        ("fail (retryable)", fail(true, None)),
        ("fail (retryable, after 7 s)", fail(true, Some(7_000))),
        ("release", Event::Release { token }),
        ("lease expires", Event::Expire),
        ("cancel", Event::Cancel),
        ("retry", Event::Retry),
    ]
}

fn facts([from, left, _, cancel, lease, due]: Setting) -> Facts {
    let status = Status::ALL[from];
    Facts {
        status,
        attempt: 4,
        max_attempts: BUDGET,
        spent: BUDGET - left as i64,
        cancel_requested: cancel == 1,
        due_ms: if due == 0 { NOW } else { NOW + 1 },
        lease_ms: LEASE,
        lease_until_ms: status.is_active().then_some(if lease == 0 { NOW + 1 } else { NOW }),
    }
}

/// What the event makes of the job, in words.
fn becomes(event: &Event, before: &Facts) -> String {
    match decide(before, event, NOW) {
        Ok(Change { next, ended }) => {
            assert_lawful(before, &next, ended);
            let to = if next.status == before.status { "stays" } else { next.status.name() };
            [vec![to.to_string()], effects(before, &next)].concat().join(", ")
        }
        Err(Refusal::Status { .. }) => "refused".into(),
        Err(Refusal::LeaseLost) => "lease-lost".into(),
        Err(Refusal::NotDue) => "not due".into(),
        Err(Refusal::LeaseHolds) => "lease holds".into(),
    }
}

fn effects(before: &Facts, next: &Facts) -> Vec<String> {
    let mut effects = Vec::new();
    if next.attempt != before.attempt {
        effects.push(format!("attempt +{}", next.attempt - before.attempt));
    }
    if next.spent != before.spent {
        effects.push(format!("spent +{}", next.spent - before.spent));
    }
    if next.max_attempts != before.max_attempts {
        effects.push(format!("budget +{}", next.max_attempts - before.max_attempts));
    }
    if before.status.is_terminal() {
        assert!(next.due_ms == NOW && !next.cancel_requested, "what is tried again is due and wanted");
        effects.push("due now, no cancel requested".into());
        return effects;
    }
    match (before.cancel_requested, next.cancel_requested) {
        (false, true) => effects.push("cancel requested".into()),
        (true, false) => effects.push("cancel request cleared".into()),
        (false, false) | (true, true) => {}
    }
    match next.lease_until_ms {
        Some(until) if before.lease_until_ms != Some(until) => {
            assert_eq!(until, NOW + LEASE, "a lease has its full length again");
            effects.push("lease from now".into());
        }
        Some(_) | None => {}
    }
    if next.due_ms != before.due_ms {
        effects.push(format!("due in {} s", (next.due_ms - NOW) / 1000));
    }
    effects
}

/// What holds for every change, whatever the table says.
fn assert_lawful(before: &Facts, next: &Facts, ended: Option<Outcome>) {
    assert_eq!(next.lease_until_ms.is_some(), next.status.is_active(), "a lease is there exactly while active");
    assert_eq!(
        ended.is_some(),
        before.status.is_active() && !next.status.is_active(),
        "an attempt ends with its lease"
    );
    assert!(next.attempt >= before.attempt && next.spent >= before.spent, "attempts and losses only grow");
    assert!(
        !before.status.is_terminal() || next.status == Status::Queued,
        "a terminal job is only ever queued again, by an operator"
    );
    assert!(next.status != Status::Queued || !next.cancel_requested, "nobody queues a job that is to be cancelled");
    let leaves_queue = next.status == Status::Queued && before.status != Status::Queued;
    assert!(!leaves_queue || next.spent < next.max_attempts || next.spent == before.spent, "a queued job has budget");
}

/// One row: an event, the values of each column under which it holds, and what the job becomes.
struct Row {
    event: &'static str,
    when: [BTreeSet<usize>; 6],
    becomes: String,
}

/// Every setting once, those with the same result put together.
fn table() -> Vec<Row> {
    let mut rows = Vec::new();
    for (index, (event, _)) in events(true).into_iter().enumerate() {
        let mut of_event: Vec<Row> = settings()
            .map(|setting| {
                let (_, decided) = events(setting[2] == 0)[index];
                let when = setting.map(|value| BTreeSet::from([value]));
                Row { event, when, becomes: becomes(&decided, &facts(setting)) }
            })
            .collect();
        for column in (0..COLUMNS.len()).rev() {
            of_event = joined(of_event, column);
        }
        rows.extend(of_event);
    }
    rows
}

fn settings() -> impl Iterator<Item = Setting> {
    let all = VALUES.iter().map(|values| values.len()).product();
    (0..all).map(|number: usize| {
        let mut rest = number;
        let mut setting = [0; 6];
        for column in (0..6).rev() {
            setting[column] = rest % VALUES[column].len();
            rest /= VALUES[column].len();
        }
        setting
    })
}

/// Joins the rows that differ in one column only.
fn joined(rows: Vec<Row>, column: usize) -> Vec<Row> {
    let mut kept: Vec<Row> = Vec::new();
    for row in rows {
        let same = |other: &&mut Row| {
            other.becomes == row.becomes && (0..6).all(|c| c == column || other.when[c] == row.when[c])
        };
        match kept.iter_mut().find(same) {
            Some(other) => other.when[column].extend(&row.when[column]),
            None => kept.push(row),
        }
    }
    kept
}

fn words(column: usize, values: &BTreeSet<usize>) -> String {
    if values.len() == VALUES[column].len() {
        return "any".into();
    }
    let names: Vec<&str> = values.iter().map(|value| VALUES[column][*value]).collect();
    match (column, names.join(" ").as_str()) {
        (0, "leased started running") => "active".into(),
        (0, "succeeded no_changes failed cancelled timed_out") => "terminal".into(),
        (_, joined) => joined.into(),
    }
}

fn as_text(rows: &[Row]) -> String {
    let mut lines: Vec<Vec<String>> =
        vec![[&["event"], &COLUMNS[..], &["becomes"]].concat().iter().map(|s| s.to_string()).collect()];
    for row in rows {
        let mut line = vec![row.event.to_string()];
        line.extend((0..6).map(|column| words(column, &row.when[column])));
        line.push(row.becomes.clone());
        lines.push(line);
    }
    let widths: Vec<usize> =
        (0..8).map(|column| lines.iter().map(|line| line[column].len()).max().unwrap_or(0)).collect();
    let text = lines.iter().map(|line| {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join(" | ").trim_end().to_string() + "\n"
    });
    text.collect()
}

/// The rows that change something, in few words.
fn as_markdown(rows: &[Row]) -> String {
    let mut text = String::from("| event | from | to | condition |\n|---|---|---|---|\n");
    let refusals = ["refused", "lease-lost", "not due", "lease holds"];
    for row in rows.iter().filter(|row| !refusals.contains(&row.becomes.as_str())) {
        let from = match words(0, &row.when[0]) {
            names if names == "active" || names == "terminal" => names,
            names => names.split(' ').map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
        };
        let (to, effects) = row.becomes.split_once(", ").unwrap_or((&row.becomes, ""));
        let to = if to == "stays" { "as it was".to_string() } else { format!("`{to}`") };
        let to = if effects.is_empty() { to } else { format!("{to}; {effects}") };
        text += &format!("| {} | {from} | {to} | {} |\n", row.event, condition(row));
    }
    text
}

fn condition(row: &Row) -> String {
    let name = |column: usize| match (column, words(column, &row.when[column]).as_str()) {
        (_, "any") | (0, _) => None,
        (1, left) => Some(format!("{} attempts left", left.replace(' ', " or "))),
        (2, token) => Some(format!("{token} token")),
        (3, "yes") => Some("cancel requested".to_string()),
        (3, _) => Some("no cancel requested".to_string()),
        (4, lease) => Some(format!("lease {lease}")),
        (_, "yes") => Some("due".to_string()),
        (_, _) => Some("not due".to_string()),
    };
    (0..6).filter_map(name).collect::<Vec<_>>().join(", ")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Compares with a kept file, or writes it where `UPDATE_GOLDEN` is set.
pub fn same_as_golden(name: &str, text: &str) {
    let path: PathBuf = root().join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).expect("the golden file can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{} differs; UPDATE_GOLDEN=1 writes this:\n{text}", path.display());
}

#[test]
fn every_transition_is_as_the_golden_table_says() {
    let rows = table();
    let covered: usize = rows.iter().map(|row| row.when.iter().map(BTreeSet::len).product::<usize>()).sum();
    assert_eq!(covered, settings().count() * events(true).len(), "the rows cover each setting once");
    same_as_golden("transitions.txt", &as_text(&rows));
    same_as_golden("transitions.md", &as_markdown(&rows));
}

#[test]
fn the_readme_shows_the_table_of_transitions() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap_or_default();
    if let Some((_, after)) = readme.split_once("<!-- transitions -->") {
        let shown: String =
            after.trim_start().lines().take_while(|l| l.starts_with('|')).map(|l| format!("{l}\n")).collect();
        assert_eq!(shown, as_markdown(&table()), "README.md: copy tests/golden/transitions.md below its marker");
    }
}
