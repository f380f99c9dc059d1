//! Whoever waits is woken: by this process or another, however many wait, whatever others do meanwhile.

use super::live::{LONG, Live, claim, finish, new_job, settle, submit, wait_for_end, wait_for_job, write};
use super::world::{WORKSPACE, fail};
use errand::engine::{Class, NewJob, Work};
use errand::job::Status;
use std::sync::mpsc::channel;
use std::time::Duration;

#[test]
fn an_end_is_told_to_another_process_after_an_operator_retried_the_last_job_that_ended() {
    let live = Live::new();
    let (here, there) = (live.engine(), live.engine());
    let (first, second) = (submit(&here, "first"), submit(&here, "second"));
    let (first_ends, second_ends) = (wait_for_end(&there, &first), wait_for_end(&there, &second));
    let lease = claim(&here, "first").expect("it is due");
    settle(&here, lease, fail(false, None));
    assert_eq!(first_ends.recv_timeout(LONG), Ok(Status::Failed));
    write(&here, Class::Urgent, move |work| work.retry(WORKSPACE, &first).map(|_| ()));
    let lease = claim(&here, "second").expect("it is due");
    finish(&here, lease);
    assert_eq!(second_ends.recv_timeout(LONG), Ok(Status::Succeeded));
}

#[test]
fn a_second_claim_that_waits_is_woken_when_a_later_job_is_due() {
    let live = Live::new();
    let engine = live.engine();
    submit(&engine, "kind");
    submit(&engine, "kind");
    let (soon, later) = (claim(&engine, "kind").expect("one"), claim(&engine, "kind").expect("two"));
    let (_, first) = wait_for_job(&engine, "kind");
    let (_, second) = wait_for_job(&engine, "kind");
    settle(&engine, later, fail(true, Some(700)));
    settle(&engine, soon, fail(true, Some(300)));
    assert!(matches!(first.recv_timeout(LONG), Ok(Some(_))), "the first is due soon");
    assert!(matches!(second.recv_timeout(LONG), Ok(Some(_))), "the second is due later");
}

#[test]
fn a_claim_that_is_given_up_just_when_it_is_woken_leaves_the_job_to_the_next() {
    let live = Live::new();
    let engine = live.engine();
    // More than one: the news of a commit come twice, from the engine itself and from the file.
    let given_up: Vec<_> = (0..5).map(|_| wait_for_job(&engine, "kind")).collect();
    let (_, next) = wait_for_job(&engine, "kind");
    // The submission has to queue behind another operation, so that the writer's own thread commits it; its caller keeps
    // that thread busy, so that the claim of the one that is woken has to queue in turn.
    let (begun, has_begun) = channel();
    let (end, may_end) = channel::<()>();
    let other = engine.clone();
    let thread = std::thread::spawn(move || {
        write(&other, Class::Urgent, move |_| {
            begun.send(()).ok();
            may_end.recv().ok();
            Ok(())
        });
    });
    has_begun.recv_timeout(LONG).expect("the writer is busy");
    let submitted = new_job("kind");
    let (committed, is_committed) = channel();
    let (go_on, may_go_on) = channel::<()>();
    let done = move |result: errand::engine::Result<()>| {
        drop(committed.send(result));
        may_go_on.recv().ok();
    };
    let op = move |work: &mut Work| work.create(&submitted, &NewJob::default()).map(|_| ());
    assert!(engine.write(Class::Urgent, op, done).is_none(), "the writer is not free");
    drop(end);
    thread.join().expect("its operation is done");
    is_committed.recv_timeout(LONG).expect("the job is there").expect("the job is there");
    // Time for the engine to wake the first; if it is too short this test is only weaker.
    drop(next.recv_timeout(Duration::from_millis(50)));
    given_up.iter().for_each(|(ticket, _)| ticket.as_ref().expect("it waits").forget());
    drop(go_on);
    assert!(matches!(next.recv_timeout(LONG), Ok(Some(_))), "the next one gets the job");
}
