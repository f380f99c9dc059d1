//! What one process commits wakes who waits in another: by the word that goes out after each commit alone. Nothing looks
//! besides: no poll is on, and nothing else is committed once a round is over, so a word that is lost is never made good.

use super::invariants;
use super::live::{Live, NEVER, end, finish, submit, wait_for_end, wait_for_job, when_ended};
use super::world::options;
use errand::engine::{Engine, Settings};
use errand::job::Status;
use errand::store::Sqlite;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Nobody who is told waits for this long, however slow the machine.
const NEVER_TOLD: Duration = Duration::from_secs(60);
/// How many in each process ask, and how many do what the other's ask.
const THREADS: usize = 4;
/// What each process is called in the types of the jobs that it asks for.
const NAMES: [&str; 2] = ["here", "there"];
/// One after the other: what is lost then is not made good by what another thread commits.
const ALONE: usize = 150;
/// All at once, and the next only when all were answered.
const TOGETHER: usize = 40;

/// How often the engine is kept busy while another process commits.
const BUSY: usize = 5;

/// The same program as another process, until its input ends.
struct There {
    child: Child,
    input: Option<ChildStdin>,
}

impl There {
    fn start(live: &Live) -> There {
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        command.args(["--exact", "promises::across::the_other_process", "--nocapture"]);
        command.env("ERRAND_TEST_ACROSS", live.path());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("this program can be started");
        There { input: child.stdin.take(), child }
    }

    fn end(mut self) {
        self.input = None;
        assert!(self.child.wait().expect("it ends").success());
    }
}

impl Drop for There {
    fn drop(&mut self) {
        // Where the test has failed it may wait for ever; it may be gone, too.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn the_other_process() {
    let Ok(store) = std::env::var("ERRAND_TEST_ACROSS") else { return };
    let sqlite = Sqlite::open(store.as_ref(), options()).expect("the store opens");
    let settings = Settings { fallback_poll: None, sweep_every: NEVER, ..Settings::default() };
    let engine = Engine::start(Arc::new(sqlite), settings).expect("the engine starts");
    answer_all(&engine, NAMES[0]);
    let asks = engine.clone();
    std::thread::spawn(move || {
        ask_together(&asks, NAMES[1]);
        submit(&asks, "over");
    });
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).expect("its input ends");
    std::process::exit(0);
}

fn kind(asker: &str, thread: usize) -> String {
    format!("{asker}-{thread}")
}

/// Does for ever what the process of that name asks for: each thread waits for jobs of its own type.
fn answer_all(engine: &Arc<Engine>, asker: &str) {
    for thread in 0..THREADS {
        let (engine, kind) = (engine.clone(), kind(asker, thread));
        std::thread::spawn(move || {
            while let Ok(Some(lease)) = wait_for_job(&engine, &kind).1.recv() {
                finish(&engine, lease);
            }
        });
    }
}

/// Asks for one job and waits for its end, with others.
fn ask(engine: &Arc<Engine>, kind: &str) {
    let job = submit(engine, kind);
    let told: Vec<Receiver<Status>> = (0..3).map(|_| wait_for_end(engine, &job)).collect();
    for told in told {
        assert_eq!(
            told.recv_timeout(NEVER_TOLD),
            Ok(Status::Succeeded),
            "{kind}: nobody told of the job or of its end"
        );
    }
}

/// All threads ask at once, and the next time when all have their answers.
fn ask_together(engine: &Arc<Engine>, asker: &str) {
    for _ in 0..TOGETHER {
        std::thread::scope(|scope| {
            (0..THREADS).for_each(|thread| drop(scope.spawn(move || ask(engine, &kind(asker, thread)))));
        });
    }
}

#[test]
fn whoever_waits_is_told_of_each_commit_of_another_process() {
    let live = Live::new();
    let engine = live.engine();
    let there = There::start(&live);
    // It asks too, as soon as its jobs are done here: until then there is only one that commits at a time. The first of
    // all that wait here waits for an end, and the first of all that wait there for a job.
    (0..ALONE).for_each(|round| ask(&engine, &kind(NAMES[0], round % THREADS)));
    answer_all(&engine, NAMES[1]);
    let over = wait_for_job(&engine, "over").1;
    ask_together(&engine, NAMES[0]);
    let lease = over.recv_timeout(NEVER_TOLD).expect("the other process was told of all").expect("a job");
    finish(&engine, lease);
    there.end();
    drop(engine);
    invariants::assert_hold(&live.path());
}

#[test]
fn whoever_waits_is_told_of_what_another_process_commits_while_the_engine_is_busy() {
    let live = Live::new();
    let engine = live.engine();
    let there = There::start(&live);
    for _ in 0..BUSY {
        let (tell, told) = channel();
        let first = submit(&engine, &kind(NAMES[0], 0));
        let asks = engine.clone();
        // The thread that learns what others commit goes on only when they have committed more.
        when_ended(&engine, end(&first), move |_| {
            let second = submit(&asks, &kind(NAMES[0], 1));
            let ended = wait_for_end(&asks, &second);
            let begun = Instant::now();
            while !has_ended(&asks, &second) && begun.elapsed() < NEVER_TOLD {
                std::thread::yield_now();
            }
            // Time for the word of it to come; if it is too short this test is only weaker.
            super::wait(Duration::from_millis(20));
            drop(tell.send(ended));
        });
        let ended = told.recv_timeout(NEVER_TOLD).expect("the engine learns of the first end");
        assert_eq!(ended.recv_timeout(NEVER_TOLD), Ok(Status::Succeeded), "nobody told of the second end");
    }
    there.end();
}

fn has_ended(engine: &Engine, job: &str) -> bool {
    let status = engine.read(|rows, _| Ok(rows.job_by_id(job)?.map(|job| job.facts.status)));
    status.expect("the store is read").expect("the job is there").is_terminal()
}
