//! The writer's thread: operations that wait share a commit, one after the other, also with those that come while their
//! rows are written. It does not know what the operations do.

use super::commit::{Class, Committer, forget_broken};
use super::error::{Error, Result};
use super::operation::{Queued, settle_all};
use super::work::{News, Seen, Work};
use crate::store::{self, Patience, Tx};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A group of so many operations takes no more.
const GROUP_MAX: usize = 1024;
/// Nor one that is so old: other processes wait for the file.
const GROWTH_TIME: Duration = Duration::from_millis(5);
/// What was not run by then has another commit.
const GROUP_TIME: Duration = Duration::from_millis(20);
/// How long a group stays open for the callers of the last one to come back, where they are not there yet.
const GATHER: Duration = Duration::from_micros(200);
/// How often an operation is run again whose row another writer changed.
const CONFLICTS_MAX: usize = 10;
/// How many callers of a commit are woken while it is under way, so that they are awake when it is done.
const ALERTED_MAX: usize = 64;

/// The thread's own.
pub struct Writer {
    committer: Arc<Committer>,
    /// How many operations the next commit waits for: those of the last one, whose callers come back, and those that
    /// came by its end.
    expected: usize,
}

impl Writer {
    pub fn new(committer: Arc<Committer>) -> Writer {
        Writer { committer, expected: 0 }
    }

    /// Commits what waits until the committer is closed.
    pub fn run(mut self) {
        while let Some(group) = self.committer.next_group() {
            self.commit_group(group);
        }
    }

    fn commit_group(&mut self, mut group: Vec<Box<dyn Queued>>) {
        let mut conflicts = 0;
        while !group.is_empty() {
            let ran = self.run_group(&mut group);
            let rest = group.split_off(ran.kept);
            match ran.trouble {
                Some(Error::Conflict) if conflicts < CONFLICTS_MAX => {
                    conflicts += 1;
                    group.extend(rest);
                    continue;
                }
                Some(trouble) => {
                    let resting = group.split_off(ran.apart);
                    settle_all(group, None);
                    settle_all(resting, Some(&trouble));
                }
                None => {
                    let callers = ran.kept.saturating_sub(ran.joined) + rest.len();
                    self.set_expected(callers + self.committer.waiting());
                    settle_all(group, None);
                    (self.committer.tell)(ran.news, false);
                }
            }
            group = self.behind_urgent(rest);
        }
    }

    fn set_expected(&mut self, operations: usize) {
        self.expected = operations.min(GROUP_MAX);
        self.committer.shared.store(operations > 1, Ordering::Relaxed);
    }

    /// What was left for another commit; what is urgent and came meanwhile stands before its bulk.
    fn behind_urgent(&self, rest: Vec<Box<dyn Queued>>) -> Vec<Box<dyn Queued>> {
        if rest.is_empty() {
            return rest;
        }
        let (mut group, bulk): (Vec<_>, Vec<_>) = rest.into_iter().partition(|left| left.class() == Class::Urgent);
        group.extend(self.committer.take_urgent());
        group.extend(bulk);
        group
    }

    /// Runs the operations of a group in one transaction and commits it; the later ones may be left for another.
    fn run_group(&self, group: &mut Vec<Box<dyn Queued>>) -> Ran {
        let mut session = self.committer.taken_session();
        let mut ran = Ran::default();
        let mut done = self.try_group(&mut session, group, &mut ran, false);
        if let Ok(Tried::WroteInVain) = done {
            ran = Ran { joined: ran.joined, ..Ran::default() };
            done = self.try_group(&mut session, group, &mut ran, true);
        }
        if let Err(trouble) = done {
            if let Some(tx) = &mut *session {
                tx.rollback();
            }
            forget_broken(&mut session, &trouble);
            // Where not even the first could be run, none can.
            ran.kept = if ran.kept == 0 { group.len() } else { ran.kept };
            ran.trouble = Some(trouble);
        }
        ran
    }

    /// An operation that is refused has mostly not written yet, and a savepoint costs a copy of each page that is
    /// changed under it: so there are none at first, and the group is begun anew `carefully` where one is missed.
    fn try_group(
        &self,
        session: &mut Option<Box<dyn Tx + Send>>,
        group: &mut Vec<Box<dyn Queued>>,
        ran: &mut Ran,
        carefully: bool,
    ) -> Result<Tried> {
        let tx = self.committer.session(session)?;
        tx.begin(Patience::Full)?;
        let mut tried = Ok(Tried::Committed);
        tx.repeatedly(&mut |tx| tried = self.try_in(tx, group, ran, carefully));
        tried
    }

    fn try_in(
        &self,
        tx: &mut dyn Tx,
        group: &mut Vec<Box<dyn Queued>>,
        ran: &mut Ran,
        carefully: bool,
    ) -> Result<Tried> {
        // Not the time that other processes had the file.
        let begun = Instant::now();
        let (mut seen, untouched) = (Seen::default(), tx.writes());
        let (now, ids) = (self.committer.now(), &*self.committer.ids);
        let (mut end, mut open, mut asked) = (group.len(), !carefully, false);
        loop {
            if ran.kept > 0 && !asked && begun.elapsed() > GROUP_TIME {
                (end, open) = (ran.kept, false);
            }
            if ran.kept == end && open {
                let more = self.more(end, begun);
                open = !more.is_empty();
                end += more.len();
                group.extend(more);
                continue;
            }
            if ran.kept == end {
                if asked {
                    break;
                }
                asked = true;
                let joined = (self.committer.join)(&ran.news);
                ran.joined += joined.len();
                end += joined.len();
                group.splice(ran.kept..ran.kept, joined);
                continue;
            }
            let operation = &mut group[ran.kept];
            ran.kept += 1;
            if carefully {
                tx.savepoint()?;
            }
            let written = tx.writes();
            let mut work = Work { tx, now, ids, news: News::default(), seen: &mut seen };
            match operation.run(&mut work) {
                Ok(()) => {
                    let news = std::mem::take(&mut work.news);
                    if carefully {
                        tx.keep()?;
                    }
                    ran.news.append(news);
                }
                Err(Error::Conflict) => return Err(Error::Conflict),
                Err(Error::Store(trouble)) if !matches!(trouble, store::Error::Corrupt(_)) => {
                    return Err(trouble.into());
                }
                // A broken row is the trouble of the one that meets it.
                Err(_) if carefully => {
                    tx.undo()?;
                    seen.forget_rows();
                }
                Err(error) if tx.writes() == written && !matches!(error, Error::Store(_)) => {}
                Err(_) => {
                    tx.rollback();
                    return Ok(Tried::WroteInVain);
                }
            }
            if tx.writes() == untouched {
                ran.apart = ran.kept;
            }
        }
        ran.news.flush(tx)?;
        if ran.kept > 1 {
            let sleepers = Arc::default();
            group[..ran.kept].iter().take(ALERTED_MAX).for_each(|operation| operation.alert(&sleepers));
            sleepers.wake_first();
        }
        tx.commit()?;
        Ok(Tried::Committed)
    }

    /// What came since the group of `have` operations was begun; nothing where it is to be closed.
    fn more(&self, have: usize, begun: Instant) -> Vec<Box<dyn Queued>> {
        while self.committer.waiting() == 0 {
            if have >= self.expected || begun.elapsed() > GATHER {
                return Vec::new();
            }
            // The callers need this core too.
            std::thread::yield_now();
        }
        let full = have >= GROUP_MAX || begun.elapsed() > GROWTH_TIME;
        if full { Vec::new() } else { self.committer.take_waiting() }
    }
}

/// How a try at a group ended.
enum Tried {
    Committed,
    /// An operation wrote and was refused then: all is undone.
    WroteInVain,
}

/// What became of a group.
#[derive(Default)]
struct Ran {
    /// How many operations were run, from the first; all, where the trouble came before any.
    kept: usize,
    /// How many of them, from the first, neither wrote nor came after one that did: what they gave is true without the
    /// commit.
    apart: usize,
    /// How many of them were asked to join, so that nobody waits for their callers.
    joined: usize,
    trouble: Option<Error>,
    news: News,
}
