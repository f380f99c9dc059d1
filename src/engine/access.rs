//! Service accounts and their keys: made, changed, revoked, and whether a key opens anything.
//! It does not know what a scope allows.

use super::clock::{Ids, Now, RandomIds};
use super::error::{Error, Result};
use super::work::Work;
use crate::store::{AccessKey, Account, Grant, Rows, Text};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What every key begins with, so that leaks are found by their looks.
const KEY_PREFIX: &str = "erk_";

/// What a service account is made with.
#[derive(Clone, Debug)]
pub struct NewAccount {
    pub name: String,
    pub capabilities: Vec<String>,
    /// Absent where all are allowed.
    pub allowed_job_types: Option<Vec<String>>,
    pub metadata: Option<Text>,
}

/// What is to change of a service account; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct AccountChange {
    pub name: Option<String>,
    pub active: Option<bool>,
    pub capabilities: Option<Vec<String>>,
    /// An empty list allows all.
    pub allowed_job_types: Option<Vec<String>>,
    pub metadata: Option<Text>,
}

/// What a key is made with.
#[derive(Clone, Debug, Default)]
pub struct NewKey {
    pub name: Option<String>,
    pub expires_at: Option<i64>,
    pub metadata: Option<Text>,
}

impl Work<'_> {
    pub fn create_account(&mut self, workspace: &str, new: NewAccount) -> Result<Account> {
        let mut account = Account {
            seq: 0,
            account_id: self.ids.id(),
            workspace_id: workspace.into(),
            name: new.name,
            active: true,
            capabilities: new.capabilities,
            allowed_job_types: new.allowed_job_types.filter(|types| !types.is_empty()),
            metadata: new.metadata,
            created_at: self.now.wall_ms,
            updated_at: self.now.wall_ms,
        };
        account.seq = self.tx.insert_account(&account)?;
        Ok(account)
    }

    pub fn update_account(&mut self, workspace: &str, account_id: &str, change: AccountChange) -> Result<Account> {
        let mut account = account(self.tx, workspace, account_id)?;
        let AccountChange { name, active, capabilities, allowed_job_types, metadata } = change;
        account.name = name.unwrap_or(account.name);
        account.active = active.unwrap_or(account.active);
        account.capabilities = capabilities.unwrap_or(account.capabilities);
        if let Some(types) = allowed_job_types {
            account.allowed_job_types = Some(types).filter(|types| !types.is_empty());
        }
        account.metadata = metadata.or(account.metadata);
        account.updated_at = self.now.wall_ms;
        self.tx.update_account(&account)?;
        Ok(account)
    }

    /// Makes a key and gives it with the text that opens, which is not kept.
    pub fn create_key(&mut self, workspace: &str, account_id: &str, new: NewKey) -> Result<(AccessKey, String)> {
        if new.expires_at.is_some_and(|at| at <= self.now.wall_ms) {
            return Err(Error::ExpiresInThePast);
        }
        let account = account(self.tx, workspace, account_id)?;
        let key_id = self.ids.id().replace('-', "");
        let secret = format!("{KEY_PREFIX}{key_id}_{}{}", self.ids.token(), self.ids.token());
        let mut key = AccessKey {
            seq: 0,
            key_id,
            account_seq: account.seq,
            account_id: account.account_id,
            name: new.name,
            hash: hash(&secret),
            metadata: new.metadata,
            created_at: self.now.wall_ms,
            expires_at: new.expires_at,
            revoked_at: None,
        };
        key.seq = self.tx.insert_key(&key)?;
        Ok((key, secret))
    }

    /// Revokes a key for good; one that is revoked stays as it is.
    pub fn revoke_key(&mut self, workspace: &str, account_id: Option<&str>, key_id: &str) -> Result<AccessKey> {
        let grant = self.tx.grant(key_id)?.filter(|grant| {
            grant.account.workspace_id == workspace && account_id.is_none_or(|id| grant.account.account_id == id)
        });
        let Grant { mut key, account: _ } = grant.ok_or_else(|| Error::NoKey(key_id.into()))?;
        if key.revoked_at.is_none() {
            key.revoked_at = Some(self.now.wall_ms);
            self.tx.revoke_key(key.seq, self.now.wall_ms)?;
        }
        Ok(key)
    }

    /// The key of that id, if it opens anything now.
    pub fn grant(&mut self, key_id: &str) -> Result<Grant> {
        grant(self.tx, self.now, key_id)
    }
}

/// The service account of that id, if it is in the workspace.
pub fn account(rows: &mut (impl Rows + ?Sized), workspace: &str, account_id: &str) -> Result<Account> {
    let found = rows.account(account_id)?.filter(|account| account.workspace_id == workspace);
    found.ok_or_else(|| Error::NoAccount(account_id.into()))
}

/// The key of that id, if it opens anything now.
pub fn grant(rows: &mut (impl Rows + ?Sized), now: Now, key_id: &str) -> Result<Grant> {
    let grant = rows.grant(key_id)?.ok_or(Error::KeyRefused("is unknown"))?;
    match &grant {
        Grant { key, .. } if key.revoked_at.is_some() => Err(Error::KeyRefused("is revoked")),
        Grant { key, .. } if key.expires_at.is_some_and(|at| at <= now.wall_ms) => Err(Error::KeyRefused("is expired")),
        Grant { account, .. } if !account.active => Err(Error::KeyRefused("belongs to a disabled service account")),
        _ => Ok(grant),
    }
}

/// The key whose text this is, if it opens anything now.
pub fn authenticate(rows: &mut (impl Rows + ?Sized), now: Now, secret: &str) -> Result<Grant> {
    const UNKNOWN: Error = Error::KeyRefused("is unknown");
    let key_id = secret.strip_prefix(KEY_PREFIX).and_then(|rest| rest.split_once('_')).map(|(key_id, _)| key_id);
    let key = rows.key(key_id.ok_or(UNKNOWN)?)?;
    // An unknown id is compared like a known one, so that neither takes longer.
    let expected = key.as_ref().map_or_else(|| hash(""), |key| key.hash.clone());
    match key {
        Some(key) if bool::from(expected.ct_eq(&hash(secret))) => grant(rows, now, &key.key_id),
        Some(_) | None => Err(UNKNOWN),
    }
}

/// Whether two secrets are the same, in a time that tells nothing about where they differ.
pub fn same_secret(one: &str, other: &str) -> bool {
    hash(one).ct_eq(&hash(other)).into()
}

/// A secret that nobody guesses.
pub fn new_secret() -> String {
    format!("{}{}", RandomIds.token(), RandomIds.token())
}

fn hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret).to_vec()
}
