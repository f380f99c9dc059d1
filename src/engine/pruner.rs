//! The threads that prune from time to time and keep the store's log short.
//! They do not know what is old.

use super::error::Error;
use super::log::LogTold;
use super::{Engine, Notice, Tell};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// Time between two looks at the length of the store's log.
const LOG_LOOK: Duration = Duration::from_secs(2);

/// What follows a round, on the same thread: bytes of files are somebody else's.
pub type AfterPrune = Arc<dyn Fn(&Engine) + Send + Sync>;

/// The thread that prunes from time to time, and another that keeps the store's log short: pruning may take long, and
/// makes the log long.
#[derive(Default)]
pub struct Pruner {
    closed: Mutex<bool>,
    signal: Condvar,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

impl Pruner {
    /// Starts the threads.
    pub(super) fn start(
        self: &Arc<Pruner>,
        engine: Weak<Engine>,
        every: Duration,
        after: AfterPrune,
        tell: Tell,
    ) -> std::io::Result<()> {
        let (looking, looked_at, telling) = (self.clone(), engine.clone(), tell.clone());
        let look = move || {
            let mut told = LogTold::default();
            while looking.wait(every.min(LOG_LOOK)) {
                let Some(engine) = looked_at.upgrade() else { return };
                if let Some(notice) = engine.shorten_log(&mut told) {
                    telling(notice);
                }
            }
        };
        let pruner = self.clone();
        let run = move || {
            while pruner.wait(every) {
                let Some(engine) = engine.upgrade() else { return };
                match engine.prune(None, None, None) {
                    Ok(_) => after(&engine),
                    // Where it was opened again meanwhile there is a next round.
                    Err(Error::Closed) => {}
                    Err(error) => tell(Notice { event: "prune-failed", message: error.to_string() }),
                }
            }
        };
        let named = |name: &str| std::thread::Builder::new().name(name.into());
        let log = named("errand-log").spawn(look)?;
        lock(&self.threads).push(log);
        let prune = named("errand-prune").spawn(run)?;
        lock(&self.threads).push(prune);
        Ok(())
    }

    /// Waits for the next round; false where there is none any more.
    fn wait(&self, every: Duration) -> bool {
        let closed = lock(&self.closed);
        let waited = self.signal.wait_timeout_while(closed, every, |closed| !*closed);
        let (closed, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !*closed
    }

    pub(super) fn close(&self) {
        *lock(&self.closed) = true;
        self.signal.notify_all();
        let threads = std::mem::take(&mut *lock(&self.threads));
        // The last handle may be dropped by one of them.
        for thread in threads.into_iter().filter(|thread| thread.thread().id() != std::thread::current().id()) {
            // Its trouble was told; there is nothing more to learn from it.
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
