//! What a worker tells whoever looks after it, on standard error. Whoever speaks never waits for a reader: a worker whose
//! log nobody reads keeps its leases. What does not fit is dropped and counted.

use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Lines that may wait to be read.
const LINES_MAX: usize = 1000;
/// How long the end of a worker waits until its last lines are read.
const LAST_WORDS: Duration = Duration::from_millis(500);

enum Said {
    Line(String),
    /// Answered once all before it is written.
    Heard(SyncSender<()>),
}

static LINES: OnceLock<Option<SyncSender<Said>>> = OnceLock::new();
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Tells a line.
pub fn say(text: &str) {
    match LINES.get_or_init(start) {
        Some(lines) => {
            if lines.try_send(Said::Line(text.to_owned())).is_err() {
                DROPPED.fetch_add(1, Ordering::Relaxed);
            }
        }
        None => write(text),
    }
}

/// Waits for a moment until what was said is written.
pub fn heard() {
    let Some(Some(lines)) = LINES.get() else { return };
    let (tell, told) = sync_channel(1);
    if lines.try_send(Said::Heard(tell)).is_ok() {
        // A log that nobody reads is no reason to stay.
        let _ = told.recv_timeout(LAST_WORDS);
    }
}

/// Starts the thread that waits for the reader; nothing where there can be none.
fn start() -> Option<SyncSender<Said>> {
    let (lines, said) = sync_channel(LINES_MAX);
    std::thread::Builder::new().name("errand-say".into()).spawn(move || write_all(&said)).ok().map(|_| lines)
}

fn write_all(said: &Receiver<Said>) {
    for next in said {
        match next {
            Said::Line(text) => write(&text),
            // Who asked has gone on where nobody listens.
            Said::Heard(tell) => drop(tell.send(())),
        }
        match DROPPED.swap(0, Ordering::Relaxed) {
            0 => {}
            dropped => write(&format!("{dropped} lines were left out here: nobody read them in time")),
        }
    }
}

fn write(text: &str) {
    // A log that cannot be written is no reason to stop working.
    let _ = writeln!(std::io::stderr(), "errand: {text}");
}
