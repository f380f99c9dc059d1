//! The rows of service accounts and keys, to and from SQLite.
//! It does not know what they open.

use super::session::Session;
use super::statements::Statements;
use crate::store::{AccessKey, Account, Error, Grant, Result, sql};
use rusqlite::{Row, params};

const ACTIVE: &str = "active";
const DISABLED: &str = "disabled";

fn status(account: &Account) -> &'static str {
    if account.active { ACTIVE } else { DISABLED }
}

fn types(account: &Account) -> Option<String> {
    account.allowed_job_types.as_ref().map(|types| types.join(" "))
}

pub fn insert_account(session: &Session<impl Statements>, account: &Account) -> Result<i64> {
    let Account { account_id, workspace_id, name, metadata, created_at, updated_at, .. } = account;
    let (status, capabilities, types) = (status(account), account.capabilities.join(" "), types(account));
    let row = params![account_id, workspace_id, name, status, capabilities, types, metadata, created_at, updated_at];
    inserted(session.one(sql::INSERT_ACCOUNT, row, |row| row.get(0))?)
}

pub fn update_account(session: &Session<impl Statements>, account: &Account) -> Result<()> {
    let Account { seq, name, metadata, updated_at, .. } = account;
    let (status, capabilities, types) = (status(account), account.capabilities.join(" "), types(account));
    let row = params![seq, name, status, capabilities, types, metadata, updated_at];
    session.run(sql::UPDATE_ACCOUNT, row).map(|_| ())
}

pub fn insert_key(session: &Session<impl Statements>, key: &AccessKey) -> Result<i64> {
    let AccessKey { key_id, account_seq, name, hash, metadata, created_at, expires_at, .. } = key;
    let row = params![key_id, account_seq, name, hash, metadata, created_at, expires_at];
    inserted(session.one(sql::INSERT_KEY, row, |row| row.get(0))?)
}

fn inserted(seq: Option<i64>) -> Result<i64> {
    seq.ok_or_else(|| Error::Corrupt("an insert gave no row".into()))
}

/// The account whose columns begin at `first`.
pub fn account(row: &Row, first: usize) -> rusqlite::Result<Account> {
    let words = |text: String| text.split(' ').filter(|word| !word.is_empty()).map(String::from).collect();
    Ok(Account {
        seq: row.get(first)?,
        account_id: row.get(first + 1)?,
        workspace_id: row.get(first + 2)?,
        name: row.get(first + 3)?,
        active: row.get_ref(first + 4)?.as_str()? == ACTIVE,
        capabilities: words(row.get(first + 5)?),
        allowed_job_types: row.get::<_, Option<String>>(first + 6)?.map(words),
        metadata: row.get(first + 7)?,
        created_at: row.get(first + 8)?,
        updated_at: row.get(first + 9)?,
    })
}

const KEY_COLUMNS: usize = 10;

pub fn key(row: &Row) -> rusqlite::Result<AccessKey> {
    Ok(AccessKey {
        seq: row.get(0)?,
        key_id: row.get(1)?,
        account_seq: row.get(2)?,
        account_id: row.get(3)?,
        name: row.get(4)?,
        hash: row.get(5)?,
        metadata: row.get(6)?,
        created_at: row.get(7)?,
        expires_at: row.get(8)?,
        revoked_at: row.get(9)?,
    })
}

pub fn grant(row: &Row) -> rusqlite::Result<Grant> {
    Ok(Grant { key: key(row)?, account: account(row, KEY_COLUMNS)? })
}
