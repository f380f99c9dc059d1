//! How SQLite finds the rows of every statement, pinned: a plan that gets worse is seen before it is slow.

use super::transitions::same_as_golden;
use super::world::{fast_folder, make_store};
use rusqlite::Connection;
use std::path::Path;

/// Statements that read all of a table, each because that table is small or because that is what is asked.
const SCANS: &[(&str, &str)] = &[
    ("last_due", "begins at the end and reads one row"),
    ("list_newest", "reads the last 1000 rows"),
    ("list_job_types", "one row for each type and status, and every type is asked for"),
    ("list_empty_types", "one row for each type and status, and every type is asked about"),
    ("list_all_counts", "one row for each type and status, and all are asked for"),
    ("list_unused_workspaces", "scans what it found itself: one row for each workspace"),
];

/// Name and text of every statement of `src/store/sql`, as `build.rs` makes them.
pub fn statements() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sql");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is there").flatten() {
        if entry.path().extension().is_none_or(|ending| ending != "sql") {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).expect("the file is text");
        let (lists, mut blocks) = match text.split_once("-- name: ") {
            Some((lists, blocks)) => (lists.to_string(), blocks.to_string()),
            None => continue,
        };
        for list in lists.split("-- columns: ").skip(1) {
            let (name, columns) = list.split_once('\n').expect("a list has columns");
            blocks = blocks.replace(&format!("{{{name}}}"), columns.trim());
        }
        for block in blocks.split("-- name: ") {
            let (name, rest) = block.split_once('\n').expect("a name has a statement");
            all.push((name.trim().to_string(), rest.replace('$', "?").trim().trim_end_matches(';').to_string()));
        }
    }
    all.sort();
    all
}

/// The steps by which SQLite runs a statement.
pub fn plan(store: &Connection, name: &str, sql: &str) -> Vec<String> {
    let explained = format!("EXPLAIN QUERY PLAN {sql}");
    let mut statement = store.prepare(&explained).unwrap_or_else(|error| panic!("{name}: {error}"));
    // Which value a parameter has does not matter to a plan.
    let rows = statement.raw_query().mapped(|row| row.get::<_, String>(3)).collect::<Result<_, _>>();
    rows.expect("SQLite explains it")
}

#[test]
fn every_statement_finds_its_rows_as_the_golden_plans_say() {
    let folder = fast_folder();
    let path = folder.path().join("jobs.db");
    make_store(&path);
    let store = Connection::open(&path).expect("the store opens");
    let (mut text, mut worse) = (String::new(), Vec::new());
    for (name, sql) in statements() {
        let steps = plan(&store, &name, &sql);
        let bad = |step: &String| step.starts_with("SCAN") && !step.contains("USING") || step.contains("TEMP B-TREE");
        let allowed = SCANS.iter().any(|(scans, _)| *scans == name);
        if !allowed && steps.iter().any(bad) {
            worse.push(format!("{name}: {}", steps.join("; ")));
        }
        text += &format!("{name}\n");
        steps.iter().for_each(|step| text += &format!("  {step}\n"));
    }
    assert!(worse.is_empty(), "these read a whole table or sort:\n{}", worse.join("\n"));
    same_as_golden("plans.txt", &text);
}
