//! What the other tests found, each as short as it can be said, so that it stays mended.

use super::run::{Op, Run};
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
