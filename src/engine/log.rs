//! Keeps the store's log short, and tells where somebody keeps it from that.
//! It does not know what a log is made of.

use super::{Engine, Notice};

/// A log of more bytes is large: it takes a fourth of that before commits begin to empty it by themselves.
const LARGE_BYTES: u64 = 64 << 20;

/// What was told of the log.
#[derive(Default)]
pub struct LogTold {
    bytes: u64,
}

impl Engine {
    /// Empties a large log. Where it cannot be, says so: again only when it has doubled.
    pub fn shorten_log(&self, told: &mut LogTold) -> Option<Notice> {
        let bytes = self.store.log_bytes();
        if bytes <= LARGE_BYTES {
            told.bytes = 0;
            return None;
        }
        let notice = |event, message| Some(Notice { event, message });
        match self.store.shorten_log() {
            Ok(true) => None,
            Ok(false) if bytes < told.bytes.saturating_mul(2) => None,
            Ok(false) => {
                told.bytes = bytes;
                let text =
                    "a program has been reading one state of the store for long, which keeps all later ones in it";
                notice("log-large", format!("log of the store has {} MiB: {text}", bytes >> 20))
            }
            Err(error) => notice("log-failed", error.to_string()),
        }
    }
}
