//! What the other tests found, each as short as it can be said, so that it stays mended.

use super::run::{How, Op, Run};
use super::world::Answer;

fn run(ops: &[Op]) -> Run {
    let mut run = Run::new();
    for op in ops {
        run.step(op).unwrap_or_else(|wrong| panic!("{op:?}: {wrong}"));
    }
    run
}

fn create(cap: i64) -> Op {
    Op::Create { kind: 0, key: None, cap: Some((0, cap)), budget: 2 }
}

fn claim() -> Op {
    Op::Claim { kind: 0, worker: 0, batch: None, request: None, lease_s: 10 }
}

#[test]
fn a_cap_that_is_lowered_takes_places_back() {
    let mut run = run(&[create(2), create(2), create(1), claim()]);
    let second = run.command(&claim()).expect("a claim is always possible");
    assert!(matches!(run.run(&second), Ok(Ok(Answer::NoJob))), "one is under lease and one is allowed");
    run.finish(1).unwrap_or_else(|wrong| panic!("{wrong}"));
}

#[test]
fn what_is_to_be_tried_again_does_not_wait_longer_because_the_wall_clock_was_set_back() {
    let later = How::Fail { retryable: true, after_ms: Some(5_000) };
    let day = 86_400_000;
    let failed = [create(2), Op::Advance { ms: day }, claim(), Op::Settle { lease: 0, how: later }];
    let mut run = run(&failed);
    run.step(&Op::Reboot { ms: -2 * day }).unwrap_or_else(|wrong| panic!("{wrong}"));
    run.finish(1).unwrap_or_else(|wrong| panic!("{wrong}"));
}

#[test]
fn a_queued_job_of_a_type_without_workers_takes_no_place_of_a_shared_cap_from_another_type() {
    let of = |kind: usize, cap: i64| Op::Create { kind, key: None, cap: Some((0, cap)), budget: 2 };
    let claim = |kind: usize| Op::Claim { kind, worker: 0, batch: None, request: None, lease_s: 10 };
    let mut run = run(&[of(0, 1), of(1, 1), of(1, 1)]);
    let take = |run: &mut Run, kind: usize| {
        let command = run.command(&claim(kind)).expect("a claim is always possible");
        run.run(&command).unwrap_or_else(|wrong| panic!("{wrong}"))
    };
    assert!(matches!(take(&mut run, 1), Ok(Answer::Job(..))), "nobody works on the other type");
    assert!(matches!(take(&mut run, 0), Ok(Answer::NoJob)), "one is under lease and one is allowed");
    assert!(matches!(take(&mut run, 1), Ok(Answer::NoJob)), "one is under lease and one is allowed");
    run.step(&Op::Settle { lease: 0, how: How::Complete(errand::job::Ending::Succeeded) })
        .unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(matches!(take(&mut run, 0), Ok(Answer::Job(..))), "the place is free for either");
    run.finish(2).unwrap_or_else(|wrong| panic!("{wrong}"));
}

#[test]
fn a_job_that_waits_since_its_submission_is_due_after_a_restart_of_the_host_though_the_last_job_failed() {
    let lone = |kind: usize| Op::Create { kind, key: None, cap: None, budget: 1 };
    let claim = Op::Claim { kind: 1, worker: 0, batch: None, request: None, lease_s: 10 };
    let failed = Op::Settle { lease: 0, how: How::Fail { retryable: false, after_ms: None } };
    let mut run = run(&[lone(0), lone(1), claim, failed]);
    run.step(&Op::Reboot { ms: -3_600_000 }).unwrap_or_else(|wrong| panic!("{wrong}"));
    run.finish(2).unwrap_or_else(|wrong| panic!("{wrong}"));
}

#[test]
fn what_is_submitted_under_a_cap_that_it_lowers_comes_before_what_is_to_be_tried_again_later() {
    let later = || Op::Settle { lease: 0, how: How::Fail { retryable: true, after_ms: Some(5_000) } };
    let next = || Op::Settle { lease: 1, how: How::Fail { retryable: true, after_ms: Some(5_000) } };
    let mut run = run(&[create(2), create(2), claim(), claim(), later(), next(), create(1)]);
    let first = run.command(&claim()).expect("a claim is always possible");
    assert!(matches!(run.run(&first), Ok(Ok(Answer::Job(..)))), "it is due and one is allowed");
    run.finish(1).unwrap_or_else(|wrong| panic!("{wrong}"));
}

#[test]
fn a_reached_cap_that_a_dozen_types_share_gives_no_job_of_any_and_its_room_to_any_of_them() {
    let create = |kind| Op::Create { kind, key: None, cap: Some((0, 1)), budget: 2 };
    let mut run = run(&(0..12).map(create).collect::<Vec<_>>());
    let take = |run: &mut Run, kind: usize| {
        let claim = Op::Claim { kind, worker: 0, batch: None, request: None, lease_s: 10 };
        let command = run.command(&claim).expect("a claim is always possible");
        run.run(&command).unwrap_or_else(|wrong| panic!("{wrong}"))
    };
    for first in 0..12 {
        assert!(matches!(take(&mut run, first), Ok(Answer::Job(..))), "nothing is under lease");
        (0..12).for_each(|kind| assert!(matches!(take(&mut run, kind), Ok(Answer::NoJob)), "one is under lease"));
        run.check().unwrap_or_else(|wrong| panic!("{wrong}"));
        let done = Op::Settle { lease: first, how: How::Complete(errand::job::Ending::Succeeded) };
        run.step(&done).unwrap_or_else(|wrong| panic!("{wrong}"));
    }
    run.finish(12).unwrap_or_else(|wrong| panic!("{wrong}"));
}

/// Places of shared caps as they were before a reached cap took them from a few types only: each type had as many as there
/// was room, and whoever raised or took room wrote all of them.
const PLACES_OF_ALL: &str = "
UPDATE fanout AS t SET cap = (SELECT max(0, g.cap - g.used) FROM fanout g
  WHERE g.workspace_id = t.workspace_id AND t.name > g.name || ' ' AND t.name < g.name || '!')
WHERE name LIKE 'steps %' AND name NOT LIKE 'steps %\"';
UPDATE job SET held = (SELECT count(*) FROM job o WHERE o.fanout_id = job.fanout_id AND o.status = 'queued'
    AND (o.due_ms, o.seq) < (job.due_ms, job.seq)) >= (SELECT cap FROM fanout WHERE fanout_id = job.fanout_id)
WHERE status = 'queued' AND fanout_id IN (SELECT fanout_id FROM fanout WHERE name LIKE 'steps %');
UPDATE fanout AS t SET used = (SELECT count(*) FROM job WHERE fanout_id = t.fanout_id AND status = 'queued' AND NOT held)
WHERE name LIKE 'steps %' AND name NOT LIKE 'steps %\"';";

#[test]
fn a_store_whose_shared_caps_an_older_program_wrote_goes_on_without_a_job_left_behind() {
    let kinds = 12;
    let claim = |kind: usize| Op::Claim { kind, worker: 0, batch: None, request: None, lease_s: 10 };
    let end = |lease: usize| Op::Settle { lease, how: How::Complete(errand::job::Ending::Succeeded) };
    let later = |lease: usize| Op::Settle { lease, how: How::Fail { retryable: true, after_ms: Some(5_000) } };
    for begun in 0..6 {
        let created = (0..3 * kinds).map(|n| Op::Create { kind: n % kinds, key: None, cap: Some((0, 4)), budget: 2 });
        let mut run = run(&created.chain((0..begun).map(|n| claim(5 * n % kinds))).collect::<Vec<_>>());
        let raw = rusqlite::Connection::open(run.world.path()).expect("the store opens");
        raw.execute_batch(PLACES_OF_ALL).expect("rows as they were");
        super::invariants::assert_hold_on(&raw);
        run.world.restart();
        let lower = Op::Create { kind: 3, key: None, cap: Some((0, 1)), budget: 1 };
        let higher = Op::Create { kind: 4, key: None, cap: Some((0, 3)), budget: 1 };
        let ops =
            [claim(11), claim(10), claim(9), claim(11), end(0), claim(8), later(1), claim(10), lower, claim(7), higher];
        for op in ops.iter().chain(&[claim(7), Op::Sweep, Op::Switch, claim(6), Op::Advance { ms: 6_000 }, claim(0)]) {
            run.step(op).unwrap_or_else(|wrong| panic!("{begun} begun, {op:?}: {wrong}"));
        }
        run.finish(kinds).unwrap_or_else(|wrong| panic!("{begun} begun: {wrong}"));
    }
}
