//! A whole day of trouble from one seed: workers whose requests and replies get lost, late or doubled, clocks that jump,
//! processes that are killed before and after a commit, hosts that are started again. Each step is compared with the
//! model. `ERRAND_SEEDS=5000` runs more seeds, `ERRAND_SEED=7` that one with its steps shown.

use super::run::{How, Op, Run};
use super::world::{Answer, Command};
use errand::job::{Ending, Status};
use std::sync::atomic::{AtomicU64, Ordering};

const KINDS: usize = 3;
const WORKERS: usize = 5;
const STEPS: usize = 150;

/// Numbers that follow from a seed.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn within(&mut self, from: i64, to: i64) -> i64 {
        from + self.below((to - from) as usize) as i64
    }

    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }
}

#[derive(Default)]
struct Worker {
    held: Option<(String, String)>,
    /// What it said last, where no reply came.
    unanswered: Option<Command>,
    claims: usize,
}

struct Simulation {
    chance: Chance,
    run: Run,
    workers: Vec<Worker>,
    /// What arrives later, and when.
    late: Vec<(i64, Command)>,
    shown: bool,
}

type Checked = Result<(), String>;

impl Simulation {
    fn new(seed: u64, shown: bool) -> Simulation {
        let workers = (0..WORKERS).map(|_| Worker::default()).collect();
        Simulation { chance: Chance(seed), run: Run::new(), workers, late: Vec::new(), shown }
    }

    fn whole(mut self) -> Checked {
        for number in 0..STEPS {
            self.step().map_err(|wrong| format!("step {number}: {wrong}"))?;
        }
        // All workers die; others come.
        self.run.finish(KINDS)
    }

    fn step(&mut self) -> Checked {
        self.deliver()?;
        match self.chance.below(100) {
            0..15 => self.submit(),
            15..67 => self.work(),
            67..73 => self.stray(),
            73..78 => self.operate(),
            78..93 => self.pass_time(),
            _ => self.disaster(),
        }
    }

    fn op(&mut self, op: &Op) -> Checked {
        if self.shown {
            println!("{op:?}");
        }
        self.run.step(op)
    }

    fn submit(&mut self) -> Checked {
        let (kind, budget) = (self.chance.below(KINDS), self.chance.within(1, 4));
        let key = self.chance.percent(20).then(|| self.chance.below(5));
        let capped = self.chance.percent(40);
        let (group, cap) = (self.chance.below(2), self.chance.within(1, 4));
        let op = if self.chance.percent(25) {
            let jobs = 1 + self.chance.below(6);
            Op::Batch { kind, jobs, key, cap: capped.then_some(cap), budget }
        } else {
            Op::Create { kind, key, cap: capped.then_some((group, cap)), budget }
        };
        self.op(&op)
    }

    fn work(&mut self) -> Checked {
        let number = self.chance.below(WORKERS);
        let command = match self.workers[number].unanswered.take() {
            // It asks again, in the same words; or its patience is over.
            Some(command) if self.chance.percent(80) => Some(command),
            Some(_) | None => self.next_word(number),
        };
        match command {
            Some(command) => self.send(number, command),
            None => Ok(()),
        }
    }

    fn next_word(&mut self, number: usize) -> Option<Command> {
        let Some((job, token)) = self.workers[number].held.clone() else {
            self.workers[number].claims += 1;
            let request = self.workers[number].claims * WORKERS + number;
            let batch = self.chance.percent(10).then(|| self.chance.below(3));
            let (kind, lease_s) = (self.chance.below(KINDS), self.chance.within(1, 30));
            return self.run.command(&Op::Claim { kind, worker: number, batch, request: Some(request), lease_s });
        };
        Some(match self.chance.below(10) {
            0..4 => Command::Heartbeat { job, token, lease_ms: None },
            4..6 => Command::Progress { job, token, status: self.status() },
            6..9 => Command::Settle { job, token, settle: self.how().settle() },
            _ => {
                // It dies; another takes its place.
                self.workers[number].held = None;
                return None;
            }
        })
    }

    fn status(&mut self) -> Option<Status> {
        [None, Some(Status::Leased), Some(Status::Started), Some(Status::Running)][self.chance.below(4)]
    }

    fn how(&mut self) -> How {
        match self.chance.below(8) {
            0..3 => How::Complete(Ending::Succeeded),
            3 => How::Complete(Ending::NoChanges),
            4 => How::Complete(Ending::Cancelled),
            5 => How::Release,
            _ => {
                let after_ms = self.chance.percent(30).then(|| self.chance.within(0, 7_200_000));
                How::Fail { retryable: self.chance.percent(70), after_ms }
            }
        }
    }

    /// A worker says something, over a network that is not to be trusted.
    fn send(&mut self, number: usize, command: Command) -> Checked {
        let later = self.run.world.now_ms() + self.chance.within(0, 60_000);
        match self.chance.below(20) {
            // The request is lost.
            0 => {
                self.workers[number].unanswered = Some(command);
                return Ok(());
            }
            // It is late; meanwhile the worker asks again.
            1 => {
                self.late.push((later, command.clone()));
                self.workers[number].unanswered = Some(command);
                return Ok(());
            }
            // It arrives now, and once more later.
            2 => self.late.push((later, command.clone())),
            _ => {}
        }
        let answer = self.say(&command)?;
        // The reply is lost, though what was asked is done.
        if self.chance.percent(10) {
            self.workers[number].unanswered = Some(command);
            return Ok(());
        }
        let worker = &mut self.workers[number];
        match (&command, answer) {
            (Command::Claim(_), Ok(Answer::Job(job, token))) => {
                worker.held = Some((job, token.unwrap_or_default()));
            }
            (Command::Settle { .. }, _) | (_, Err(_)) => worker.held = None,
            (_, Ok(_)) => {}
        }
        Ok(())
    }

    fn say(&mut self, command: &Command) -> Result<errand::engine::Result<Answer>, String> {
        if self.shown {
            println!("{command:?}");
        }
        let answer = self.run.run(command)?;
        self.run.check().map_err(|wrong| format!("{command:?}: {wrong}"))?;
        Ok(answer)
    }

    fn deliver(&mut self) -> Checked {
        let now = self.run.world.now_ms();
        let (arrived, late) = std::mem::take(&mut self.late).into_iter().partition(|(at, _)| *at <= now);
        self.late = late;
        let arrived: Vec<(i64, Command)> = arrived;
        for (_, command) in arrived {
            // Nobody listens to the answer any more.
            let _ = self.say(&command)?;
        }
        Ok(())
    }

    /// Somebody with a lease of old, or with a token that is not the job's.
    fn stray(&mut self) -> Checked {
        let lease = self.chance.below(40);
        let op = match self.chance.below(4) {
            0 => Op::Heartbeat { lease, lease_s: Some(5) },
            1 => Op::Progress { lease, status: self.status() },
            2 => Op::Settle { lease, how: self.how() },
            _ => Op::Stray { lease, job: self.chance.below(40) },
        };
        self.op(&op)
    }

    fn operate(&mut self) -> Checked {
        let op = match self.chance.below(5) {
            0 | 1 => Op::Cancel { job: self.chance.below(40) },
            2 => Op::CancelBatch { batch: self.chance.below(5) },
            _ => Op::Retry { job: self.chance.below(40) },
        };
        self.op(&op)
    }

    fn pass_time(&mut self) -> Checked {
        let op = match self.chance.below(10) {
            0..4 => Op::Advance { ms: self.chance.within(0, 5_000) },
            4..6 => Op::Advance { ms: self.chance.within(0, 60_000) },
            6 => Op::Jump { ms: [-3_600_000, 3_600_000, -1][self.chance.below(3)] },
            _ => Op::Sweep,
        };
        self.op(&op)
    }

    fn disaster(&mut self) -> Checked {
        let op = match self.chance.below(8) {
            0 => Op::Crash,
            1..3 => {
                let op = match self.chance.below(4) {
                    0 => Op::Sweep,
                    1 => Op::Settle { lease: self.chance.below(40), how: self.how() },
                    2 => {
                        Op::Claim { kind: self.chance.below(KINDS), worker: 0, batch: None, request: None, lease_s: 5 }
                    }
                    _ => Op::Batch { kind: 0, jobs: 3, key: None, cap: Some(2), budget: 2 },
                };
                Op::CrashBefore(Box::new(op))
            }
            3 => Op::Restart,
            4 => Op::Reboot { ms: [0, 3_600_000, -3_600_000, -864_000_000][self.chance.below(4)] },
            _ => Op::Switch,
        };
        self.op(&op)
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn workers_clocks_and_crashes_from_a_seed_lose_nothing_and_leave_nothing_stuck() {
    if let Some(seed) = number("ERRAND_SEED") {
        return Simulation::new(seed, true).whole().unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    }
    let (seeds, next) = (number("ERRAND_SEEDS").unwrap_or(60), AtomicU64::new(0));
    let failed = std::thread::scope(|scope| {
        let run = || {
            let mut failed = Vec::new();
            while failed.is_empty() {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds {
                    break;
                }
                failed.extend(Simulation::new(seed, false).whole().err().map(|wrong| (seed, wrong)));
            }
            failed
        };
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(run)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("the run itself does not panic")).collect::<Vec<_>>()
    });
    let told: Vec<String> = failed.iter().map(|(seed, wrong)| format!("ERRAND_SEED={seed}: {wrong}")).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}
