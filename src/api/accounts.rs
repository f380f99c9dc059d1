//! The commands of service accounts and keys.
//! It does not check keys: `access.rs` does.

use super::args::Args;
use super::run::{Reading, items_data};
use super::{Reply, SECRET};
use crate::engine::{self, AccountChange, NewAccount, NewKey, Work};
use crate::job::limits;
use crate::store::{AccessKey, Account};
use crate::value::{MapBuilder, Value};

pub fn create(work: &mut Work, workspace: &str, args: &Args) -> engine::Result<Value> {
    let new = NewAccount {
        name: args.text("name").into(),
        capabilities: args.words("capabilities").unwrap_or_default(),
        allowed_job_types: args.words("allowed-job-types"),
        metadata: args.open("metadata"),
    };
    work.create_account(workspace, new).map(account_data)
}

pub fn update(work: &mut Work, workspace: &str, args: &Args) -> engine::Result<Value> {
    let change = AccountChange {
        name: args.maybe_string("name"),
        active: args.maybe_text("status").map(|status| status == "active"),
        capabilities: args.words("capabilities"),
        allowed_job_types: args.words("allowed-job-types"),
        metadata: args.open("metadata"),
    };
    work.update_account(workspace, args.text("service-account-id"), change).map(account_data)
}

pub fn get(reading: &mut Reading, args: &Args) -> Reply {
    let account = engine::account(reading.rows, reading.workspace, args.text("service-account-id"))?;
    Ok(account_data(account))
}

pub fn list(reading: &mut Reading, args: &Args) -> Reply {
    let (before, limit) = page(args)?;
    let found = reading.rows.accounts(reading.workspace, before, limit + 1).map_err(engine::Error::from)?;
    Ok(paged(found, limit, |account| account.seq, account))
}

pub fn create_key(work: &mut Work, workspace: &str, args: &Args) -> engine::Result<Value> {
    let new =
        NewKey { name: args.maybe_string("name"), expires_at: args.int("expires-at"), metadata: args.open("metadata") };
    let (key, secret) = work.create_key(workspace, args.text("service-account-id"), new)?;
    let Value::Map(mut entries) = self::key(key) else { unreachable!("a key is a map") };
    entries.push((Value::key(SECRET), secret.into()));
    Ok(MapBuilder::new().put("key", Value::Map(entries)).build())
}

pub fn list_keys(reading: &mut Reading, args: &Args) -> Reply {
    let (before, limit) = page(args)?;
    let account = engine::account(reading.rows, reading.workspace, args.text("service-account-id"))?;
    let found = reading.rows.keys(account.seq, before, limit + 1).map_err(engine::Error::from)?;
    Ok(paged(found, limit, |key| key.seq, key))
}

pub fn revoke_key(work: &mut Work, workspace: &str, args: &Args) -> engine::Result<Value> {
    let key = work.revoke_key(workspace, args.maybe_text("service-account-id"), args.text("key-id"))?;
    Ok(MapBuilder::new().put("key", self::key(key)).build())
}

fn page(args: &Args) -> Result<(i64, i64), super::Error> {
    Ok((super::run::before(args)?, args.int("limit").unwrap_or(limits::LIST_DEFAULT)))
}

fn paged<T>(mut found: Vec<T>, limit: i64, seq: fn(&T) -> i64, shown: fn(T) -> Value) -> Value {
    let more = found.len() as i64 > limit;
    found.truncate(limit as usize);
    let last = found.last().map(seq).filter(|_| more);
    items_data(found.into_iter().map(shown).collect(), last)
}

fn account_data(account: Account) -> Value {
    MapBuilder::new().put("service-account", self::account(account)).build()
}

fn account(account: Account) -> Value {
    let words = |words: Vec<String>| words.into_iter().map(Value::from).collect::<Vec<_>>();
    MapBuilder::new()
        .put("service-account-id", account.account_id)
        .put("workspace-id", account.workspace_id)
        .put("name", account.name)
        .put("status", if account.active { "active" } else { "disabled" })
        .put("capabilities", words(account.capabilities))
        .put_some("allowed-job-types", account.allowed_job_types.map(words))
        .put_some("metadata", account.metadata.map(Value::Text))
        .put("created-at", Value::Inst(account.created_at))
        .put("updated-at", Value::Inst(account.updated_at))
        .build()
}

fn key(key: AccessKey) -> Value {
    MapBuilder::new()
        .put("key-id", key.key_id)
        .put("service-account-id", key.account_id)
        .put_some("name", key.name)
        .put("status", if key.revoked_at.is_some() { "revoked" } else { "active" })
        .put_some("metadata", key.metadata.map(Value::Text))
        .put("created-at", Value::Inst(key.created_at))
        .put_some("expires-at", key.expires_at.map(Value::Inst))
        .put_some("revoked-at", key.revoked_at.map(Value::Inst))
        .build()
}
