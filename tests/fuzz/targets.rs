//! What must hold of any bytes, one function for each way into the program. A panic is a finding.
//! Where the bytes come from is told elsewhere: the kept corpus (`mod.rs`), or the fuzzer (`fuzz/src/main.rs`).

use super::memory::peak;
use edn_format::{Keyword, Symbol, Value as Theirs};
use errand::value::{Value, binary, edn, json};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// Checks one input.
pub type Target = fn(&[u8]);

/// Every target but HTTP, which needs a server.
pub const TARGETS: &[(&str, Target)] =
    &[("edn-text", edn_text), ("binary", binary_form), ("json", json_text), ("args", args), ("result", result)];

/// A value may take so much memory for each byte of its text: a small integer takes two bytes as text, the place of a
/// value in memory, and as much again while a collection grows or is compared.
const MEMORY_PER_BYTE: usize = 512;
const MEMORY_AT_LEAST: usize = 64 << 10;

/// Runs a reader whose memory may grow with its input and no faster.
fn bounded<T>(input: usize, read: impl FnOnce() -> T) -> T {
    let (given, used) = peak(read);
    let allowed = MEMORY_AT_LEAST + MEMORY_PER_BYTE * input;
    assert!(used <= allowed, "{input} bytes of input took {used} bytes of memory");
    given
}

fn edn_text(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    // What a caller's own data goes through: kept as text, never built.
    let open = format!("{{:payload {text}\n}}");
    if let Ok(read) = bounded(open.len(), || edn::read_open(&open, &["payload"])) {
        let written = edn::write(&read);
        assert_eq!(edn::write(&edn::read_open(&written, &["payload"]).expect("our text is EDN")), written);
    }
    let canonical = bounded(text.len(), || edn::canonical(text));
    match bounded(text.len(), || edn::read(text)) {
        Ok(value) => {
            holds_in_every_form(&value);
            if let Ok(canonical) = canonical {
                assert_eq!(edn::canonical(&canonical), Ok(canonical.clone()), "of {text:?}");
                assert_eq!(edn::canonical(&edn::write(&value)), Ok(canonical), "of {text:?}");
            }
        }
        Err(fault) => assert!(canonical.is_err(), "{fault} in {text:?}, which has a canonical form"),
    }
}

fn binary_form(input: &[u8]) {
    let _ = bounded(input.len(), || binary::read(input, &["payload", "metadata"]));
    if let Ok(value) = bounded(input.len(), || binary::read(input, &[])) {
        holds_in_every_form(&value);
    }
}

/// Text and bytes give back what they were made from, and `edn-format` reads what it can read alike.
fn holds_in_every_form(value: &Value) {
    let text = edn::write(value);
    let again = edn::read(&text).unwrap_or_else(|fault| panic!("{fault} in our own text {text:?}"));
    assert_eq!(edn::write(&again), text);
    let mut bytes = Vec::new();
    binary::write(value, &mut bytes);
    let back = binary::read(&bytes, &[]).unwrap_or_else(|fault| panic!("{fault} in our own bytes of {text:?}"));
    assert_eq!(edn::write(&back), text);
    if let Some(theirs) = theirs(value) {
        assert_eq!(edn_format::parse_str(&text).ok(), Some(theirs), "{text:?} to edn-format");
    }
    let kept = Value::Map(vec![(Value::key("payload"), Value::Text(text.as_str().into()))]);
    let written = json::write(&kept);
    let read: serde_json::Value =
        serde_json::from_str(&written).unwrap_or_else(|error| panic!("{error} in our own JSON {written}"));
    let pretty: serde_json::Value = serde_json::from_str(&json::write_pretty(&kept)).expect("our own JSON is JSON");
    assert_eq!(read, pretty);
}

/// The value as `edn-format` has it, where it is right: no floats, no sets, no names or strings out of the ordinary.
fn theirs(value: &Value) -> Option<Theirs> {
    let all = |items: &[Value]| items.iter().map(theirs).collect::<Option<Vec<_>>>();
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase());
    Some(match value {
        Value::Nil => Theirs::Nil,
        Value::Bool(value) => Theirs::Boolean(*value),
        Value::Int(value) => Theirs::Integer(*value),
        Value::Str(text) if !text.contains(['\u{8}', '\u{c}']) => Theirs::String(text.to_string()),
        Value::Keyword(name) if plain(name) => Theirs::Keyword(Keyword::from_name(name)),
        Value::Symbol(name) if plain(name) => Theirs::Symbol(Symbol::from_name(name)),
        Value::Vector(items) => Theirs::Vector(all(items)?),
        Value::List(items) => Theirs::List(all(items)?),
        Value::Map(entries) => {
            let entry = |(key, value): &(Value, Value)| Some((theirs(key)?, theirs(value)?));
            Theirs::Map(entries.iter().map(entry).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

fn json_text(input: &[u8]) {
    let theirs = serde_json::from_slice::<serde_json::Value>(input);
    let ours = bounded(input.len(), || json::read(input, &[]));
    match (&ours, &theirs) {
        (Ok(value), Ok(theirs)) => {
            let written = json::write(value);
            let back: serde_json::Value = serde_json::from_str(&written).expect("our own JSON is JSON");
            assert!(alike(&back, theirs), "{theirs} became {back}");
            let again = json::read(written.as_bytes(), &[]).expect("we read our own JSON");
            assert_eq!(json::write(&again), written);
        }
        (Ok(_), Err(error)) => panic!("{error} in what we take for JSON: {:?}", String::from_utf8_lossy(input)),
        (Err(fault), Ok(_)) => {
            // The only JSON that is not taken.
            let known = ["twice", "nested", "deep", "double", "surrogate", "duplicate"];
            assert!(known.iter().any(|word| fault.message.contains(word)), "JSON is refused: {fault}");
        }
        (Err(_), Err(_)) => {}
    }
    let _ = bounded(input.len(), || json::read(input, &["payload", "jobs"]));
    if let Ok(Value::Text(text)) = bounded(input.len(), || json::read_text(input)) {
        let value = edn::read(&text).unwrap_or_else(|fault| panic!("{fault} in the EDN {text:?} of JSON"));
        holds_in_every_form(&value);
    }
}

/// Whether two JSON values are the same but for how their numbers are written.
fn alike(one: &serde_json::Value, other: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Number, Object};
    match (one, other) {
        (Number(one), Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Array(one), Array(other)) => one.len() == other.len() && one.iter().zip(other).all(|(a, b)| alike(a, b)),
        (Object(one), Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| alike(value, other)))
        }
        (one, other) => one == other,
    }
}

/// One argument a line, after the program's name.
fn args(input: &[u8]) {
    let argv: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    // What is read from a file or from standard input is not an argument.
    if argv.iter().any(|arg| arg.windows(5).any(|part| part == b"-file")) {
        return;
    }
    let argv = argv.into_iter().map(|arg| OsString::from_vec(arg.to_vec()));
    if let Err(said) = errand::cli::check(std::iter::once(OsString::from("errand")).chain(argv)) {
        assert!(!said.trim().is_empty(), "arguments are refused without a word");
    }
}

/// A result file, after one byte with the handler's exit status.
fn result(input: &[u8]) {
    let Some((code, bytes)) = input.split_first() else { return };
    let (command, args) = errand::worker::reported(bytes, i32::from(*code))
        .unwrap_or_else(|error| panic!("nothing can be reported of {:?}: {error:?}", String::from_utf8_lossy(bytes)));
    assert!(["jobs.complete", "jobs.fail"].contains(&command));
    assert!(*code == 0 || command == "jobs.fail", "exit status {code} became {command}");
    assert!(edn::read(&edn::write(&args)).is_ok());
}
