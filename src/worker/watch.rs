//! One running handler under its lease: heartbeats, and the reasons to stop it.
//! It does not start the handler, nor report its end.

use super::calls;
use super::claim::Paused;
use super::job::Job;
use super::lease::Lease;
use super::process::Handler;
use super::run::Drain;
use crate::api::{Client, Code, Reply};
use serde_json::{Map, Value};
use std::fs::File;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch::Receiver;

/// Why this worker stopped a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Someone cancelled the job.
    Cancelled,
    /// The job is no longer this worker's; nothing may be reported.
    LeaseLost,
    /// No renewal has succeeded and the lease comes to its end.
    Lapsed,
    /// The worker is shutting down.
    Drained,
}

/// What a watch needs of its surroundings.
pub struct Surroundings<'a> {
    pub client: &'a Arc<dyn Client>,
    pub job: &'a Job,
    pub drain: Receiver<Drain>,
    pub paused: &'a Paused,
    pub grace: Duration,
    /// Kept until the start was reported: helpers wait for it.
    pub held: Option<File>,
}

struct Stop {
    why: Why,
    /// The end of the grace.
    kill_at: Instant,
    asked: bool,
    killed: bool,
}

impl Stop {
    /// When the handler is killed; while the lease may still be ours, in time for its end.
    fn kill_at(&self, lease: &Lease) -> Instant {
        if self.why == Why::LeaseLost { self.kill_at } else { self.kill_at.min(lease.kill_at()) }
    }
}

struct Watch<'a> {
    around: Surroundings<'a>,
    lease: &'a mut Lease,
    stop: Option<Stop>,
    next_beat: Instant,
    /// When the beat under way was sent.
    sent: Instant,
    drained_at: Option<Instant>,
}

type Beat = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// Keeps the lease while the handler runs, stops it where it must be, and gives its exit and why it was stopped.
pub async fn watch(
    around: Surroundings<'_>,
    lease: &mut Lease,
    handler: &mut Handler,
    started: Map<String, Value>,
) -> io::Result<(ExitStatus, Option<Why>)> {
    let now = Instant::now();
    let mut drain = around.drain.clone();
    drain.mark_changed();
    let mut watch = Watch { around, lease, stop: None, next_beat: now, sent: now, drained_at: None };
    let mut beat = Some(watch.beat("jobs.progress", started));
    let exit = loop {
        watch.act(handler);
        let due = watch.due(beat.is_some());
        tokio::select! {
            exit = handler.exit() => break exit?,
            reply = reply_of(&mut beat) => {
                beat = None;
                watch.take(&reply);
            }
            () = tokio::time::sleep_until(due.into()) => {
                if beat.is_none() && watch.beat_is_due() {
                    beat = Some(watch.beat("jobs.heartbeat", Map::new()));
                }
            }
            level = drained(&mut drain) => watch.drain(level),
        }
    };
    if let Some(beat) = beat {
        watch.last_reply(beat).await;
    }
    Ok((exit, watch.stop.map(|stop| stop.why)))
}

/// Never ready where no beat is under way.
async fn reply_of(beat: &mut Option<Beat>) -> Reply {
    match beat {
        Some(beat) => beat.await,
        None => std::future::pending().await,
    }
}

/// Never ready where nobody can drain any more.
async fn drained(drain: &mut Receiver<Drain>) -> Drain {
    match drain.changed().await {
        Ok(()) => *drain.borrow_and_update(),
        Err(_) => std::future::pending().await,
    }
}

impl Watch<'_> {
    fn beat(&mut self, command: &'static str, more: Map<String, Value>) -> Beat {
        let mut args = self.around.job.args();
        args.extend(more);
        if command == "jobs.heartbeat" {
            let length = u64::try_from(self.lease.length().as_millis()).unwrap_or(u64::MAX);
            args.insert("leaseDuration".into(), length.into());
        }
        let client = Arc::clone(self.around.client);
        self.sent = Instant::now();
        self.next_beat = self.sent + self.lease.beat_every();
        Box::pin(async move { calls::ask(&client, command, args.into()).await })
    }

    fn lost(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| stop.why == Why::LeaseLost)
    }

    fn beat_is_due(&self) -> bool {
        !self.lost() && Instant::now() >= self.next_beat
    }

    /// Takes the answer to a beat.
    fn take(&mut self, reply: &Reply) {
        self.around.held = None;
        match reply {
            Ok(reply) => {
                self.lease.renew(self.sent);
                match reply.get("directive").and_then(|directive| directive.as_str()) {
                    Some("cancel") => self.begin_stop(Why::Cancelled),
                    Some("drain") => self.around.paused.begin(),
                    Some(_) | None => {}
                }
            }
            Err(error) => match error.code {
                Code::LeaseLost | Code::Refused | Code::NotFound | Code::Forbidden | Code::Unauthenticated => {
                    self.begin_stop(Why::LeaseLost);
                }
                _ => {
                    super::say::say(&format!("job {}: heartbeat failed: {}", self.around.job.id, error.message));
                    self.next_beat = Instant::now() + self.lease.retry_after();
                }
            },
        }
    }

    /// Waits for the answer to the beat that was under way when the handler ended, so that the report comes after it.
    async fn last_reply(&mut self, beat: Beat) {
        let until = self.lease.until();
        let reply = tokio::time::timeout_at(until.into(), beat).await;
        if reply.is_ok_and(|reply| reply.is_err_and(|error| error.code == Code::LeaseLost)) {
            self.begin_stop(Why::LeaseLost);
        }
    }

    fn drain(&mut self, drain: Drain) {
        if drain != Drain::No {
            self.drained_at.get_or_insert_with(Instant::now);
        }
        match drain {
            Drain::No | Drain::Finish => {}
            Drain::Stop => self.begin_stop(Why::Drained),
            Drain::Kill => {
                self.begin_stop(Why::Drained);
                if let Some(stop) = &mut self.stop {
                    stop.kill_at = Instant::now();
                }
            }
        }
    }

    /// Notes that the handler is to be stopped; `act` does it. What is known later and weighs more replaces the reason.
    fn begin_stop(&mut self, why: Why) {
        match &mut self.stop {
            Some(stop) if why == Why::LeaseLost || (why == Why::Cancelled && stop.why != Why::LeaseLost) => {
                stop.why = why
            }
            Some(_) => {}
            None => {
                let kill_at = Instant::now() + self.around.grace;
                self.stop = Some(Stop { why, kill_at, asked: false, killed: false });
            }
        }
    }

    /// Does what the clock asks for: begins to stop the handler, or kills it.
    fn act(&mut self, handler: &Handler) {
        let now = Instant::now();
        if now >= self.lease.stop_at(self.around.grace) && self.stop.is_none() {
            self.begin_stop(Why::Lapsed);
        }
        if self.drained_at.is_some_and(|at| now >= at + self.around.grace) && self.stop.is_none() {
            self.begin_stop(Why::Drained);
        }
        let Some(stop) = &mut self.stop else { return };
        if !stop.asked {
            stop.asked = true;
            handler.terminate();
        }
        if !stop.killed && now >= stop.kill_at(self.lease) {
            stop.killed = true;
            handler.kill();
        }
    }

    /// The next moment at which `act` or a beat has something to do.
    fn due(&self, beating: bool) -> Instant {
        const IDLE: Duration = Duration::from_secs(3600);
        let mut due = Instant::now() + IDLE;
        if !beating && !self.lost() {
            due = due.min(self.next_beat);
        }
        match &self.stop {
            None => {
                due = due.min(self.lease.stop_at(self.around.grace));
                due = self.drained_at.map_or(due, |at| due.min(at + self.around.grace));
            }
            Some(stop) if !stop.killed => due = due.min(stop.kill_at(self.lease)),
            Some(_) => {}
        }
        due
    }
}
