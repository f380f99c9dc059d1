//! What a worker or a server tells whoever looks after it, on standard error. Whoever speaks never waits for a reader: a
//! worker whose log nobody reads keeps its leases, a server goes on. What does not fit is dropped and counted.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Lines that may wait to be read.
const LINES_MAX: usize = 10_000;
/// How long the end of the program waits until its last lines are read.
const LAST_WORDS: Duration = Duration::from_millis(500);

enum Said {
    Line(String),
    /// Answered once all before it is written.
    Heard(SyncSender<()>),
}

static LINES: OnceLock<Option<SyncSender<Said>>> = OnceLock::new();
static DROPPED: AtomicU64 = AtomicU64::new(0);
static JSON: AtomicBool = AtomicBool::new(false);

/// Tells a line.
pub fn say(text: &str) {
    tell(format!("errand: {text}\n"));
}

/// The log of a server: what is written to it is told, each time a line.
#[derive(Clone, Copy)]
pub struct Log {
    /// How the lines are told of that were left out.
    pub json: bool,
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        JSON.store(self.json, Ordering::Relaxed);
        tell(String::from_utf8_lossy(line).into_owned());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn tell(line: String) {
    match LINES.get_or_init(start) {
        Some(lines) => {
            if lines.try_send(Said::Line(line)).is_err() {
                DROPPED.fetch_add(1, Ordering::Relaxed);
            }
        }
        None => write(&line),
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
            dropped => write(&left_out(dropped)),
        }
    }
}

fn left_out(lines: u64) -> String {
    let text = format!("{lines} lines were left out here: nobody read them in time");
    match JSON.load(Ordering::Relaxed) {
        true => format!("{{\"level\":\"WARN\",\"message\":\"{text}\"}}\n"),
        false => format!("errand: {text}\n"),
    }
}

fn write(line: &str) {
    // A log that cannot be written is no reason to stop working.
    let _ = io::stderr().write_all(line.as_bytes());
}
