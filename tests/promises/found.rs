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
