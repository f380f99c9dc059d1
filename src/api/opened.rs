//! The stores that are open in this process: two that open one file share one engine. Who opens a file waits for who is
//! opening the same one, and for nobody else.
//! It does not run commands: `host.rs` does.

use super::embedded::OpenOptions;
use super::error::{Code, Error};
use super::host::Host;
use super::{remembered, sweep};
use crate::engine::{Engine, Notice, Settings};
use crate::resource::Blobs;
use crate::store::{Sqlite, SqliteOptions};
use crate::value::MapBuilder;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

/// Files that are open in this process, by device and inode.
static OPEN: Mutex<Vec<Opened>> = Mutex::new(Vec::new());

/// Files that are being opened, by path.
static TURNS: Mutex<Option<HashMap<PathBuf, Weak<Mutex<()>>>>> = Mutex::new(None);

struct Opened {
    file: (u64, u64),
    durable: bool,
    engine: Weak<Engine>,
    blobs: Arc<Blobs>,
}

/// Opens the store at `path` for callers that are named with each call.
pub fn open_host(path: &Path, options: &OpenOptions) -> Result<Arc<Host>, Error> {
    let turn = turn(path);
    let _turn = locked(&turn);
    if let Some(host) = shared(path, options)? {
        return Ok(host);
    }
    let sqlite = Sqlite::open(
        path,
        SqliteOptions {
            durable: options.durable,
            create: options.create,
            busy_timeout: Duration::from_millis(options.busy_timeout_ms),
            vfs: None,
        },
    )?;
    let path = sqlite.path().to_path_buf();
    let mut settings = settings(options);
    let known_blobs = Arc::new(OnceLock::new());
    settings.after_prune = sweep::after_prune(known_blobs.clone(), settings.tell.clone());
    let engine = Engine::start(Arc::new(sqlite), settings)?;
    remembered::remember_retention(&engine, options)?;
    let blobs = Arc::new(remembered::blobs(&engine, &path, options)?);
    let blobs = known_blobs.get_or_init(|| blobs).clone();
    if let Some(file) = file_id(&path) {
        let opened = Opened { file, durable: options.durable, engine: Arc::downgrade(&engine), blobs: blobs.clone() };
        locked(&OPEN).push(opened);
    }
    Ok(Arc::new(Host::new(engine, blobs, path)))
}

/// A handle to the engine that has the file already, where there is one.
fn shared(path: &Path, options: &OpenOptions) -> Result<Option<Arc<Host>>, Error> {
    let Some(file) = file_id(path) else { return Ok(None) };
    let known = {
        let mut open = locked(&OPEN);
        open.retain(|opened| opened.engine.strong_count() > 0);
        let opened = open.iter().find(|opened| opened.file == file);
        opened.and_then(|opened| Some((opened.engine.upgrade()?, opened.durable, opened.blobs.clone())))
    };
    let Some((engine, durable, blobs)) = known else { return Ok(None) };
    if durable != options.durable {
        let level = |durable| if durable { "full" } else { "normal" };
        return Err(Error::new(
            Code::InvalidArgument,
            format!(
                "database {} is open in this process with sync \"{}\"; it cannot be opened with \"{}\" too",
                path.display(),
                level(durable),
                level(options.durable)
            ),
        ));
    }
    remembered::remember_retention(&engine, options)?;
    remembered::refuse_other(&engine, path, options)?;
    Ok(Some(Arc::new(Host::new(engine, blobs, resolved(path)))))
}

/// What those who open the same file take one after the other.
fn turn(path: &Path) -> Arc<Mutex<()>> {
    let mut turns = locked(&TURNS);
    let turns = turns.get_or_insert_default();
    turns.retain(|_, turn| turn.strong_count() > 0);
    let path = resolved(path);
    if let Some(turn) = turns.get(&path).and_then(Weak::upgrade) {
        return turn;
    }
    let turn = Arc::default();
    turns.insert(path, Arc::downgrade(&turn));
    turn
}

fn file_id(path: &Path) -> Option<(u64, u64)> {
    path.metadata().ok().map(|found| (found.dev(), found.ino()))
}

/// The one name of a file, also of one that is to be made.
fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = folder.canonicalize().ok().zip(path.file_name());
        folder.map_or_else(|| path.to_path_buf(), |(folder, name)| folder.join(name))
    })
}

fn settings(options: &OpenOptions) -> Settings {
    let mut settings = Settings {
        fallback_poll: options.fallback_poll_ms.map(Duration::from_millis),
        prune_every: Duration::from_millis(options.prune_every_ms),
        ..Settings::default()
    };
    if let Some(sink) = options.on_event.clone() {
        settings.tell = Arc::new(move |notice: Notice| {
            sink(MapBuilder::new().put("event", notice.event).put("message", notice.message).build());
        });
    }
    settings
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
