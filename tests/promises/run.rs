//! Random steps given to an engine and to the model at once, compared after each.
//! It does not choose the steps: `commands.rs` and `simulation.rs` do.

use super::invariants;
use super::live::PlainClaim;
use super::model::Model;
use super::world::{Answer, Command, WORKSPACE, World, complete, fail, release};
use errand::engine::{Bound, Claim, JobView, Result, Settle, Submit, Waited, digest};
use errand::job::{Ending, Status};
use std::sync::mpsc::channel;

/// What may happen. Numbers pick one of what is there already, whatever that is.
#[derive(Clone, Debug)]
pub enum Op {
    Create {
        kind: usize,
        key: Option<usize>,
        cap: Option<(usize, i64)>,
        budget: i64,
    },
    Batch {
        kind: usize,
        jobs: usize,
        key: Option<usize>,
        cap: Option<i64>,
        budget: i64,
    },
    Claim {
        kind: usize,
        worker: usize,
        batch: Option<usize>,
        request: Option<usize>,
        lease_s: i64,
    },
    Heartbeat {
        lease: usize,
        lease_s: Option<i64>,
    },
    Progress {
        lease: usize,
        status: Option<Status>,
    },
    Settle {
        lease: usize,
        how: How,
    },
    /// The token of one lease with the job of another.
    Stray {
        lease: usize,
        job: usize,
    },
    Cancel {
        job: usize,
    },
    CancelBatch {
        batch: usize,
    },
    /// Somebody waits for a job to claim while that happens.
    Waits {
        kind: usize,
        lease_s: i64,
        op: Box<Op>,
    },
    Retry {
        job: usize,
    },
    Sweep,
    Advance {
        ms: i64,
    },
    /// The wall clock is set by so much.
    Jump {
        ms: i64,
    },
    /// The next commands come from another process.
    Switch,
    Restart,
    Crash,
    CrashBefore(Box<Op>),
    /// The host goes down and comes up again, its wall clock off by so much.
    Reboot {
        ms: i64,
    },
}

#[derive(Clone, Copy, Debug)]
pub enum How {
    Complete(Ending),
    Fail { retryable: bool, after_ms: Option<i64> },
    Release,
}

/// One run: the engine, the model, and what was handed out so far.
pub struct Run {
    pub world: World,
    pub model: Model,
    pub jobs: Vec<String>,
    pub batches: Vec<String>,
    pub leases: Vec<(String, String)>,
}

type Checked = std::result::Result<(), String>;

impl Run {
    pub fn new() -> Run {
        Run::on(World::new())
    }

    pub fn on(world: World) -> Run {
        Run { world, model: Model::default(), jobs: Vec::new(), batches: Vec::new(), leases: Vec::new() }
    }

    /// Takes a step, on both sides.
    pub fn step(&mut self, op: &Op) -> Checked {
        match op {
            Op::Advance { ms } => self.world.clock.advance(*ms),
            Op::Jump { ms } => self.world.clock.jump(*ms),
            Op::Switch => self.world.take_turns(),
            Op::Restart => self.world.restart(),
            Op::Crash => self.world.crash(),
            Op::CrashBefore(op) => {
                if let Some(command) = self.command(op) {
                    self.world.crash_before_commit(&command);
                }
            }
            Op::Reboot { ms } => self.reboot(*ms)?,
            Op::Waits { kind, lease_s, op } => self.wait_during(*kind, *lease_s, op)?,
            Op::Create { .. }
            | Op::Batch { .. }
            | Op::Claim { .. }
            | Op::Heartbeat { .. }
            | Op::Progress { .. }
            | Op::Settle { .. }
            | Op::Stray { .. }
            | Op::Cancel { .. }
            | Op::CancelBatch { .. }
            | Op::Retry { .. }
            | Op::Sweep => {
                if let Some(command) = self.command(op) {
                    // A refusal that the model foresaw is as good as a change.
                    let _ = self.run(&command)?;
                }
            }
        }
        self.check()
    }

    /// Runs a command on both sides, and gives the engine's answer.
    pub fn run(&mut self, command: &Command) -> std::result::Result<Result<Answer>, String> {
        let (now, answer) = (self.world.now_ms(), self.world.run(command));
        self.model.step(command, now, &answer)?;
        self.learn(&answer);
        Ok(answer)
    }

    /// A claim that waits shares the commit that queues a job for it: as if it came right after that.
    fn wait_during(&mut self, kind: usize, lease_s: i64, op: &Op) -> Checked {
        let claim = Op::Claim { kind, worker: 7, batch: None, request: None, lease_s };
        let (Some(Command::Claim(claim)), Some(command)) = (self.command(&claim), self.command(op)) else {
            return Ok(());
        };
        let (told, tell) = channel();
        let done = move |result: Result<Option<JobView>>| drop(told.send(result));
        let waited = self.world.engine().claim(PlainClaim(claim.clone()), Bound::after_ms(600_000, None), done);
        let ticket = match waited {
            Waited::Now(result) => {
                self.claimed(&claim, result)?;
                None
            }
            Waited::Later(ticket) => {
                self.claimed(&claim, Ok(None))?;
                Some(ticket)
            }
        };
        // A refusal that the model foresaw is as good as a change.
        let _ = self.run(&command)?;
        if let Some(ticket) = ticket {
            let result = tell.try_recv().unwrap_or(Ok(None));
            ticket.forget();
            self.claimed(&claim, result)?;
        }
        Ok(())
    }

    fn claimed(&mut self, claim: &Claim, result: Result<Option<JobView>>) -> Checked {
        let answer =
            result.map(|view| view.map_or(Answer::NoJob, |view| Answer::Job(view.job.job_id, view.lease_token)));
        self.model.step(&Command::Claim(claim.clone()), self.world.now_ms(), &answer)?;
        self.learn(&answer);
        Ok(())
    }

    pub fn check(&self) -> Checked {
        self.model.compare(self.world.seen())?;
        let broken = invariants::broken(self.world.seen());
        if broken.is_empty() { Ok(()) } else { Err(broken.join("\n")) }
    }

    fn reboot(&mut self, ms: i64) -> Checked {
        let before = self.world.now_ms();
        self.world.stop();
        self.world.clock.reboot();
        self.world.clock.jump(ms);
        self.world.restart();
        let now = self.world.now_ms();
        self.model.reboot(now);
        // What is to be tried again later may not wait longer for it than was asked for.
        let longest = self.model.longest_delay(now);
        match longest.filter(|(_, wait, asked)| wait > asked) {
            Some((job, wait, asked)) => Err(format!(
                "{job} was to wait {asked} ms and waits {wait} ms after a restart of the host; store time went from {before} to {now}"
            )),
            None => Ok(()),
        }
    }

    fn learn(&mut self, answer: &Result<Answer>) {
        match answer {
            Ok(Answer::Job(id, token)) => {
                if let Some(token) = token {
                    let lease = (id.clone(), token.clone());
                    if !self.leases.contains(&lease) {
                        self.leases.push(lease);
                    }
                }
                if !self.jobs.contains(id) {
                    self.jobs.push(id.clone());
                }
            }
            Ok(Answer::Batch(id, jobs)) => {
                for job in jobs {
                    if !self.jobs.contains(job) {
                        self.jobs.push(job.clone());
                    }
                }
                if !self.batches.contains(id) {
                    self.batches.push(id.clone());
                }
            }
            Ok(Answer::NoJob | Answer::Told { .. } | Answer::Swept(_)) | Err(_) => {}
        }
    }

    /// The command of a step, if there is what it is about.
    pub fn command(&self, op: &Op) -> Option<Command> {
        Some(match op {
            Op::Create { kind, key, cap, budget } => {
                let mut submit = submit(*kind, *key);
                if let Some((group, cap)) = cap {
                    submit.root_workflow_id = Some("flow".into());
                    submit.fanout_parent_step_id = Some(format!("step-{group}"));
                    submit.fanout_max_concurrency = Some(*cap);
                }
                Command::Create { submit: signed(submit, *budget, 0), max_attempts: *budget }
            }
            Op::Batch { kind, jobs, key, cap, budget } => {
                let submit = Submit { fanout_max_concurrency: *cap, ..submit(*kind, *key) };
                Command::CreateBatch { submit: signed(submit, *budget, *jobs), jobs: *jobs, max_attempts: *budget }
            }
            Op::Claim { kind, worker, batch, request, lease_s } => Command::Claim(Claim {
                workspace: WORKSPACE.into(),
                job_type: kind_name(*kind),
                worker_id: format!("worker-{worker}"),
                batch_id: batch.map(|batch| pick(&self.batches, batch).unwrap_or_else(|| "no-such-batch".into())),
                lease_ms: Some(lease_s * 1_000),
                request_id: request.map(|request| format!("request-{request}")),
                ..Claim::default()
            }),
            Op::Heartbeat { lease, lease_s } => {
                let (job, token) = pick(&self.leases, *lease)?;
                Command::Heartbeat { job, token, lease_ms: lease_s.map(|s| s * 1_000) }
            }
            Op::Progress { lease, status } => {
                let (job, token) = pick(&self.leases, *lease)?;
                Command::Progress { job, token, status: *status }
            }
            Op::Settle { lease, how } => {
                let (job, token) = pick(&self.leases, *lease)?;
                Command::Settle { job, token, settle: how.settle() }
            }
            Op::Stray { lease, job } => {
                let ((_, token), job) = (pick(&self.leases, *lease)?, pick(&self.jobs, *job)?);
                Command::Settle { job, token, settle: complete(Ending::Succeeded, "of another job") }
            }
            Op::Cancel { job } => Command::Cancel { job: pick(&self.jobs, *job)? },
            Op::CancelBatch { batch } => Command::CancelBatch { batch: pick(&self.batches, *batch)? },
            Op::Retry { job } => Command::Retry { job: pick(&self.jobs, *job)? },
            Op::Sweep => Command::Sweep,
            Op::CrashBefore(op) | Op::Waits { op, .. } => return self.command(op),
            Op::Advance { .. } | Op::Jump { .. } | Op::Switch | Op::Restart | Op::Crash | Op::Reboot { .. } => {
                return None;
            }
        })
    }

    /// Whatever happened, workers that come now end everything: no job is stuck.
    pub fn finish(&mut self, kinds: usize) -> Checked {
        for _ in 0..1_000 {
            if self.model.all_ended() {
                return Ok(());
            }
            if let Some(latest) = self.model.latest() {
                self.world.clock.advance((latest - self.world.now_ms()).max(0));
            }
            self.run(&Command::Sweep)?.map_err(|error| error.to_string())?;
            for kind in 0..kinds {
                self.work_off(kind)?;
            }
            self.check()?;
        }
        Err("something is stuck: a thousand rounds of willing workers did not end it".into())
    }

    fn work_off(&mut self, kind: usize) -> Checked {
        let op = Op::Claim { kind, worker: 9, batch: None, request: None, lease_s: 10 };
        let claim = self.command(&op).ok_or("a claim is always possible")?;
        while let Ok(Answer::Job(job, token)) = self.run(&claim)? {
            let token = token.unwrap_or_default();
            self.run(&Command::Settle { job, token, settle: complete(Ending::Succeeded, "at last") })?
                .map_err(|error| format!("a fresh lease could not be settled: {error}"))?;
        }
        Ok(())
    }
}

impl How {
    pub fn settle(self) -> Settle {
        match self {
            How::Complete(status) => complete(status, "done"),
            How::Fail { retryable, after_ms } => fail(retryable, after_ms),
            How::Release => release(),
        }
    }
}

fn kind_name(kind: usize) -> String {
    format!("kind-{kind}")
}

fn submit(kind: usize, key: Option<usize>) -> Submit {
    Submit {
        workspace: WORKSPACE.into(),
        job_type: kind_name(kind),
        idempotency_key: key.map(|key| format!("key-{key}")),
        ..Submit::default()
    }
}

fn signed(submit: Submit, budget: i64, jobs: usize) -> Submit {
    let said = format!("{submit:?} {budget} {jobs}");
    Submit { digest: digest([said.as_str()].into_iter()), ..submit }
}

fn pick<T: Clone>(from: &[T], number: usize) -> Option<T> {
    from.get(number.checked_rem(from.len())?).cloned()
}
