//! Many threads at once on the engine as it runs, and two engines on one file: counts are exact, nobody is forgotten.

use super::invariants;
use super::live::{LONG, Live, claim_of, finish, new_job, submit, wait_for_end, wait_for_job, write};
use super::world::{WORKSPACE, fail};
use errand::engine::{Class, Engine, NewJob};
use errand::job::Status;
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Runs `work` on so many threads at once, each with one of the engines and a number of its own.
fn together(engines: &[Arc<Engine>], threads: usize, work: impl Fn(&Arc<Engine>, usize) + Sync) {
    std::thread::scope(|scope| {
        for number in 0..threads {
            let (engine, work) = (&engines[number % engines.len()], &work);
            scope.spawn(move || work(engine, number));
        }
    });
}

fn numbers(live: &Live, sql: &str) -> i64 {
    let store = rusqlite::Connection::open(live.path()).expect("the store opens");
    store.query_row(sql, [], |row| row.get(0)).expect("the query gives a number")
}

#[test]
fn many_threads_submit_claim_and_settle_and_every_count_is_exact() {
    let live = Live::new();
    let engines = [live.engine(), live.engine()];
    let claimed = Mutex::new(HashSet::new());
    let (threads, rounds, of_batch) = (8, 15, 4);
    together(&engines, threads, |engine, number| {
        for round in 0..rounds {
            submit(engine, "kind");
            let batch = errand::engine::Submit { fanout_max_concurrency: Some(3), ..new_job("kind") };
            write(engine, Class::Bulk, move |work| {
                work.create_batch(&batch, None, &vec![NewJob::default(); of_batch]).map(|_| ())
            });
            for _ in 0..4 {
                let claim = claim_of("kind");
                let Some(view) = write(engine, Class::Urgent, move |work| work.claim(&claim)) else { continue };
                let (job, token) = super::live::held(view);
                assert!(claimed.lock().expect("nobody panics with it").insert(token.clone()), "a token is given once");
                let (id, beat) = (job.clone(), token.clone());
                write(engine, Class::Urgent, move |work| work.heartbeat(WORKSPACE, &id, &beat, None).map(|_| ()));
                match (number + round) % 4 {
                    0 => super::live::settle(engine, (job, token), fail(true, Some(0))),
                    1 => write(engine, Class::Urgent, move |work| work.cancel(WORKSPACE, &job, None).map(|_| ())),
                    _ => finish(engine, (job, token)),
                }
            }
        }
    });
    invariants::assert_hold(&live.path());
    assert_eq!(numbers(&live, "SELECT count(*) FROM job"), (threads * rounds * (1 + of_batch)) as i64);
    assert_eq!(numbers(&live, "SELECT count(*) FROM batch"), (threads * rounds) as i64);
    let attempts = numbers(&live, "SELECT count(*) FROM job_attempt");
    assert_eq!(attempts, claimed.lock().expect("nobody panics with it").len() as i64);
    assert_eq!(numbers(&live, "SELECT sum(jobs) FROM job_count"), numbers(&live, "SELECT count(*) FROM job"));
}

#[test]
fn an_await_that_begins_at_any_moment_ends_across_processes() {
    let live = Live::new();
    every_await_ends(&live, &[live.engine(), live.engine()]);
}

#[test]
fn an_await_that_begins_at_any_moment_ends_where_the_file_cannot_be_watched() {
    let live = Live::new();
    every_await_ends(&live, &[live.deaf_engine()]);
}

fn every_await_ends(live: &Live, engines: &[Arc<Engine>]) {
    let jobs: Vec<String> = (0..60).map(|_| submit(&engines[0], "kind")).collect();
    let ended = AtomicUsize::new(0);
    together(engines, 6, |engine, number| {
        if number < 2 {
            while let Ok(Some(lease)) = wait_for_some(engine, &ended, jobs.len()) {
                finish(engine, lease);
                ended.fetch_add(1, Ordering::Relaxed);
            }
            return;
        }
        // In another order on each thread, so that they come before, after, and in the middle of the end.
        for step in 0..jobs.len() {
            let job = &jobs[(step * 7 + number * 11) % jobs.len()];
            let status = wait_for_end(engine, job).recv_timeout(LONG);
            assert_eq!(status, Ok(Status::Succeeded), "the await of {job} was not told");
        }
    });
    invariants::assert_hold(&live.path());
}

type Claimed = Result<Option<(String, String)>, ()>;

fn wait_for_some(engine: &Arc<Engine>, ended: &AtomicUsize, all: usize) -> Claimed {
    loop {
        let claim = claim_of("kind");
        if let Some(view) = write(engine, Class::Urgent, move |work| work.claim(&claim)) {
            return Ok(Some(super::live::held(view)));
        }
        if ended.load(Ordering::Relaxed) >= all {
            return Ok(None);
        }
        std::thread::yield_now();
    }
}

#[test]
fn claims_that_wait_get_every_job_though_others_give_up() {
    let live = Live::new();
    every_job_is_claimed(&live, &[live.engine(), live.engine()]);
}

#[test]
fn claims_that_wait_get_every_job_where_the_file_cannot_be_watched() {
    let live = Live::new();
    every_job_is_claimed(&live, &[live.deaf_engine()]);
}

fn every_job_is_claimed(live: &Live, engines: &[Arc<Engine>]) {
    let (jobs, done) = (120, AtomicUsize::new(0));
    together(engines, 8, |engine, number| match number {
        0 | 1 => (0..jobs / 2).for_each(|_| drop(submit(engine, "kind"))),
        // These wait and think better of it.
        2 | 3 => {
            for _ in 0..200 {
                let (ticket, claimed) = wait_for_job(engine, "kind");
                ticket.inspect(|ticket| ticket.forget());
                // It may have been given a job before it was forgotten: then it has to do it.
                if let Ok(Some(lease)) = claimed.recv_timeout(LONG) {
                    finish(engine, lease);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        _ => {
            while done.load(Ordering::Relaxed) < jobs {
                let (ticket, claimed) = wait_for_job(engine, "kind");
                match claimed.recv_timeout(std::time::Duration::from_millis(500)) {
                    Ok(Some(lease)) => {
                        finish(engine, lease);
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(None) => panic!("a claim that waits gives nothing only at its bound"),
                    // All may be done by others.
                    Err(_) => drop(ticket.inspect(|ticket| ticket.forget())),
                }
            }
        }
    });
    invariants::assert_hold(&live.path());
    assert_eq!(numbers(live, "SELECT count(*) FROM job WHERE status = 'succeeded'"), jobs as i64);
}

#[test]
fn claims_that_wait_get_every_job_under_caps_that_many_types_share() {
    let live = Live::new();
    every_capped_job_is_claimed(&live, &[live.engine(), live.engine()]);
}

#[test]
fn claims_that_wait_get_every_job_under_shared_caps_where_the_file_cannot_be_watched() {
    let live = Live::new();
    every_capped_job_is_claimed(&live, &[live.deaf_engine()]);
}

/// More types than those whose places are taken as soon as a cap is reached, under two caps that are raised and lowered,
/// while operations that wrote are refused and what has ended is pruned.
fn every_capped_job_is_claimed(live: &Live, engines: &[Arc<Engine>]) {
    let (kinds, jobs, submitters) = (11, 220, 2);
    let done = AtomicUsize::new(0);
    let kind = |number: usize| format!("kind-{}", number % kinds);
    let capped = |number: usize| errand::engine::Submit {
        fanout_parent_step_id: Some(format!("step-{}", number % 3 / 2)),
        fanout_max_concurrency: Some(1 + (number * 7 % 5) as i64),
        ..new_job(&kind(number * 5))
    };
    let refused = |engine: &Arc<Engine>, number: usize| {
        let (submit, claim) = (capped(number), claim_of(&kind(number)));
        let refused = super::live::try_write(engine, Class::Urgent, move |work| {
            work.create(&submit, &NewJob::default())?;
            work.claim(&claim)?;
            Err::<(), _>(errand::engine::Error::NoJob("it broke after that".into()))
        });
        assert!(refused.is_err());
    };
    together(engines, submitters + 2 + 2 * kinds, |engine, number| {
        if number < submitters {
            for nth in 0..jobs / submitters {
                let submit = capped(nth * submitters + number);
                write(engine, Class::Bulk, move |work| work.create(&submit, &NewJob::default()).map(|_| ()));
            }
            return;
        }
        if number < submitters + 2 {
            let mut nth = number;
            while done.load(Ordering::Relaxed) < jobs {
                match number - submitters {
                    0 => refused(engine, nth),
                    _ => drop(engine.prune(None, None, Some(0)).expect("what has ended can be pruned")),
                }
                nth += 1;
            }
            // Nobody is to wait any longer.
            if number == submitters {
                (0..2 * kinds).for_each(|nth| drop(submit(engine, &kind(nth))));
            }
            return;
        }
        let mut nth = number;
        while done.load(Ordering::Relaxed) < jobs {
            let (_, claimed) = wait_for_job(engine, &kind(number));
            let lease = claimed.recv_timeout(6 * LONG).expect("nobody is forgotten").expect("it is given a job");
            nth += 1;
            match nth % 5 {
                0 => super::live::settle(engine, lease, super::world::release()),
                _ => {
                    finish(engine, lease);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    });
    engines[0].prune(None, None, Some(0)).expect("what has ended can be pruned");
    invariants::assert_hold(&live.path());
    assert_eq!(numbers(live, "SELECT count(*) FROM fanout"), 0);
}

#[test]
fn heartbeats_do_not_write_a_large_payload_again() {
    let live = Live::new();
    let engine = live.engine();
    let payload = format!("\"{}\"", "x".repeat((1 << 20) - 2));
    let (submit, new) = (new_job("kind"), NewJob { payload: Some(payload.into()), ..NewJob::default() });
    write(&engine, Class::Bulk, move |work| work.create(&submit, &new).map(|_| ()));
    let (job, token) = super::live::claim(&engine, "kind").expect("it is due");
    let log = || std::fs::metadata(format!("{}-wal", live.path().display())).expect("the log is there").len();
    let before = log();
    assert!(before > 1 << 20, "the payload went through the log");
    for _ in 0..100 {
        let (job, token) = (job.clone(), token.clone());
        write(&engine, Class::Urgent, move |work| work.heartbeat(WORKSPACE, &job, &token, None).map(|_| ()));
    }
    let grown = log() - before;
    assert!(grown > 0 && grown <= 1 << 20, "100 heartbeats wrote {grown} bytes to the log");
}
