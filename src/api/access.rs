//! Who asks, and whether that is allowed: scopes, the job types of a key, the workspace.
//! It does not know where a key comes from, nor what a command does.

use super::args::Args;
use super::command::Command;
use super::error::{Code, Error};
use crate::engine::{self, Now, Work};
use crate::store::{Grant, Rows, WorkspaceCount, uri_parts};

/// What a key may be made for. `workspace.full` is everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    JobsSubmit,
    JobsRead,
    JobsWorker,
    JobsManage,
    ResourcesRead,
    ResourcesWrite,
    WorkspaceFull,
}

/// The names of the scopes, in the order of `Scope`.
pub const SCOPES: &[&str] =
    &["jobs.submit", "jobs.read", "jobs.worker", "jobs.manage", "resources.read", "resources.write", "workspace.full"];

impl Scope {
    pub fn name(self) -> &'static str {
        SCOPES[self as usize]
    }
}

/// For whom a call is made.
#[derive(Clone, Debug)]
pub struct Caller {
    pub workspace: String,
    pub access: Access,
    /// The caller's own id of this call: repeated, it gets the first answer again.
    pub operation: Option<String>,
    /// How long one call may wait, where that has a bound of its own.
    pub wait_max_ms: Option<i64>,
}

/// What a caller may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everything in the workspace.
    Full,
    /// What the key of this id opens, looked up anew with each call.
    Key(String),
}

impl Caller {
    /// A caller in this process: it owns the store.
    pub fn local(workspace: impl Into<String>) -> Caller {
        Caller { workspace: workspace.into(), access: Access::Full, operation: None, wait_max_ms: None }
    }

    /// Names the caller among those that share a workspace.
    pub(super) fn name(&self) -> &str {
        match &self.access {
            Access::Full => "",
            Access::Key(key_id) => key_id,
        }
    }

    /// Refuses what the caller may not do, in the transaction or read in which it is done. A key that is limited to job
    /// types may only do what is about jobs of these: `job_type` is that of the job, batch or resource that is meant.
    pub fn allow(&self, rows: &mut dyn Rows, now: Now, scope: Scope, job_type: Option<&str>) -> engine::Result<()> {
        match self.grant(rows, now)? {
            Some(grant) => may(&grant, scope).and_then(|()| may_type(&grant, job_type)),
            None => Ok(()),
        }
    }

    fn grant(&self, rows: &mut dyn Rows, now: Now) -> engine::Result<Option<Grant>> {
        match &self.access {
            Access::Full => Ok(None),
            Access::Key(key_id) => {
                let grant = engine::grant(rows, now, key_id)?;
                let same = grant.account.workspace_id == self.workspace;
                if same { Ok(Some(grant)) } else { Err(denied("key belongs to another workspace".into())) }
            }
        }
    }
}

/// What has to be allowed for one call; checked in the transaction or read in which the call is done.
#[derive(Clone)]
pub struct Allow {
    caller: Caller,
    scope: Scope,
    job_type: Option<String>,
    job_id: Option<String>,
    batch_id: Option<String>,
    uri: Option<String>,
}

impl Allow {
    pub fn new(caller: &Caller, command: &Command, args: &Args) -> Allow {
        Allow {
            caller: caller.clone(),
            scope: command.scope,
            job_type: args.maybe_string("job-type"),
            job_id: args.maybe_string("job-id"),
            batch_id: args.maybe_string("batch-id"),
            uri: args.maybe_string("uri"),
        }
    }

    /// Whether nothing is refused.
    pub fn is_all(&self) -> bool {
        !matches!(self.caller.access, Access::Key(_))
    }

    /// For what is done with a resource, or with none yet.
    pub fn resource(caller: &Caller, scope: Scope, uri: Option<&str>) -> Allow {
        let uri = Some(uri.unwrap_or_default().to_string());
        Allow { caller: caller.clone(), scope, job_type: None, job_id: None, batch_id: None, uri }
    }

    pub fn check_in(&self, work: &mut Work) -> engine::Result<()> {
        let (rows, now) = work.rows();
        self.check(rows, now)
    }

    /// Refuses what is not allowed. What is not there is left to the command to say.
    pub fn check(&self, rows: &mut dyn Rows, now: Now) -> engine::Result<()> {
        let Some(grant) = self.caller.grant(rows, now)? else { return Ok(()) };
        may(&grant, self.scope)?;
        if grant.account.allowed_job_types.is_none() {
            return Ok(());
        }
        if self.job_type.is_none() && self.job_id.is_none() && self.batch_id.is_none() && self.uri.is_none() {
            return may_type(&grant, None);
        }
        let workspace = &self.caller.workspace;
        let mut types = Vec::from_iter(self.job_type.clone());
        if let Some(job_id) = &self.job_id {
            types.extend(rows.job_by_id(job_id)?.filter(|job| job.workspace_id == *workspace).map(|job| job.job_type));
        }
        if let Some(batch_id) = &self.batch_id {
            let batch = rows.batch_by_id(batch_id)?.filter(|batch| batch.workspace_id == *workspace);
            types.extend(batch.map(|batch| batch.job_type));
        }
        if let Some((of, kind, id)) = self.uri.as_deref().and_then(uri_parts)
            && of == workspace
            && let Some(resource) = rows.resource_by_id(of, kind, id)?
        {
            // The first is the job that made it. What no job has yet is open to who knows its URI.
            types.extend(rows.job_of_resource(resource.seq)?.map(|(_, job_type)| job_type));
        }
        types.iter().try_for_each(|job_type| may_type(&grant, Some(job_type)))
    }
}

fn may(grant: &Grant, scope: Scope) -> engine::Result<()> {
    let full = Scope::WorkspaceFull.name();
    if grant.account.capabilities.iter().any(|has| has == scope.name() || has == full) {
        return Ok(());
    }
    Err(denied(format!("key does not have the scope {}; it has {}", scope.name(), listed(&grant.account.capabilities))))
}

fn may_type(grant: &Grant, job_type: Option<&str>) -> engine::Result<()> {
    let Some(allowed) = &grant.account.allowed_job_types else { return Ok(()) };
    match job_type {
        Some(job_type) if allowed.iter().any(|allowed| allowed == job_type) => Ok(()),
        Some(job_type) => {
            Err(denied(format!("job type \"{job_type}\" is not allowed to this key; allowed: {}", listed(allowed))))
        }
        None => Err(denied(format!("key is limited to the job types {}; name one of these", listed(allowed)))),
    }
}

fn listed(words: &[String]) -> String {
    if words.is_empty() { "none".into() } else { words.join(", ") }
}

fn denied(message: String) -> engine::Error {
    engine::Error::Denied(message)
}

impl super::Host {
    /// The caller that a key stands for. `workspace` is the one that was asked for, else the key's own.
    pub fn authenticate(&self, secret: &str, workspace: Option<&str>) -> Result<Caller, Error> {
        let found = self.engine()?.read(|rows, now| {
            let grant = engine::authenticate(rows, now, secret)?;
            Ok((grant.key.key_id, grant.account.workspace_id))
        });
        let (key_id, own) = found?;
        match workspace {
            Some(asked) if asked != own => {
                Err(Error::new(Code::Forbidden, format!("workspace \"{asked}\" is not the workspace of this key")))
            }
            Some(_) | None => {
                Ok(Caller { workspace: own, access: Access::Key(key_id), operation: None, wait_max_ms: None })
            }
        }
    }

    /// An error where the store does not answer; little is asked of it, since this is asked often.
    pub fn answers(&self) -> Result<(), Error> {
        Ok(self.engine()?.read(|rows, _| Ok(rows.clock().map(|_| ())?))?)
    }

    /// Whether any key of any workspace opens anything.
    pub fn has_keys(&self) -> Result<bool, Error> {
        Ok(self.engine()?.read(|rows, now| Ok(rows.has_usable_key(now.wall_ms)?))?)
    }

    /// Jobs by workspace, type and status, of what the caller may see: of every workspace where it is not a key's.
    pub fn job_counts(&self, caller: &Caller) -> Result<Vec<(String, String, &'static str, i64)>, Error> {
        let counts = self.engine()?.read(|rows, now| {
            let grant = caller.grant(rows, now)?;
            if let Some(grant) = &grant {
                may(grant, Scope::JobsRead)?;
            }
            let seen = |workspace: &str, job_type: &str| {
                grant.as_ref().is_none_or(|grant| {
                    grant.account.workspace_id == workspace && may_type(grant, Some(job_type)).is_ok()
                })
            };
            let mut counts = rows.all_counts()?;
            counts.retain(|row| seen(&row.workspace_id, &row.count.job_type));
            Ok(counts)
        });
        let row = |row: WorkspaceCount| (row.workspace_id, row.count.job_type, row.count.status.name(), row.count.jobs);
        Ok(counts?.into_iter().map(row).collect())
    }
}
