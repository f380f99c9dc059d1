//! Random sequences of commands, given to the engine and to the model; what differs is shrunk to the shortest sequence.

use super::run::{How, Op, Run};
use super::world::World;
use errand::job::{Ending, Status};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError};

const KINDS: usize = 2;
/// More than those whose jobs lose their places as soon as a cap that they share is reached.
const MANY_KINDS: usize = 12;

fn lease() -> impl Strategy<Value = usize> {
    // The latest leases are more interesting than the oldest, but those of zombies are kept.
    prop_oneof![3 => 0..4usize, 1 => 0..40usize]
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        3 => select(Ending::ALL.to_vec()).prop_map(How::Complete),
        3 => (any::<bool>(), proptest::option::of(0..40_000i64)).prop_map(|(r, a)| How::Fail { retryable: r, after_ms: a }),
        1 => Just(How::Release),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => plain_op(),
        1 => (0..KINDS, 1..60i64, plain_op())
            .prop_map(|(kind, lease_s, op)| Op::Waits { kind, lease_s, op: Box::new(op) }),
    ]
}

fn plain_op() -> impl Strategy<Value = Op> {
    let status = proptest::option::of(select(vec![Status::Leased, Status::Started, Status::Running]));
    let key = || proptest::option::weighted(0.2, 0..3usize);
    let cap = proptest::option::weighted(0.4, (0..2usize, 1..3i64));
    prop_oneof![
        6 => (0..KINDS, key(), cap, 1..4i64).prop_map(|(kind, key, cap, budget)| Op::Create { kind, key, cap, budget }),
        3 => (0..KINDS, 1..5usize, key(), proptest::option::of(1..3i64), 1..3i64)
            .prop_map(|(kind, jobs, key, cap, budget)| Op::Batch { kind, jobs, key, cap, budget }),
        12 => (0..KINDS, 0..3usize, proptest::option::weighted(0.2, 0..3usize), proptest::option::weighted(0.3, 0..3usize), 1..60i64)
            .prop_map(|(kind, worker, batch, request, lease_s)| Op::Claim { kind, worker, batch, request, lease_s }),
        3 => (lease(), proptest::option::of(1..60i64)).prop_map(|(lease, lease_s)| Op::Heartbeat { lease, lease_s }),
        3 => (lease(), status).prop_map(|(lease, status)| Op::Progress { lease, status }),
        8 => (lease(), how()).prop_map(|(lease, how)| Op::Settle { lease, how }),
        1 => (lease(), 0..20usize).prop_map(|(lease, job)| Op::Stray { lease, job }),
        3 => (0..20usize).prop_map(|job| Op::Cancel { job }),
        1 => (0..4usize).prop_map(|batch| Op::CancelBatch { batch }),
        3 => (0..20usize).prop_map(|job| Op::Retry { job }),
        3 => Just(Op::Sweep),
        5 => (0..30_000i64).prop_map(|ms| Op::Advance { ms }),
        1 => Just(Op::Restart),
        1 => Just(Op::Switch),
    ]
}

/// What moves the places of one cap that many types share.
fn shared_op() -> impl Strategy<Value = Op> {
    let kind = || 0..MANY_KINDS;
    let plain = prop_oneof![
        8 => (kind(), 0..2usize, 1..9i64, 1..4i64)
            .prop_map(|(kind, group, cap, budget)| Op::Create { kind, key: None, cap: Some((group, cap)), budget }),
        1 => (kind(), 1..3i64).prop_map(|(kind, budget)| Op::Create { kind, key: None, cap: None, budget }),
        12 => (kind(), 1..60i64)
            .prop_map(|(kind, lease_s)| Op::Claim { kind, worker: 0, batch: None, request: None, lease_s }),
        6 => (lease(), how()).prop_map(|(lease, how)| Op::Settle { lease, how }),
        1 => (0..20usize).prop_map(|job| Op::Cancel { job }),
        1 => (0..20usize).prop_map(|job| Op::Retry { job }),
        1 => Just(Op::Sweep),
        3 => (0..30_000i64).prop_map(|ms| Op::Advance { ms }),
        1 => Just(Op::Switch),
    ];
    (proptest::option::weighted(0.3, (kind(), 1..60i64)), plain).prop_map(|(waits, op)| match waits {
        Some((kind, lease_s)) => Op::Waits { kind, lease_s, op: Box::new(op) },
        None => op,
    })
}

/// How many sequences are tried; `ERRAND_CASES` asks for more.
fn cases(few: u32) -> u32 {
    std::env::var("ERRAND_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(few)
}

/// Runs random sequences in worlds of a kind.
fn agree(cases: u32, world: fn() -> World, op: impl Strategy<Value = Op>, (most, kinds): (usize, usize)) {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 3_000, ..Config::default() };
    proptest!(config, |(ops in proptest::collection::vec(op, 1..most))| {
        let mut run = Run::on(world());
        for op in &ops {
            run.step(op).map_err(TestCaseError::fail)?;
        }
        run.finish(kinds).map_err(TestCaseError::fail)?;
    });
}

#[test]
fn random_commands_end_as_the_model_says() {
    agree(cases(120), World::new, op(), (80, KINDS));
}

#[test]
fn random_commands_over_http_end_as_the_model_says() {
    agree(cases(20), World::over_http, op(), (80, KINDS));
}

#[test]
fn random_commands_under_a_cap_that_many_types_share_end_as_the_model_says() {
    agree(cases(60), World::new, shared_op(), (120, MANY_KINDS));
}
