//! libFuzzer over the targets of `tests/fuzz`; `FUZZ_TARGET` chooses one. `tests/fuzz.sh` (`make fuzz`) runs them all.
//! `edn-told` is no target: it prints what each text is read as, for `clojure.edn` to compare; `shapes` times readers.

#![no_main]

#[path = "../../tests/fuzz/live.rs"]
mod live;
#[path = "../../tests/fuzz/memory.rs"]
mod memory;
mod shapes;
#[path = "../../tests/fuzz/targets.rs"]
mod targets;

use errand::value::edn;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

type Run = Box<dyn Fn(&[u8]) + Send + Sync>;

static CHOSEN: OnceLock<Run> = OnceLock::new();

/// How often the server is asked whether it is well.
const LOOK: u64 = 64;

libfuzzer_sys::fuzz_target!(init: choose(), |input: &[u8]| {
    if let Some(run) = CHOSEN.get() {
        run(input);
    }
});

fn choose() {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let run: Run = match name.as_str() {
        "http" => http(),
        "edn-told" => Box::new(tell),
        "shapes" => std::process::exit(i32::from(shapes::run() > 0)),
        _ => match targets::TARGETS.iter().find(|(target, _)| *target == name) {
            Some((_, target)) => Box::new(*target),
            None => panic!("FUZZ_TARGET {name:?} is unknown"),
        },
    };
    let _ = CHOSEN.set(run);
}

fn http() -> Run {
    let (live, count) = (live::Live::start(true), AtomicU64::new(0));
    Box::new(move |input| {
        live.take(input, Duration::from_millis(3));
        if count.fetch_add(1, Ordering::Relaxed) % LOOK == 0 {
            live.assert_well();
        }
    })
}

/// A line with the text in hex and what it is read as: its own text, or `-` where it is refused, and why.
fn tell(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
    // As one element of a vector, so that nothing at all is a value, too.
    match edn::read(&format!("[{text}\n]")) {
        Ok(value) => {
            let shown: String = edn::write(&value).bytes().map(|byte| format!("{byte:02x}")).collect();
            println!("TOLD {hex} {shown}");
        }
        Err(fault) => println!("TOLD {hex} - {}", fault.message.replace('\n', " ")),
    }
}
