//! Whether this process may open more files: asked before what would panic without them is begun.
//! It does not raise the limit: that is the user's to say, and what is started inherits it.

use std::fs::File;
use std::io;

/// Fails unless so many file descriptors are free at this moment.
pub fn spare(count: usize) -> io::Result<()> {
    let opened: io::Result<Vec<File>> = (0..count).map(|_| File::open("/dev/null")).collect();
    let Err(cause) = opened else { return Ok(()) };
    let text = format!("{count} more file descriptors are needed ({cause}); allow more, as with 'ulimit -n 1024'");
    Err(io::Error::new(cause.kind(), text))
}
