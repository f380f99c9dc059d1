//! Panics that a test asks for, to see that every entry catches them and that they tell no secret: those that
//! `ERRAND_PANIC` names, each once. What is built for release has none of it. It does not know who may panic.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The variable: names of wires, with commas between them.
const VARIABLE: &str = "ERRAND_PANIC";

static ANY: AtomicBool = AtomicBool::new(false);
static ARMED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Arms what the environment names.
pub fn arm() {
    if !cfg!(debug_assertions) {
        return;
    }
    let Ok(names) = std::env::var(VARIABLE) else { return };
    let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
    armed.extend(names.split(',').map(String::from));
    ANY.store(true, Ordering::Relaxed);
}

/// Panics where this was asked for and has not happened yet.
pub fn wire(name: &str) {
    if !cfg!(debug_assertions) || !ANY.load(Ordering::Relaxed) {
        return;
    }
    if disarmed(name) {
        panic!("panic at {name}, as {VARIABLE} asks for");
    }
}

/// Whether it was armed; it is not any more.
fn disarmed(name: &str) -> bool {
    let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
    let at = armed.iter().position(|other| other == name);
    at.map(|at| armed.swap_remove(at)).is_some()
}

/// As `wire`; the panic says what is at hand there.
pub fn wire_telling(name: &str, what: impl FnOnce() -> String) {
    if !cfg!(debug_assertions) || !ANY.load(Ordering::Relaxed) {
        return;
    }
    if disarmed(name) {
        panic!("panic at {name}, as {VARIABLE} asks for, with {}", what());
    }
}

/// As `wire`, for the part of an entry that is JNI's: `entry outside`.
pub fn wire_outside(entry: &str) {
    if cfg!(debug_assertions) && ANY.load(Ordering::Relaxed) {
        wire(&format!("{entry} outside"));
    }
}
