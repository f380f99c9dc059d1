//! A thread that does nothing but sleep for a moment and sync a byte to the store's disk, over and over: where it is held
//! up, it was the machine.

use super::lateness::Span;
use super::wall_ms;
use crate::promises::wait;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const NAP: Duration = Duration::from_millis(20);
/// What takes longer than this is kept.
const HELD_UP: Duration = Duration::from_millis(100);

pub struct Witness {
    end: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Span>>,
}

impl Witness {
    pub fn start(folder: &Path) -> Witness {
        let (end, path) = (Arc::new(AtomicBool::new(false)), folder.join("witness"));
        let mut file = std::fs::File::create(path).expect("the folder is ours");
        let ended = end.clone();
        let thread = std::thread::spawn(move || {
            let mut spans = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                let (from, began) = (wall_ms(), Instant::now());
                wait(NAP);
                file.write_all(b".").and_then(|()| file.sync_data()).expect("the file is ours");
                if began.elapsed() > NAP + HELD_UP {
                    spans.push((from + NAP.as_millis() as i64, wall_ms()));
                }
            }
            spans
        });
        Witness { end, thread }
    }

    /// When it was held up.
    pub fn end(self) -> Vec<Span> {
        self.end.store(true, Ordering::Relaxed);
        self.thread.join().expect("it does not panic")
    }
}
