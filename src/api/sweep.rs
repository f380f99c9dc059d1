//! The bytes of files that no resource has any more: removed after the commits that made them so, and, should a crash
//! come between, later. It does not decide what is old.

use super::error::Error;
use crate::engine::{self, AfterPrune, Engine, Notice, Ownerless, Pruned, Tell};
use crate::resource::{self, Blobs};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How often bytes are looked for that a crash left behind.
const ORPHANS_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Removes resources that are over, what is left of those that are gone, and their bytes.
pub fn sweep(engine: &Engine, blobs: &Blobs) -> Result<Pruned, Error> {
    let pruned = engine.prune_resources()?;
    let mut after = Some(0);
    while let Some(noted) = after {
        let swept = engine.sweep(noted)?;
        after = swept.after;
        remove(engine, blobs, swept.ownerless)?;
    }
    Ok(pruned)
}

/// Removes the bytes that are nobody's; where somebody puts bytes just now, a later round does.
fn remove(engine: &Engine, blobs: &Blobs, ownerless: Ownerless) -> Result<(), Error> {
    let hashes: Vec<String> = ownerless.iter().map(|(_, hash)| hash.clone()).collect();
    let gone = if hashes.is_empty() { Vec::new() } else { blobs.remove(&hashes, |hash| is_used(engine, hash))? };
    let gone = ownerless.into_iter().filter(|(_, hash)| gone.contains(hash)).map(|(number, _)| number);
    Ok(engine.swept(gone.collect())?)
}

fn is_used(engine: &Engine, hash: &str) -> resource::Result<bool> {
    let used = engine.wanted().and_then(|()| engine.read(|rows, _| Ok(rows.is_hash_used(hash)?)));
    used.map_err(|error| resource::Error::Unavailable(error.to_string()))
}

/// What an engine does after each round of pruning, once it is known where the bytes are.
pub fn after_prune(blobs: Arc<OnceLock<Arc<Blobs>>>, tell: Tell) -> AfterPrune {
    let looked_at = Mutex::new(None::<Instant>);
    Arc::new(move |engine| {
        let Some(blobs) = blobs.get() else { return };
        let orphans = remove_orphans(engine, blobs, &looked_at);
        if let Err(error) = sweep(engine, blobs).and(orphans)
            && engine.wanted().is_ok()
        {
            tell(Notice { event: "prune-failed", message: error.message });
        }
    })
}

fn remove_orphans(engine: &Engine, blobs: &Blobs, looked_at: &Mutex<Option<Instant>>) -> Result<(), Error> {
    let mut looked_at = looked_at.lock().unwrap_or_else(PoisonError::into_inner);
    if looked_at.is_some_and(|at| at.elapsed() <= ORPHANS_EVERY) {
        return Ok(());
    }
    let removed = blobs.remove_orphans(|hash| is_used(engine, hash)).map_err(engine::Error::from)?;
    // Where somebody was just putting bytes, the next round looks.
    *looked_at = removed.map(|_| Instant::now());
    Ok(())
}
