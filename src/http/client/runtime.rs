//! The one thread on which every remote client of this process speaks: started by the first call, idle between calls.
//! It does not know what is said.

use crate::api::{Code, Error, spare_descriptors};
use std::io;
use std::sync::{Mutex, PoisonError, mpsc};
use tokio::runtime::{Builder, Handle};

/// File descriptors for the thread and a first connection.
const FILES: usize = 10;

static RUNNING: Mutex<Option<Handle>> = Mutex::new(None);

/// The handle by which work is given to the thread.
pub fn handle() -> Result<Handle, Error> {
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*running {
        return Ok(handle.clone());
    }
    let handle = start().map_err(|e| Error::new(Code::Unavailable, format!("client cannot start a thread: {e}")))?;
    *running = Some(handle.clone());
    Ok(handle)
}

fn start() -> io::Result<Handle> {
    spare_descriptors(FILES)?;
    let (tell, told) = mpsc::sync_channel(1);
    std::thread::Builder::new().name("errand-http".into()).spawn(move || {
        let built = Builder::new_current_thread().enable_all().thread_name("errand-http-names").build();
        match built {
            Err(error) => drop(tell.send(Err(error))),
            Ok(runtime) => {
                // Whoever started this thread waits for the handle.
                let _ = tell.send(Ok(runtime.handle().clone()));
                runtime.block_on(std::future::pending::<()>());
            }
        }
    })?;
    told.recv().unwrap_or_else(|_| Err(io::Error::other("it ended at once")))
}
