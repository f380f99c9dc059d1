//! Replies as people read them: tables and cards, by what a reply holds.
//! It does not know which command gave the reply.

use crate::value::{Value, edn, json};
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Table};
use std::time::{Duration, SystemTime};

/// What is said of an item is not squeezed below this; else columns are left out, or the terminal wraps the lines.
const ABOUT_MIN: usize = 25;
const GAP: u16 = 2;
/// The columns that are left out first where there is too little room.
const SPARE: [&str; 2] = ["worker-id", "created-at"];
const JOB_COLUMNS: &[&str] = &["job-id", "job-type", "status", "attempt", "created-at", "worker-id", "about"];
const BATCH_COLUMNS: &[&str] = &["batch-id", "job-type", "status", "requested-count", "created-at", "about"];
const ATTEMPT_COLUMNS: &[&str] = &["attempt", "worker-id", "outcome", "claimed-at", "ended-at", "about"];

/// A reply as text for a terminal.
pub fn show(reply: &Value, full: bool, colour: bool) -> String {
    let mut out = String::new();
    if let Some(batch) = reply.get("batch") {
        out.push_str(&card(batch, colour));
    }
    for name in ["service-account", "key"] {
        out.push_str(&reply.get(name).map(|item| card(item, colour)).unwrap_or_default());
    }
    match reply.get("job") {
        Some(Value::Nil) => out.push_str("no job is due\n"),
        Some(job) => out.push_str(&card(job, colour)),
        None => {}
    }
    for name in ["items", "jobs"] {
        match reply.get(name).or_else(|| reply.get("batch").and_then(|batch| batch.get(name))) {
            Some(Value::Vector(items) | Value::List(items)) if items.is_empty() => out.push_str("nothing found\n"),
            Some(Value::Vector(items) | Value::List(items)) if full => {
                out.push_str(&items.iter().map(|item| card(item, colour)).collect::<Vec<_>>().join("\n"));
            }
            Some(Value::Vector(items) | Value::List(items)) => out.push_str(&table(items, colour)),
            _ => {}
        }
    }
    if let Some(Value::Map(types)) = reply.get("by-type") {
        let width = types.iter().map(|(name, _)| text(name).len()).max().unwrap_or_default();
        out.extend(types.iter().map(|(name, of)| format!("{:width$}  {}\n", text(name), counts(of))));
        out.push_str(if types.is_empty() { "no jobs\n" } else { "" });
    }
    if let Some(cursor) = reply.get("next-cursor").and_then(Value::as_str) {
        out.push_str(&format!("more: --cursor {}\n", plain(cursor)));
    }
    if let Some(directive) = reply.get("directive").and_then(Value::as_str) {
        out.push_str(&format!("the worker is to: {directive}\n"));
    }
    if out.is_empty() { json::write_pretty(reply) } else { out }
}

/// Text that cannot steer a terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

const ACCOUNT_COLUMNS: &[&str] =
    &["service-account-id", "name", "status", "capabilities", "allowed-job-types", "created-at"];
const KEY_COLUMNS: &[&str] = &["key-id", "name", "status", "created-at", "expires-at"];

fn columns(item: &Value) -> &'static [&'static str] {
    if item.get("key-id").is_some() {
        KEY_COLUMNS
    } else if item.get("capabilities").is_some() {
        ACCOUNT_COLUMNS
    } else if item.get("requested-count").is_some() {
        BATCH_COLUMNS
    } else if item.get("outcome").is_some() || item.get("job-id").is_none() {
        ATTEMPT_COLUMNS
    } else {
        JOB_COLUMNS
    }
}

fn table(items: &[Value], colour: bool) -> String {
    table_within(items, colour, Table::new().width())
}

/// A table for a terminal of that width, where there is one.
fn table_within(items: &[Value], colour: bool, width: Option<u16>) -> String {
    let Some(all) = items.first().map(columns) else { return String::new() };
    let columns = width.and_then(|width| fitting(all, items, usize::from(width)));
    let arrangement = if columns.is_some() { ContentArrangement::Dynamic } else { ContentArrangement::Disabled };
    let columns = columns.unwrap_or_else(|| all.to_vec());
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(arrangement);
    if let Some(width) = width {
        table.set_width(width);
    }
    if colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(columns.iter().map(|name| title(name)).collect::<Vec<_>>());
    for item in items {
        table.add_row(columns.iter().map(|name| cell(item, name)).collect::<Vec<_>>());
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, GAP));
        // Ids stay whole, to be copied; what is said of an item takes the rest.
        if index + 1 < columns.len() {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

fn title(name: &str) -> String {
    name.replace('-', " ").to_uppercase()
}

/// The columns for which the width is enough, without those that can be spared; nothing where it never is.
fn fitting(all: &[&'static str], items: &[Value], width: usize) -> Option<Vec<&'static str>> {
    let wide = |name: &str| {
        let texts = items.iter().map(|item| cell_text(item, name)).chain([title(name)]);
        let most = texts.map(|text| text.chars().count()).max().unwrap_or_default();
        usize::from(GAP) + if name == "about" { most.min(ABOUT_MIN) } else { most }
    };
    let mut columns = all.to_vec();
    let mut spare = SPARE.iter();
    while columns.iter().map(|name| wide(name)).sum::<usize>() > width {
        let name = spare.find(|name| columns.contains(name))?;
        columns.retain(|column| column != name);
    }
    Some(columns)
}

fn cell_text(item: &Value, name: &str) -> String {
    match (name, item.get(name)) {
        ("about", _) => about(item),
        (_, Some(Value::Inst(at))) => distance(*at),
        (_, Some(value)) => text(value),
        (_, None) => String::new(),
    }
}

fn cell(item: &Value, name: &str) -> Cell {
    let text = cell_text(item, name);
    match name {
        "status" | "outcome" => coloured(&text),
        _ => Cell::new(text),
    }
}

/// What is said of an item in one line: its error, its result, its progress, or its counts.
fn about(item: &Value) -> String {
    let error = item.get("error").and_then(message);
    let result = item.get("result").and_then(|result| result.get("summary"));
    let progress = item.get("progress").and_then(|progress| progress.get("message"));
    let said = item.get("result-summary").or(result).or(progress).map(text);
    error.or(said).or_else(|| item.get("counts").map(counts)).unwrap_or_default().replace('\n', " ")
}

/// The message of an error, which may stand in its reply as text.
fn message(error: &Value) -> Option<String> {
    let read = match error {
        Value::Text(text) => edn::read(text).ok()?,
        other => other.clone(),
    };
    read.get("message").or(read.get("code")).map(text)
}

fn counts(counts: &Value) -> String {
    let Value::Map(entries) = counts else { return text(counts) };
    let some = entries.iter().filter(|(_, count)| *count != Value::Int(0));
    some.map(|(name, count)| format!("{} {}", text(count), text(name))).collect::<Vec<_>>().join(", ")
}

fn coloured(status: &str) -> Cell {
    let cell = Cell::new(status);
    match status {
        "succeeded" | "no_changes" | "completed" => cell.fg(Color::Green),
        "failed" | "timed_out" | "partially_failed" | "lease_expired" => cell.fg(Color::Red),
        "cancelled" => cell.fg(Color::Yellow),
        "leased" | "started" | "running" => cell.fg(Color::Cyan),
        _ => cell,
    }
}

fn card(item: &Value, colour: bool) -> String {
    let Value::Map(entries) = item else { return text(item) + "\n" };
    let facts: Vec<_> = entries.iter().filter(|(key, _)| !is(key, "attempts") && !is(key, "jobs")).collect();
    let width = facts.iter().map(|(key, _)| text(key).chars().count()).max().unwrap_or_default();
    let mut out = String::new();
    for (key, value) in facts {
        let shown = match value {
            Value::Inst(at) => format!("{}  {}", text(value), distance(*at)),
            Value::Map(_) if is(key, "counts") => counts(value),
            Value::Map(_) | Value::Text(_) => indented(&plain(&json::write_pretty(value)), width + 2),
            _ if is(key, "status") && colour => painted(&text(value)),
            _ => indented(&text(value), width + 2),
        };
        out.push_str(&format!("{:width$}  {shown}\n", text(key)));
    }
    if let Some(Value::Vector(attempts)) = item.get("attempts").filter(|attempts| **attempts != Value::Vector(vec![])) {
        out.push('\n');
        out.push_str(&table(attempts, colour));
    }
    out
}

fn is(key: &Value, name: &str) -> bool {
    matches!(key, Value::Keyword(key) if key == name)
}

fn painted(status: &str) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).enforce_styling();
    table.add_row(vec![coloured(status)]);
    table.to_string().trim().to_owned()
}

fn indented(text: &str, by: usize) -> String {
    text.trim_end().replace('\n', &format!("\n{:by$}", ""))
}

fn text(value: &Value) -> String {
    let text = match value {
        Value::Str(text) => text.to_string(),
        Value::Keyword(name) | Value::Symbol(name) => name.to_string(),
        Value::Nil => String::new(),
        other => json::write(other).trim_matches('"').to_owned(),
    };
    plain(&text)
}

/// How far an instant is, behind or ahead, in its largest unit.
fn distance(at_ms: i64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let at = Duration::from_millis(u64::try_from(at_ms).unwrap_or_default());
    match now.checked_sub(at) {
        Some(since) => format!("{} ago", span(since.as_secs())),
        // Rounded up: a lease of two minutes has them, not one, while the first second passes.
        None => format!("in {}", span((at - now).as_millis().div_ceil(1_000) as u64)),
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::MapBuilder;

    const ID: &str = "01a2b3c4-d5e6-7f80-91a2-b3c4d5e6f708";

    fn failed(message: &str) -> Value {
        let error = Value::Text(format!("{{:code \"c\", :message \"{message}\"}}").into());
        let job = MapBuilder::new().put("job-id", ID).put("job-type", "agent-review").put("status", "failed");
        let job = job.put("attempt", 1).put("created-at", Value::Inst(0)).put("worker-id", "some-host-name-1234567");
        job.put("error", error).build()
    }

    #[test]
    fn what_went_wrong_is_said_of_failed_jobs_and_of_attempts() {
        let job = failed("no such branch");
        assert!(show(&MapBuilder::new().put("items", vec![job]).build(), false, false).contains("no such branch"));
        let error = Value::Text("{:code \"lease_expired\", :message \"lease ran out\"}".into());
        let attempt = MapBuilder::new().put("attempt", 1).put("outcome", "lease_expired").put("error", error).build();
        let job = MapBuilder::new().put("job-id", ID).put("attempts", vec![attempt]).build();
        assert!(show(&MapBuilder::new().put("job", job).build(), false, false).contains("lease ran out"));
    }

    #[test]
    fn a_narrow_terminal_loses_columns_before_what_is_said_is_squeezed() {
        let jobs = [failed("the branch that was named is not in the repository")];
        for (width, lost) in [(200, 0), (110, 1), (100, 2)] {
            let shown = table_within(&jobs, false, Some(width));
            let about = shown.lines().next().unwrap().find("ABOUT").unwrap();
            assert!(usize::from(width) - about >= ABOUT_MIN, "{width}: {shown}");
            assert!(shown.lines().all(|line| line.chars().count() <= usize::from(width)), "{width}: {shown}");
            assert_eq!(SPARE.iter().filter(|name| !shown.contains(&title(name))).count(), lost, "{width}: {shown}");
        }
        let narrow = table_within(&jobs, false, Some(60));
        assert_eq!(narrow.lines().count(), 2, "{narrow}");
        assert!(narrow.contains("WORKER ID"), "{narrow}");
    }

    #[test]
    fn an_instant_to_come_is_not_past() {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64;
        assert!(distance(now + 90_000).starts_with("in 1m"));
        assert_eq!(distance(now - 90_500), "1m ago");
    }
}
