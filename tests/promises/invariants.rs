//! What must hold of a store at any moment between two commits: the laws that `errand check` looks for, recounted from
//! the rows. They do not go through the engine: a counter that the engine keeps is compared with what it counts.

use errand::store::{Depth, broken_laws};
use rusqlite::Connection;
use std::path::Path;

/// What holds where nothing is being pruned.
const COMPLETE: &str = "SELECT batch_id FROM batch WHERE requested_count <>
  queued + leased + started + running + succeeded + no_changes + failed + cancelled + timed_out";

/// Fails with every law that the store at `path` breaks.
pub fn assert_hold(path: &Path) {
    let connection = Connection::open(path).expect("the store opens");
    assert_hold_on(&connection);
}

/// As `assert_hold`, on a connection that is open already.
pub fn assert_hold_on(connection: &Connection) {
    let broken = broken(connection);
    assert!(broken.is_empty(), "the store breaks its laws:\n{}", broken.join("\n"));
}

/// Every law that is broken, with the rows that break it.
pub fn broken(connection: &Connection) -> Vec<String> {
    // All laws stay prepared: this is asked after every step.
    connection.set_prepared_statement_cache_capacity(128);
    connection.execute_batch("BEGIN").expect("a transaction that reads");
    let faults = broken_laws(connection, Depth { deep: true, told_max: 20 }).expect("the store can be read");
    let shown = |fault: &errand::store::Fault| {
        let errand::store::Fault { law, says, table, row, found, expected } = fault;
        format!("{law}: {says}: {table} {row}: {found}; expected: {expected}")
    };
    let mut broken: Vec<String> = faults.told.iter().map(shown).collect();
    broken.extend(texts(connection, COMPLETE).into_iter().map(|id| format!("batch {id} lost jobs")));
    connection.execute_batch("COMMIT").expect("the transaction ends");
    broken
}

/// What SQLite itself has to say.
pub fn assert_integrity(path: &Path) {
    let connection = Connection::open(path).expect("the store opens");
    assert_eq!(texts(&connection, "PRAGMA integrity_check"), ["ok"]);
}

fn texts(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare_cached(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
    let rows = statement.query_map([], |row| row.get::<_, rusqlite::types::Value>(0)).expect("the query runs");
    let shown = rows.map(|row| match row.expect("a row") {
        rusqlite::types::Value::Text(text) => text,
        other => format!("{other:?}"),
    });
    shown.collect()
}
