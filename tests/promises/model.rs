//! What the engine should do, said a second time and as simply as can be: jobs in a list, no index, no counter.
//! It shares no code with the engine. It is told what the engine answered and complains where it would have answered
//! otherwise; ids and tokens are the engine's to choose.

use super::world::{Answer, Command};
use errand::engine::{Claim, Error, Result, Settle, Submit};
use errand::job::{Refusal, Status};
use rusqlite::Connection;
use std::collections::{BTreeMap, HashSet};

/// Why the model refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum No {
    LeaseLost,
    Refused,
    NotFound,
    KeyTaken,
}

#[derive(Clone, Debug)]
struct Attempt {
    token: String,
    worker: String,
    request: Option<String>,
    /// The command that settled it, if one did.
    settled: Option<String>,
}

#[derive(Clone, Debug)]
struct Job {
    id: String,
    kind: String,
    status: Status,
    budget: i64,
    spent: i64,
    cancel: bool,
    due: i64,
    /// The delay that `due` was made with.
    delay: i64,
    lease_ms: i64,
    until: Option<i64>,
    batch: Option<String>,
    group: Option<String>,
    attempts: Vec<Attempt>,
    /// How often it ended, and how often an operator queued it again.
    ends: usize,
    retries: usize,
}

impl Job {
    fn active(&self) -> bool {
        matches!(self.status, Status::Leased | Status::Started | Status::Running)
    }

    fn terminal(&self) -> bool {
        !self.active() && self.status != Status::Queued
    }

    fn end(&mut self, status: Status) {
        self.status = status;
        self.until = None;
        self.ends += usize::from(self.terminal());
    }
}

/// All jobs in the order of their submission.
#[derive(Clone, Debug, Default)]
pub struct Model {
    jobs: Vec<Job>,
    caps: BTreeMap<String, i64>,
    keys: BTreeMap<String, (String, Vec<u8>)>,
    tokens: HashSet<String>,
}

impl Model {
    /// Takes a command at `now` and the engine's answer to it; an error says where they differ.
    pub fn step(&mut self, command: &Command, now: i64, answer: &Result<Answer>) -> std::result::Result<(), String> {
        let (got, expected) = (answer.as_ref().map_err(kind), self.expect(command, now, answer));
        match (got, expected) {
            (Ok(_), Ok(Ok(()))) => self.told(command, answer),
            (Err(Ok(got)), Ok(Err(expected))) if got == expected => Ok(()),
            (_, Err(wrong)) => Err(format!("{command:?} at {now}: {wrong}")),
            (got, Ok(expected)) => Err(format!(
                "{command:?} at {now}: the model says {expected:?}, the engine {:?}",
                got.map_err(|_| answer)
            )),
        }
    }

    /// What a worker is told with a reply: whether to stop, and for how long it has its lease.
    fn told(&self, command: &Command, answer: &Result<Answer>) -> std::result::Result<(), String> {
        let (Command::Heartbeat { job, .. } | Command::Progress { job, .. }) = command else { return Ok(()) };
        let known = self.jobs.iter().find(|known| known.id == *job).map(|known| (known.cancel, known.lease_ms));
        match answer {
            Ok(Answer::Told { cancel, lease_ms }) if known == Some((*cancel, *lease_ms)) => Ok(()),
            other => Err(format!("{command:?}: the worker is to be told {known:?}, and is told {other:?}")),
        }
    }

    /// Changes the model as the command should; the outer error says that the engine's answer cannot be right.
    fn expect(
        &mut self,
        command: &Command,
        now: i64,
        answer: &Result<Answer>,
    ) -> std::result::Result<std::result::Result<(), No>, String> {
        Ok(match command {
            Command::Create { submit, max_attempts } => match self.known(submit) {
                Some(known) => return self.again(known, answer),
                None => {
                    let Ok(Answer::Job(id, _)) = answer else { return Err(format!("no job was made: {answer:?}")) };
                    let group = submit
                        .fanout_max_concurrency
                        .map(|_| format!("step {:?} {:?}", submit.root_workflow_id, submit.fanout_parent_step_id));
                    self.add(submit, id, *max_attempts, now, None, group)?;
                    self.remember(submit, id);
                    Ok(())
                }
            },
            Command::CreateBatch { submit, jobs, max_attempts } => match self.known(submit) {
                Some(known) => return self.again(known, answer),
                None => {
                    let Ok(Answer::Batch(batch, ids)) = answer else { return Err(format!("no batch: {answer:?}")) };
                    if ids.len() != *jobs {
                        return Err(format!("{} jobs of {jobs} were made", ids.len()));
                    }
                    for id in ids {
                        let group = submit.fanout_max_concurrency.map(|_| format!("batch {batch}"));
                        self.add(submit, id, *max_attempts, now, Some(batch), group)?;
                    }
                    self.remember(submit, batch);
                    Ok(())
                }
            },
            Command::Claim(claim) => return self.claim(claim, now, answer),
            Command::Heartbeat { job, token, lease_ms } => self.held(job, token, now).map(|job| {
                job.lease_ms = lease_ms.unwrap_or(job.lease_ms);
                job.until = Some(now + job.lease_ms);
            }),
            Command::Progress { job, token, status } => self.held(job, token, now).map(|job| {
                let rank =
                    |status| [Status::Leased, Status::Started, Status::Running].iter().position(|s| *s == status);
                if let Some(status) = status.filter(|status| rank(*status) > rank(job.status)) {
                    job.status = status;
                }
                job.until = Some(now + job.lease_ms);
            }),
            Command::Settle { job, token, settle } => self.settle(job, token, settle, now),
            Command::Cancel { job } => match self.job(job) {
                Some(job) => cancel(job),
                None => Err(No::NotFound),
            },
            Command::CancelBatch { batch } => {
                let of_batch = |job: &&mut Job| job.batch.as_ref() == Some(batch);
                let mut jobs: Vec<&mut Job> = self.jobs.iter_mut().filter(of_batch).collect();
                match (jobs.is_empty(), jobs.iter().all(|job| job.terminal())) {
                    (true, _) => Err(No::NotFound),
                    (false, true) => Err(No::Refused),
                    (false, false) => {
                        // Those that ended are left as they are.
                        for job in &mut jobs {
                            cancel(job).ok();
                        }
                        Ok(())
                    }
                }
            }
            Command::Retry { job } => match self.job(job) {
                None => Err(No::NotFound),
                Some(job) if matches!(job.status, Status::Failed | Status::TimedOut | Status::Cancelled) => {
                    job.status = Status::Queued;
                    job.cancel = false;
                    job.budget = job.budget.max(job.spent + 1);
                    job.due = now;
                    job.delay = 0;
                    job.retries += 1;
                    Ok(())
                }
                Some(_) => Err(No::Refused),
            },
            Command::Sweep => {
                let over: Vec<&mut Job> =
                    self.jobs.iter_mut().filter(|job| job.until.is_some_and(|u| u <= now)).collect();
                if !matches!(answer, Ok(Answer::Swept(swept)) if *swept == over.len()) {
                    return Err(format!("{} leases are over, the engine answers {answer:?}", over.len()));
                }
                over.into_iter().for_each(expire);
                Ok(())
            }
        })
    }

    fn known(&self, submit: &Submit) -> Option<std::result::Result<String, No>> {
        let (id, digest) = self.keys.get(submit.idempotency_key.as_ref()?)?;
        Some(if *digest == submit.digest { Ok(id.clone()) } else { Err(No::KeyTaken) })
    }

    fn again(
        &self,
        known: std::result::Result<String, No>,
        answer: &Result<Answer>,
    ) -> std::result::Result<std::result::Result<(), No>, String> {
        match (known, answer) {
            (Err(no), _) => Ok(Err(no)),
            (Ok(id), Ok(Answer::Job(job, _))) if *job == id => Ok(Ok(())),
            (Ok(id), Ok(Answer::Batch(batch, _))) if *batch == id => Ok(Ok(())),
            (Ok(id), other) => Err(format!("the key made {id} before, the engine answers {other:?}")),
        }
    }

    fn remember(&mut self, submit: &Submit, id: &str) {
        if let Some(key) = &submit.idempotency_key {
            self.keys.insert(key.clone(), (id.into(), submit.digest.clone()));
        }
    }

    fn add(
        &mut self,
        submit: &Submit,
        id: &str,
        budget: i64,
        now: i64,
        batch: Option<&String>,
        group: Option<String>,
    ) -> std::result::Result<(), String> {
        if self.jobs.iter().any(|job| job.id == id) {
            return Err(format!("{id} is not new"));
        }
        if let (Some(group), Some(cap)) = (&group, submit.fanout_max_concurrency) {
            self.caps.insert(group.clone(), cap);
        }
        self.jobs.push(Job {
            id: id.into(),
            kind: submit.job_type.clone(),
            status: Status::Queued,
            budget,
            spent: 0,
            cancel: false,
            due: now,
            delay: 0,
            lease_ms: 120_000,
            until: None,
            batch: batch.cloned(),
            group,
            attempts: Vec::new(),
            ends: 0,
            retries: 0,
        });
        Ok(())
    }

    fn job(&mut self, id: &str) -> Option<&mut Job> {
        self.jobs.iter_mut().find(|job| job.id == id)
    }

    fn under_lease(&self, group: &str) -> i64 {
        self.jobs.iter().filter(|job| job.active() && job.group.as_deref() == Some(group)).count() as i64
    }

    /// The index of the job that a claim gets: due first, then submitted first, and its cap has room.
    fn next(&self, claim: &Claim, now: i64) -> Option<usize> {
        let free = |job: &Job| {
            job.status == Status::Queued
                && job.kind == claim.job_type
                && job.due <= now
                && (claim.batch_id.is_none() || claim.batch_id == job.batch)
                && job.group.as_ref().is_none_or(|group| self.under_lease(group) < self.caps[group])
        };
        let free = self.jobs.iter().enumerate().filter(|(_, job)| free(job));
        free.min_by_key(|(index, job)| (job.due, *index)).map(|(index, _)| index)
    }

    fn claim(
        &mut self,
        claim: &Claim,
        now: i64,
        answer: &Result<Answer>,
    ) -> std::result::Result<std::result::Result<(), No>, String> {
        if claim.batch_id.is_some() && !self.jobs.iter().any(|job| job.batch == claim.batch_id) {
            return Ok(Err(No::NotFound));
        }
        let repeated = self.jobs.iter().find(|job| {
            let same = |attempt: &&Attempt| attempt.worker == claim.worker_id && attempt.request == claim.request_id;
            claim.request_id.is_some()
                && job.active()
                && job.until > Some(now)
                && job.kind == claim.job_type
                && job.attempts.last().filter(same).is_some()
        });
        let got = match answer {
            Ok(Answer::Job(id, token)) => Some((id.clone(), token.clone().unwrap_or_default())),
            Ok(Answer::NoJob) => None,
            other => return Err(format!("a claim gave {other:?}")),
        };
        if let Some(job) = repeated {
            let before = job.attempts.last().map(|attempt| (job.id.clone(), attempt.token.clone()));
            return if got == before { Ok(Ok(())) } else { Err(format!("repeated claim: {before:?}, not {got:?}")) };
        }
        let next = self.next(claim, now);
        let expected = next.map(|index| self.jobs[index].id.clone());
        if expected != got.as_ref().map(|(id, _)| id.clone()) {
            return Err(format!("the next job is {expected:?}, the engine gives {got:?}"));
        }
        let (Some(index), Some((_, token))) = (next, got) else { return Ok(Ok(())) };
        if !self.tokens.insert(token.clone()) {
            return Err(format!("{token} was given before"));
        }
        let job = &mut self.jobs[index];
        job.status = Status::Leased;
        job.lease_ms = claim.lease_ms.unwrap_or(120_000);
        job.until = Some(now + job.lease_ms);
        let (worker, request) = (claim.worker_id.clone(), claim.request_id.clone());
        job.attempts.push(Attempt { token, worker, request, settled: None });
        Ok(Ok(()))
    }

    /// The job, if the token is of a lease that holds.
    fn held(&mut self, id: &str, token: &str, now: i64) -> std::result::Result<&mut Job, No> {
        let job = self.job(id).ok_or(No::NotFound)?;
        let settled = job.attempts.iter().any(|attempt| attempt.token == token && attempt.settled.is_some());
        let current = job.attempts.last().is_some_and(|attempt| attempt.token == token);
        match job.until {
            _ if settled => Err(No::Refused),
            Some(until) if current && until > now => Ok(job),
            Some(_) | None => Err(No::LeaseLost),
        }
    }

    fn settle(&mut self, id: &str, token: &str, settle: &Settle, now: i64) -> std::result::Result<(), No> {
        let said = format!("{settle:?}");
        let job = self.job(id).ok_or(No::NotFound)?;
        if job.attempts.iter().any(|attempt| attempt.token == token && attempt.settled.as_ref() == Some(&said)) {
            return Ok(());
        }
        let job = self.held(id, token, now)?;
        match settle {
            Settle::Complete { status, .. } => job.end(status.status()),
            Settle::Fail { retryable, retry_after_ms, .. } => {
                let delay = retry_after_ms.unwrap_or((1_000 << job.spent.min(20)).min(300_000));
                job.spent += 1;
                if *retryable && !job.cancel && job.spent < job.budget {
                    job.due = now + delay;
                    job.delay = delay;
                    job.end(Status::Queued);
                } else {
                    job.end(Status::Failed);
                }
            }
            Settle::Release { .. } => job.end(if job.cancel { Status::Cancelled } else { Status::Queued }),
        }
        if let Some(attempt) = job.attempts.last_mut() {
            attempt.settled = Some(said);
        }
        Ok(())
    }

    /// The host was started again: every lease has its full length from now.
    pub fn reboot(&mut self, now: i64) {
        for job in self.jobs.iter_mut().filter(|job| job.active()) {
            job.until = Some(now + job.lease_ms);
        }
    }

    /// Compares every job with the store's rows.
    pub fn compare(&self, store: &Connection) -> std::result::Result<(), String> {
        let sql = "SELECT job_id, status, attempt, max_attempts, spent, cancel_requested, due_ms, lease_until_ms FROM job ORDER BY seq";
        let mut statement = store.prepare_cached(sql).expect("the query is well formed");
        let mut rows = statement.query([]).expect("the query runs");
        for job in &self.jobs {
            let row = rows.next().expect("a row").ok_or(format!("{} is gone", job.id))?;
            let number = |column: usize| row.get::<_, Option<i64>>(column).expect("a number");
            let id: String = row.get(0).expect("an id");
            let stored = (
                id.as_str(),
                Status::from_name(&row.get::<_, String>(1).expect("a status")).expect("a known status"),
                number(2),
                number(3),
                number(4),
                number(5),
                number(6),
                number(7),
            );
            let expected = (
                job.id.as_str(),
                job.status,
                Some(job.attempts.len() as i64),
                Some(job.budget),
                Some(job.spent),
                Some(i64::from(job.cancel)),
                Some(job.due),
                job.until,
            );
            if stored != expected {
                return Err(format!("the store has {stored:?}, the model {expected:?}"));
            }
            if job.ends > job.retries + 1 || (job.terminal() && job.ends != job.retries + 1) {
                return Err(format!("{} ended {} times, and was retried {} times", job.id, job.ends, job.retries));
            }
        }
        match rows.next().expect("a row") {
            Some(row) => Err(format!("{} is not in the model", row.get::<_, String>(0).expect("an id"))),
            None => Ok(()),
        }
    }

    /// The latest due time and lease end of what has not ended.
    pub fn latest(&self) -> Option<i64> {
        self.jobs.iter().filter(|job| !job.terminal()).map(|job| job.until.unwrap_or(job.due)).max()
    }

    /// Of the queued jobs the one that waits longest beyond what was asked for: its id, how long it waits, and was to.
    pub fn longest_delay(&self, now: i64) -> Option<(String, i64, i64)> {
        let queued = self.jobs.iter().filter(|job| job.status == Status::Queued);
        let waits = queued.map(|job| (job.id.clone(), job.due - now, job.delay));
        waits.max_by_key(|(_, wait, asked)| wait - asked)
    }

    pub fn all_ended(&self) -> bool {
        self.jobs.iter().all(Job::terminal)
    }
}

fn cancel(job: &mut Job) -> std::result::Result<(), No> {
    match (job.active(), job.terminal()) {
        (_, true) => Err(No::Refused),
        (true, false) => {
            job.cancel = true;
            Ok(())
        }
        (false, false) => {
            job.end(Status::Cancelled);
            Ok(())
        }
    }
}

fn expire(job: &mut Job) {
    job.spent += 1;
    job.end(match (job.cancel, job.spent < job.budget) {
        (true, _) => Status::Cancelled,
        (false, true) => Status::Queued,
        (false, false) => Status::TimedOut,
    });
}

/// What kind of refusal an error is; trouble that is none stays as it is.
fn kind(error: &Error) -> std::result::Result<No, ()> {
    match error {
        Error::Refused(Refusal::LeaseLost) => Ok(No::LeaseLost),
        Error::Refused(Refusal::Status { .. }) | Error::Settled(_) | Error::BatchEnded(_) => Ok(No::Refused),
        Error::NoJob(_) | Error::NoBatch(_) => Ok(No::NotFound),
        Error::KeyTaken(..) => Ok(No::KeyTaken),
        _ => Err(()),
    }
}
