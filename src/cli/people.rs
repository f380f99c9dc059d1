//! Replies as people read them: tables and cards, by what a reply holds.
//! It does not know which command gave the reply.

use crate::value::{Value, json};
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Table};
use std::time::{Duration, SystemTime};

/// Terminals narrower than this wrap our lines themselves.
const WIDTH_MIN: u16 = 80;
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
    let Some(columns) = items.first().map(columns) else { return String::new() };
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_some_and(|width| width < WIDTH_MIN) {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    if colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(columns.iter().map(|name| name.replace('-', " ").to_uppercase()).collect::<Vec<_>>());
    for item in items {
        table.add_row(columns.iter().map(|name| cell(item, name)).collect::<Vec<_>>());
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        // Ids stay whole, to be copied; what is said of an item takes the rest.
        if index + 1 < columns.len() {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

fn cell(item: &Value, name: &str) -> Cell {
    let text = match (name, item.get(name)) {
        ("about", _) => about(item),
        (_, Some(Value::Inst(at))) => format!("{} ago", age(*at)),
        (_, Some(value)) => text(value),
        (_, None) => String::new(),
    };
    match name {
        "status" | "outcome" => coloured(&text),
        _ => Cell::new(text),
    }
}

/// What is said of an item in one line: its error, its result, its progress, or its counts.
fn about(item: &Value) -> String {
    let error = item.get("error").and_then(|error| error.get("message"));
    let result = item.get("result").and_then(|result| result.get("summary"));
    let progress = item.get("progress").and_then(|progress| progress.get("message"));
    let said = error.or(item.get("result-summary")).or(result).or(progress);
    said.map(text).or_else(|| item.get("counts").map(counts)).unwrap_or_default().replace('\n', " ")
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
        "failed" | "timed_out" | "partially_failed" | "lease_lost" => cell.fg(Color::Red),
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
            Value::Inst(at) => format!("{}  {} ago", text(value), age(*at)),
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

/// How long ago an instant was, in its largest unit.
fn age(at_ms: i64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let at = Duration::from_millis(u64::try_from(at_ms).unwrap_or_default());
    let seconds = now.saturating_sub(at).as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
