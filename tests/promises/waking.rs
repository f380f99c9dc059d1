//! Whoever waits is woken: by this process or another, however many wait, whatever others do meanwhile.

use super::live::{
    LONG, Live, PlainClaim, claim, claim_of, finish, held, new_job, settle, submit, wait_for, wait_for_end,
    wait_for_job, write,
};
use super::world::{WORKSPACE, fail};
use errand::engine::{Bound, Claim, Claiming, Class, Engine, JobView, NewJob, Now, Result, Work};
use errand::job::Status;
use errand::store::Rows;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
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

fn submit_batch(engine: &Engine, jobs: usize) -> String {
    let (batch, jobs) = (new_job("kind"), vec![NewJob::default(); jobs]);
    write(engine, Class::Bulk, move |work| work.create_batch(&batch, None, &jobs)).batch.batch_id
}

fn of_batch(batch: &str) -> Claim {
    Claim { batch_id: Some(batch.into()), ..claim_of("kind") }
}

/// A batch of one job, which is claimed.
fn claimed_batch(engine: &Engine) -> (String, (String, String)) {
    let batch = submit_batch(engine, 1);
    let lease = claim(engine, "kind").expect("it is due");
    (batch, lease)
}

#[test]
fn a_claim_for_a_batch_that_waits_longer_than_one_for_any_job_gets_the_job_of_the_batch() {
    let live = Live::new();
    let engine = live.engine();
    for _ in 0..20 {
        let (batch, lease) = claimed_batch(&engine);
        let (_, its) = wait_for(&engine, of_batch(&batch));
        let (any_ticket, any) = wait_for_job(&engine, "kind");
        let job = lease.0.clone();
        settle(&engine, lease, errand::engine::Settle::Release { reason: None });
        let got = its.recv_timeout(LONG).expect("it is woken").expect("it gets the job");
        assert_eq!(got.0, job);
        assert!(any.try_recv().is_err(), "there was one job");
        any_ticket.expect("it waits").forget();
        finish(&engine, got);
    }
}

#[test]
fn a_claim_that_waits_does_not_learn_of_a_batch_of_another_workspace() {
    let live = Live::new();
    let engine = live.engine();
    let (batch, lease) = claimed_batch(&engine);
    let foreign = Claim { workspace: "other".into(), ..of_batch(&batch) };
    let seen = || engine.read(|rows, now| foreign.look(rows, now)).expect("the store is read");
    assert!(seen(), "it looks as one that is not there, which claiming refuses");
    settle(&engine, lease, errand::engine::Settle::Release { reason: None });
    assert!(seen(), "whether there is a job for it or not");
}

#[test]
fn a_claim_that_was_woken_in_vain_and_is_then_given_up_takes_no_job() {
    let live = Live::new();
    let engine = live.engine();
    let (batch, lease) = claimed_batch(&engine);
    let (ticket, its) = wait_for(&engine, of_batch(&batch));
    // It shares the commit of another batch, in which there is nothing for it, and waits again.
    submit_batch(&engine, 1);
    assert!(its.try_recv().is_err());
    ticket.expect("it waits").forget();
    finish(&engine, claim(&engine, "kind").expect("the other batch's"));
    let job = lease.0.clone();
    settle(&engine, lease, errand::engine::Settle::Release { reason: None });
    let again = write(&engine, Class::Urgent, |work| work.claim(&claim_of("kind"))).map(held);
    assert_eq!(again.map(|lease| lease.0), Some(job), "nobody took it");
    assert!(its.try_recv().is_err());
}

/// A claim that looks for as long as the test likes.
struct SlowLook {
    claim: PlainClaim,
    looks: Sender<()>,
    go_on: Mutex<Receiver<()>>,
}

impl Claiming for SlowLook {
    type Given = JobView;

    fn claim(&self) -> &Claim {
        self.claim.claim()
    }

    fn look(&self, rows: &mut dyn Rows, now: Now) -> Result<bool> {
        let found = self.claim.look(rows, now);
        self.looks.send(()).ok();
        self.go_on.lock().expect("nobody panics with it").recv().ok();
        found
    }

    fn run(&self, work: &mut Work) -> Result<Option<JobView>> {
        self.claim.run(work)
    }

    fn undo(&self, work: &mut Work, given: &JobView) -> Result<()> {
        self.claim.undo(work, given)
    }
}

#[test]
fn nobody_who_submits_waits_for_a_claim_that_only_looks() {
    let live = Live::new();
    let engine = live.engine();
    let (looks, is_looking) = channel();
    let (end, go_on) = channel();
    let slow = SlowLook { claim: PlainClaim(claim_of("kind")), looks, go_on: Mutex::new(go_on) };
    let (told, claimed) = channel();
    let claims = engine.clone();
    let looking = std::thread::spawn(move || {
        let done = move |result: Result<Option<JobView>>| drop(told.send(result.map(|view| view.map(held))));
        drop(claims.claim(slow, Bound::after_ms(600_000, None), done));
    });
    is_looking.recv_timeout(LONG).expect("it looks");
    let (submitted, is_submitted) = channel();
    let submits = engine.clone();
    let submitting = std::thread::spawn(move || drop(submitted.send(submit(&submits, "kind"))));
    let job = is_submitted.recv_timeout(LONG);
    let got = claimed.recv_timeout(LONG);
    drop(end);
    looking.join().expect("it has looked");
    submitting.join().expect("it has submitted");
    let job = job.expect("it is there while the other looks");
    let got = got.expect("it is told while it looks").expect("nothing is wrong").expect("there is a job");
    assert_eq!(got.0, job);
}
