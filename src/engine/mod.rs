//! The engine: reads, decides, writes; shares commits, wakes who waits, looks after leases.
//! It does not know which database it stands on, nor which surface asks.

mod access;
mod attach;
mod cap;
mod clock;
mod commit;
mod error;
mod group;
mod keeper;
mod lease;
mod log;
mod operate;
mod operation;
mod prune;
mod pruner;
mod remember;
mod retention;
mod seat;
mod settle;
mod submit;
mod upkeep;
mod users;
mod view;
mod wait;
mod waiters;
mod work;

pub use access::{AccountChange, NewAccount, NewKey, account, authenticate, grant, new_secret, same_secret};
pub use attach::Attaching;
pub use clock::{Clock, Ids, Now, RandomIds, SystemClock};
pub use commit::Class;
pub use error::{Error, Result};
pub use lease::{Claim, Directive, Held, Report};
pub use log::LogTold;
pub use prune::{Ownerless, Pruned, Swept};
pub use pruner::AfterPrune;
pub use remember::Named;
pub use retention::Retention;
pub use settle::Settle;
pub use submit::{NewJob, Submit, digest};
pub use users::Used;
pub use view::{BatchView, Depth, JobView};
pub use wait::{Bound, Claiming, End, Ticket, Waited};
pub use work::Work;

use crate::store::{Patience, Rows, Store};
use commit::Committer;
use pruner::Pruner;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use upkeep::Upkeep;
use users::{Going, Users};

/// Something that the engine did by itself, or trouble that no caller waits to hear of.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// `leases-expired`, `sweep-failed`, `watch-failed`, `upkeep-failed`, `announce-failed`, `prune-failed`,
    /// `log-large`, `log-failed`.
    pub event: &'static str,
    pub message: String,
}

/// Told of notices, from the engine's threads: it must not block.
pub type Tell = Arc<dyn Fn(Notice) + Send + Sync>;

/// How an engine runs.
#[derive(Clone)]
pub struct Settings {
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    /// How often other processes' commits are looked for besides being woken, while somebody waits.
    pub fallback_poll: Option<Duration>,
    /// The longest time between two looks for leases that are over.
    pub sweep_every: Duration,
    /// Whether the engine looks after leases and waiters by itself; tests with a clock of their own switch it off.
    pub upkeep: bool,
    /// How often old jobs are looked for; with `upkeep` only.
    pub prune_every: Duration,
    pub after_prune: AfterPrune,
    pub tell: Tell,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
            fallback_poll: Some(Duration::from_secs(1)),
            sweep_every: keeper::SWEEP,
            upkeep: true,
            prune_every: Duration::from_secs(60),
            after_prune: Arc::new(|_| {}),
            tell: Arc::new(|_| {}),
        }
    }
}

/// Read sessions kept open for the next reader.
const READERS_MAX: usize = 8;

/// An engine on one store, shared by all who opened it in this process.
pub struct Engine {
    store: Arc<dyn Store>,
    committer: Arc<Committer>,
    upkeep: Arc<Upkeep>,
    pruner: Arc<Pruner>,
    readers: Mutex<Vec<Box<dyn Rows + Send>>>,
    users: Arc<Users>,
    /// The last field: when it is dropped the store was.
    gone: Going,
}

impl Engine {
    /// Starts an engine on a store: sets the store's clock going, and the engine's own thread.
    pub fn start(store: Arc<dyn Store>, settings: Settings) -> Result<Arc<Engine>> {
        let Settings { clock, ids, fallback_poll, sweep_every, upkeep: kept, prune_every, after_prune, tell } =
            settings;
        let offset_ms = set_clock(&*store, &*clock)?;
        let upkeep = Upkeep::new(fallback_poll, sweep_every);
        let after_commit = after_commit(store.clone(), upkeep.clone(), tell.clone());
        let joining = upkeep.clone();
        let join: commit::Join = Box::new(move |news| joining.joining(news));
        let committer = Arc::new(Committer::new(store.clone(), clock, ids, offset_ms, join, after_commit));
        if kept {
            let started = upkeep.start(store.clone(), committer.clone(), tell.clone());
            started.map_err(no_thread)?;
        }
        let (pruner, readers) = (Arc::default(), Mutex::default());
        let (users, gone) = (Arc::default(), Going::default());
        let engine = Arc::new(Engine { store, committer, upkeep, pruner, readers, users, gone });
        if kept {
            let started = engine.pruner.start(Arc::downgrade(&engine), prune_every, after_prune, tell);
            started.map_err(no_thread)?;
        }
        Ok(engine)
    }

    /// The present moment.
    pub fn now(&self) -> Now {
        self.committer.now()
    }

    /// Runs `op` in a transaction. The result is given at once where the writer is free and nobody else waits for it;
    /// else `done` is told it after a shared commit, from a thread of the engine's. `op` may be run more than once.
    pub fn write<T: Send + 'static>(
        &self,
        class: Class,
        op: impl FnMut(&mut Work) -> Result<T> + Send + 'static,
        done: impl FnOnce(Result<T>) + Send + 'static,
    ) -> Option<Result<T>> {
        self.committer.write(class, Duration::ZERO, op, done)
    }

    /// As `write`, but waits for a shared commit on this thread for as long as `patience`.
    pub fn write_within<T: Send + 'static>(
        &self,
        class: Class,
        patience: Duration,
        op: impl FnMut(&mut Work) -> Result<T> + Send + 'static,
        done: impl FnOnce(Result<T>) + Send + 'static,
    ) -> Option<Result<T>> {
        self.committer.write(class, patience, op, done)
    }

    /// Runs `read` on one consistent state of what is committed.
    pub fn read<T>(&self, read: impl FnOnce(&mut dyn Rows, Now) -> Result<T>) -> Result<T> {
        let pooled = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut rows = match pooled {
            Some(rows) => rows,
            None => self.store.reader()?,
        };
        rows.hold()?;
        let result = catch_unwind(AssertUnwindSafe(|| read(&mut *rows, self.now())));
        let result = result.unwrap_or_else(|panic| Err(Error::Panicked(operation::panic_text(&*panic))));
        rows.let_go()?;
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < READERS_MAX {
            readers.push(rows);
        }
        result
    }

    /// Ends every wait with `closed`, commits what is under way, and lets go of the store.
    pub fn close(&self) {
        self.pruner.close();
        self.upkeep.close();
        self.committer.close();
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}

fn no_thread(error: std::io::Error) -> Error {
    crate::store::Error::Unavailable(format!("thread cannot be started: {error}")).into()
}

/// What follows a commit: those who wait here are told, and other processes where it matters to them.
fn after_commit(store: Arc<dyn Store>, upkeep: Arc<Upkeep>, tell: Tell) -> commit::Tell {
    Box::new(move |news, free| {
        // Those who are told go on at once, on other threads: by then this one is to be on its way to its next call.
        if news.matters
            && let Err(error) = store.announce()
        {
            tell(Notice { event: "announce-failed", message: error.to_string() });
        }
        upkeep.news(news, free);
    })
}

/// Brings the store's clock into this boot of the host; after a reboot every lease counts as renewed once.
/// Gives the offset from time since boot to store time.
fn set_clock(store: &dyn Store, clock: &dyn Clock) -> Result<i64> {
    let boot_id = clock.boot_id();
    if let Some(known) = store.reader()?.clock()?.filter(|known| known.boot_id == boot_id) {
        return Ok(known.offset_ms);
    }
    let mut tx = store.writer()?;
    tx.begin(Patience::Full)?;
    if let Some(known) = tx.clock()?.filter(|known| known.boot_id == boot_id) {
        tx.rollback();
        return Ok(known.offset_ms);
    }
    let begun = clock::begin_clock(clock, tx.time_reached()?.unwrap_or(0));
    tx.set_clock(&begun)?;
    tx.renew_all_leases(clock.boot_ms() + begun.offset_ms)?;
    tx.commit()?;
    Ok(begun.offset_ms)
}
