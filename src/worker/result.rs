//! `result.json` as a handler left it: read with bounds, and edited atomically by the helpers.
//! It does not decide what is reported.

use crate::api::nearest;
use crate::value::json;
use rustix::fs::OFlags;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The most that is read of a result: outputs, metrics, details and artifacts at their limits fit.
pub const RESULT_BYTES_MAX: u64 = 16 << 20;

const COMPLAINTS_MAX: usize = 5;

/// The statuses that a result may have.
pub const STATUSES: [&str; 5] = ["succeeded", "no_changes", "cancelled", "failed", "timed_out"];

/// What stands in the result file.
#[derive(Debug, PartialEq)]
pub enum Found {
    /// No file, or an empty one.
    Nothing,
    Object(Map<String, Value>),
    /// Something else; the text says what is wrong with it.
    Broken(String),
}

/// The keys that a result may have.
pub const KEYS: [&str; 10] =
    ["status", "summary", "outputs", "metrics", "artifacts", "workerInfo", "message", "code", "details", "retryable"];

impl Found {
    /// What is to be said of keys that nobody reads.
    pub fn complaints(&self) -> Vec<String> {
        let Found::Object(object) = self else { return Vec::new() };
        let unknown = object.keys().filter(|key| !KEYS.contains(&key.as_str()));
        let said = |key: &String| {
            let meant = nearest(key, KEYS.into_iter());
            let hint = meant.map(|name| format!("; did you mean \"{name}\"?")).unwrap_or_default();
            format!("result.json has the unknown key {}, ignored{hint}", Value::from(key.as_str()))
        };
        unknown.map(said).take(COMPLAINTS_MAX).collect()
    }
}

/// Reads a result file, whatever a handler may have put in its place.
pub fn read(path: &Path) -> Found {
    match bytes(path) {
        Ok(bytes) => parse(&bytes),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Found::Nothing,
        Err(e) => Found::Broken(format!("result.json cannot be read: {e}")),
    }
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    // Not to wait on a pipe that stands in place of the file.
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = File::options().read(true).custom_flags(nonblocking).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    file.take(RESULT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > RESULT_BYTES_MAX {
        return Err(io::Error::other(format!("it is larger than {RESULT_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

/// What the bytes of a result file say.
pub fn parse(bytes: &[u8]) -> Found {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Found::Nothing;
    }
    let object = match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => object,
        Ok(other) => return Found::Broken(format!("result.json holds {}, a JSON object is needed", kind(&other))),
        Err(e) => return Found::Broken(format!("result.json is not JSON: {e}")),
    };
    // Ours is the stricter reader: depth and keys that stand twice.
    if let Err(fault) = json::read(bytes, super::calls::OPEN) {
        return Found::Broken(format!("result.json is refused: {}", fault.message));
    }
    match object.get("status") {
        None => Found::Object(object),
        Some(Value::String(status)) if STATUSES.contains(&status.as_str()) => Found::Object(object),
        Some(other) => {
            Found::Broken(format!("result.json has the status {other}, allowed are {}", STATUSES.join(", ")))
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Changes the result file in one step; helpers that run at the same time take turns.
pub fn edit(path: &Path, change: impl FnOnce(&mut Map<String, Value>)) -> io::Result<()> {
    let Some(folder) = path.parent() else { return Err(io::Error::other("result file has no folder")) };
    let turn = File::open(folder)?;
    turn.lock()?;
    let mut object = match read(path) {
        Found::Nothing => Map::new(),
        Found::Object(object) => object,
        Found::Broken(problem) => return Err(io::Error::other(problem)),
    };
    change(&mut object);
    let mut text = serde_json::to_vec_pretty(&object)?;
    text.push(b'\n');
    replace(folder, path, &text)
}

fn replace(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = folder.join(format!(".result-{}.json", uuid::Uuid::new_v4().simple()));
    let written = super::folder::write_private(&draft, bytes).and_then(|()| std::fs::rename(&draft, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::Mode;
    use std::io::Write;

    fn found(text: &str) -> Found {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result.json");
        File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        read(&path)
    }

    #[test]
    fn an_absent_or_empty_file_is_nothing() {
        assert_eq!(read(Path::new("/nonexistent/result.json")), Found::Nothing);
        assert_eq!(found(""), Found::Nothing);
        assert_eq!(found(" \n"), Found::Nothing);
    }

    #[test]
    fn what_is_no_object_is_broken() {
        for text in ["[]", "3", "\"x\"", "{", "{\"status\": \"done\"}", "{\"status\": 1}", "{\"a\":1,\"a\":2}", "null"]
        {
            assert!(matches!(found(text), Found::Broken(_)), "{text}");
        }
        assert!(matches!(
            found(&format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000))),
            Found::Broken(_)
        ));
    }

    #[test]
    fn a_file_over_the_bound_a_folder_and_a_pipe_are_broken() {
        let folder = tempfile::tempdir().unwrap();
        let huge = folder.path().join("huge");
        let padded = |bytes: u64| format!("{{}}{}", " ".repeat(bytes as usize - 2));
        std::fs::write(&huge, padded(RESULT_BYTES_MAX)).unwrap();
        assert!(matches!(read(&huge), Found::Object(_)));
        std::fs::write(&huge, padded(RESULT_BYTES_MAX + 1)).unwrap();
        let Found::Broken(told) = read(&huge) else { panic!("it is over the bound") };
        assert_eq!(told, "result.json cannot be read: it is larger than 16777216 bytes");
        assert!(matches!(read(folder.path()), Found::Broken(_)));
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert!(matches!(read(&pipe), Found::Broken(_)));
    }

    #[test]
    fn unknown_keys_are_complained_about_with_the_one_that_was_meant() {
        let found = found("{\"sumary\": \"s\", \"status\": \"succeeded\", \"zzzzzz\": 1}");
        let expected = [
            "result.json has the unknown key \"sumary\", ignored; did you mean \"summary\"?",
            "result.json has the unknown key \"zzzzzz\", ignored",
        ];
        assert_eq!(found.complaints(), expected);
        assert_eq!(Found::Nothing.complaints(), Vec::<String>::new());
    }

    #[test]
    fn an_edit_keeps_what_it_does_not_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result.json");
        edit(&path, |object| {
            object.insert("artifacts".into(), serde_json::json!([{"kind": "kv"}]));
        })
        .unwrap();
        edit(&path, |object| {
            object.insert("status".into(), "succeeded".into());
        })
        .unwrap();
        let Found::Object(object) = read(&path) else { panic!("the result is an object") };
        assert_eq!(Value::Object(object), serde_json::json!({"artifacts": [{"kind": "kv"}], "status": "succeeded"}));
    }
}
