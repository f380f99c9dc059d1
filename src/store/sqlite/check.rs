//! Looks at a whole store: what SQLite says of the file, whether the tables are those of the migrations, and every law
//! of `sql/laws`, on one state and in bounded memory. It reads only.

use super::reading::Reading;
use super::{Result, error};
use crate::job::{BatchStatus, Counts};
use crate::store::sql::{self, LAWS, MIGRATIONS};
use crate::store::{Checked, Depth, Fault, Faults};
use crate::value::edn;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, Row};
use std::collections::BTreeMap;

const INTEGRITY: &str = "the file is whole, as SQLite tells";
const SCHEMA: &str = "the tables and indexes are those of the schema's version";
const BATCH: &str = "a batch knows its jobs, and its status follows from theirs";
const EDN: &str = "a text that callers gave is EDN";

/// The name and the sentence of everything that `check` looks for in the rows.
pub fn laws() -> Vec<(&'static str, &'static str)> {
    let own = [("integrity", INTEGRITY), ("schema", SCHEMA), ("batch", BATCH), ("edn", EDN)];
    own.into_iter().chain(LAWS.iter().map(|(name, says, _)| (*name, *says))).collect()
}

impl Reading {
    /// Looks at the whole store, beside whoever has it open.
    pub fn check(&self, depth: Depth) -> Result<Checked> {
        self.held(|connection| {
            let current = self.schema == MIGRATIONS.len();
            let mut checked = Checked { schema: self.schema, current, ..Checked::default() };
            integrity(connection, depth, &mut checked.faults)?;
            schema_faults(connection, self.schema, depth, &mut checked.faults)?;
            if current {
                rows(connection, depth, &mut checked.faults)?;
                let all = |row: &Row| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
                // What cannot be counted was told.
                (checked.jobs, checked.batches, checked.resources) =
                    connection.query_row(sql::COUNT_ALL, [], all).unwrap_or_default();
            }
            Ok(checked)
        })
    }
}

/// Every law that the rows break. Between two reads others may write, unless a transaction is open.
pub fn broken_laws(connection: &Connection, depth: Depth) -> Result<Faults> {
    let mut faults = Faults::default();
    rows(connection, depth, &mut faults)?;
    Ok(faults)
}

fn rows(connection: &Connection, depth: Depth, faults: &mut Faults) -> Result<()> {
    for (law, says, sql) in LAWS {
        let broken = |row: &Row| {
            Ok(Some(Fault {
                law,
                says,
                table: text(row, 0)?,
                row: text(row, 1)?,
                found: text(row, 2)?,
                expected: text(row, 3)?,
            }))
        };
        each(connection, (law, says), sql, depth, faults, broken)?;
    }
    each(connection, ("batch", BATCH), sql::RECOUNT_BATCHES, depth, faults, batch_fault)?;
    if depth.deep {
        each(connection, ("edn", EDN), sql::EVERY_EDN, depth, faults, edn_fault)?;
    }
    Ok(())
}

/// Adds a fault for every row of the statement that is one; where it cannot be read to its end that is a fault, too.
fn each(
    connection: &Connection,
    (law, says): (&'static str, &'static str),
    sql: &str,
    depth: Depth,
    faults: &mut Faults,
    read: impl Fn(&Row) -> rusqlite::Result<Option<Fault>>,
) -> Result<()> {
    let mut all = || {
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if let Some(fault) = read(row)? {
                faults.add(fault, depth.told_max);
            }
        }
        Ok::<_, rusqlite::Error>(())
    };
    let Err(cause) = all() else { return Ok(()) };
    match cause.sqlite_error_code() {
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::SystemIoFailure
            | ErrorCode::DiskFull
            | ErrorCode::CannotOpen
            | ErrorCode::OutOfMemory
            | ErrorCode::OperationInterrupted,
        ) => Err(error(cause)),
        Some(_) | None => {
            let expected = "rows that can be read".into();
            let fault =
                Fault { law, says, table: String::new(), row: String::new(), found: cause.to_string(), expected };
            faults.add(fault, depth.told_max);
            Ok(())
        }
    }
}

/// A column as text, whatever it holds.
fn text(row: &Row, column: usize) -> rusqlite::Result<String> {
    Ok(match row.get_ref(column)? {
        ValueRef::Null => "nothing".into(),
        ValueRef::Integer(int) => int.to_string(),
        ValueRef::Real(real) => real.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(bytes) => format!("{} bytes", bytes.len()),
    })
}

fn integrity(connection: &Connection, depth: Depth, faults: &mut Faults) -> Result<()> {
    let fault = |table: String, row: String, found: String| {
        Some(Fault { law: "integrity", says: INTEGRITY, table, row, found, expected: "ok".into() })
    };
    let told = |row: &Row| {
        let found = text(row, 0)?;
        Ok(if found == "ok" { None } else { fault(String::new(), String::new(), found) })
    };
    let sql = format!("PRAGMA integrity_check({})", depth.told_max.max(1));
    each(connection, ("integrity", INTEGRITY), &sql, depth, faults, told)?;
    let foreign = |row: &Row| Ok(fault(text(row, 0)?, text(row, 1)?, format!("no such row in {}", text(row, 2)?)));
    each(connection, ("integrity", INTEGRITY), "PRAGMA foreign_key_check", depth, faults, foreign)
}

/// Tables and indexes by name, with what made them.
type Made = BTreeMap<String, String>;

fn made(connection: &Connection) -> rusqlite::Result<Made> {
    let sql = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite~_%' ESCAPE '~'";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, bare(&row.get::<_, String>(1)?))))?;
    rows.collect()
}

/// A definition without its comments and blanks, which say nothing about what is stored.
fn bare(sql: &str) -> String {
    sql.lines().filter_map(|line| line.split("--").next()).flat_map(str::split_whitespace).collect()
}

/// Compares the tables with those that the migrations make. What others added for themselves is left to them.
fn schema_faults(connection: &Connection, schema: usize, depth: Depth, faults: &mut Faults) -> Result<()> {
    let expected = (|| {
        let fresh = Connection::open_in_memory()?;
        MIGRATIONS.iter().take(schema).try_for_each(|sql| fresh.execute_batch(sql))?;
        made(&fresh)
    })();
    let (expected, found) = (expected.map_err(error)?, made(connection).map_err(error)?);
    for (name, sql) in expected {
        let told = match found.get(&name) {
            Some(found) if *found == sql => continue,
            Some(found) => found.clone(),
            None => "nothing".into(),
        };
        let fault =
            Fault { law: "schema", says: SCHEMA, table: "sqlite_schema".into(), row: name, found: told, expected: sql };
        faults.add(fault, depth.told_max);
    }
    Ok(())
}

/// Compares a batch's counts with a recount, and its status with what follows from them.
fn batch_fault(row: &Row) -> rusqlite::Result<Option<Fault>> {
    let counts = |first: usize| {
        let mut counts = Counts::default();
        for (index, count) in counts.0.iter_mut().enumerate() {
            *count = row.get(first + index)?;
        }
        Ok::<_, rusqlite::Error>(counts)
    };
    let (kept, recount, status) = (counts(6)?, counts(15)?, text(row, 1)?);
    let (begun, requested): (bool, i64) = (row.get(2)?, row.get(3)?);
    let (completed, numbered, claimed): (bool, bool, bool) = (row.get(4)?, row.get(5)?, row.get(24)?);
    let jobs: i64 = recount.0.iter().sum();
    let ended = recount.0.iter().skip(crate::job::Status::Running as usize + 1).sum::<i64>() > 0;
    let fault = |found: String, expected: String| {
        Ok(Some(Fault { law: "batch", says: BATCH, table: "batch".into(), row: text(row, 0)?, found, expected }))
    };
    if kept != recount {
        return fault(format!("counts {:?}", kept.0), format!("counts {:?}", recount.0));
    }
    let known = BatchStatus::from_name(&status);
    // Of a batch that ended long ago some jobs may be pruned already, in a transaction before this.
    if jobs < requested && completed && known.is_some_and(BatchStatus::is_terminal) {
        return Ok(None);
    }
    if jobs != requested {
        return fault(format!("{jobs} jobs"), format!("{requested} jobs"));
    }
    if begun != (claimed || ended) && !begun {
        return fault("not begun".into(), "begun: a job was claimed or ended".into());
    }
    let expected = kept.status(begun);
    let rightly_completed = expected.is_terminal() == completed && (numbered || !completed);
    if known == Some(expected) && rightly_completed {
        return Ok(None);
    }
    let shown = |status: &str, completed: bool, numbered: bool| {
        let number = if completed && !numbered { " without a number" } else { "" };
        format!("{status}{}{number}", if completed { ", completed" } else { "" })
    };
    fault(shown(&status, completed, numbered), shown(expected.name(), expected.is_terminal(), true))
}

fn edn_fault(row: &Row) -> rusqlite::Result<Option<Fault>> {
    let read = match row.get_ref(2)?.as_str() {
        Ok(text) => edn::read(text).err().map(|fault| fault.message),
        Err(_) => Some("value is no text".into()),
    };
    let Some(found) = read else { return Ok(None) };
    Ok(Some(Fault { law: "edn", says: EDN, table: text(row, 0)?, row: text(row, 1)?, found, expected: "EDN".into() }))
}
