//! Where a session has its prepared statements from. A connection looks each up by its text, which takes a good part of
//! the time of a small statement; a transaction of many operations keeps those that it uses at hand.

use rusqlite::{CachedStatement, Connection, Result, Statement};
use std::cell::RefCell;

/// Prepared statements of one connection.
pub trait Statements {
    /// Whether a statement may find the store locked: in a transaction that writes it cannot.
    const MAY_WAIT: bool;

    fn connection(&self) -> &Connection;

    /// Runs `work` on the statement of that text.
    fn with<T>(&self, sql: &'static str, work: impl FnOnce(&mut Statement) -> Result<T>) -> Result<T>;
}

impl Statements for Connection {
    const MAY_WAIT: bool = true;

    fn connection(&self) -> &Connection {
        self
    }

    fn with<T>(&self, sql: &'static str, work: impl FnOnce(&mut Statement) -> Result<T>) -> Result<T> {
        work(&mut *self.prepare_cached(sql)?)
    }
}

/// The statements of one transaction that writes. Dropped, they go back to the connection.
pub struct AtHand<'a> {
    connection: &'a Connection,
    statements: RefCell<Vec<(&'static str, CachedStatement<'a>)>>,
}

impl<'a> AtHand<'a> {
    pub fn new(connection: &'a Connection) -> AtHand<'a> {
        AtHand { connection, statements: RefCell::default() }
    }
}

impl Statements for AtHand<'_> {
    const MAY_WAIT: bool = false;

    fn connection(&self) -> &Connection {
        self.connection
    }

    fn with<T>(&self, sql: &'static str, work: impl FnOnce(&mut Statement) -> Result<T>) -> Result<T> {
        let mut statements = self.statements.borrow_mut();
        // Each text stands at one place of the program, so that places are compared instead of texts.
        let at = match statements.iter().position(|(known, _)| std::ptr::eq(*known, sql)) {
            Some(at) => at,
            None => {
                statements.push((sql, self.connection.prepare_cached(sql)?));
                statements.len() - 1
            }
        };
        work(&mut statements[at].1)
    }
}
