//! Where a flag's value comes from: the argument itself, a file, standard input, the environment; JSON or EDN.
//! It does not know commands.

use crate::api::{Code, Error};
use crate::value::{Value, edn, json};
use clap::ArgMatches;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The most that is read of a file that a flag names: the largest batch fits.
const FILE_BYTES_MAX: u64 = 128 << 20;

/// An error about a flag or a file that was given.
pub fn wrong(text: String) -> Error {
    Error::new(Code::InvalidArgument, text)
}

/// A text that says in which form it is.
pub struct Text {
    /// The flag that gave it, for errors.
    pub flag: String,
    pub text: String,
    pub is_edn: bool,
}

/// The text of a flag, or of the file that its twin `--…-file` names; `-` is standard input.
pub fn text(matches: &ArgMatches, id: &str, flag: &str) -> Result<Option<Text>, Error> {
    let file_id = format!("{id}-file");
    let given = matches.try_get_one::<String>(id).ok().flatten();
    let file = matches.try_get_one::<PathBuf>(&file_id).ok().flatten();
    Ok(match (given, file) {
        (Some(text), _) => Some(Text { flag: format!("--{flag}"), text: text.clone(), is_edn: false }),
        (None, Some(path)) => Some(read_file(path, &format!("--{flag}-file"))?),
        (None, None) => None,
    })
}

/// Reads a file that a flag names.
pub fn read_file(path: &Path, flag: &str) -> Result<Text, Error> {
    let wrong = |problem: String| wrong(format!("{flag} \"{}\" {problem}", path.display()));
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
    };
    match read {
        Ok(length) if length as u64 > FILE_BYTES_MAX => Err(wrong(format!("is larger than {FILE_BYTES_MAX} bytes"))),
        Ok(_) => {
            let is_edn = path.extension().is_some_and(|extension| extension == "edn");
            Ok(Text { flag: format!("{flag} \"{}\"", path.display()), text, is_edn })
        }
        Err(e) => Err(wrong(format!("cannot be read: {e}"))),
    }
}

impl Text {
    /// The text as the caller's own data.
    pub fn open(&self) -> Result<Value, Error> {
        if !self.is_edn {
            return json::read_text(self.text.as_bytes()).map_err(|fault| self.malformed("JSON", &fault.message));
        }
        // Read by itself first: text that goes on after one value cannot add to the map around it.
        const NAME: &str = "value";
        let read = edn::read(&self.text).and_then(|_| edn::read_open(&format!("{{:{NAME} {}\n}}", self.text), &[NAME]));
        match read.map_err(|fault| self.malformed("EDN", &fault.message))?.get(NAME) {
            Some(value) => Ok(value.clone()),
            None => unreachable!("the map has the one key that was written"),
        }
    }

    /// The text as arguments of ours, in which what stands under a name in `open` is the caller's own data.
    pub fn ours(&self, open: &[&str]) -> Result<Value, Error> {
        let read = if self.is_edn { edn::read_open(&self.text, open) } else { json::read(self.text.as_bytes(), open) };
        let form = if self.is_edn { "EDN" } else { "JSON" };
        read.map(kebab).map_err(|fault| self.malformed(form, &fault.message))
    }

    /// The text as JSON, for what goes into files of a handler.
    pub fn json(&self) -> Result<serde_json::Value, Error> {
        serde_json::from_str(&self.text).map_err(|e| self.malformed("JSON", &e.to_string()))
    }

    fn malformed(&self, what: &str, problem: &str) -> Error {
        wrong(format!("{} is malformed {what}: {problem}", self.flag))
    }
}

/// Arguments of ours with their names as the command table has them.
fn kebab(value: Value) -> Value {
    match value {
        Value::Map(entries) => {
            Value::Map(entries.into_iter().map(|(key, value)| (kebab_key(key), kebab(value))).collect())
        }
        Value::Vector(items) => Value::Vector(items.into_iter().map(kebab).collect()),
        other => other,
    }
}

fn kebab_key(key: Value) -> Value {
    match key {
        Value::Keyword(name) => Value::str(name.as_ref()),
        Value::Str(name) => Value::str(kebab_name(&name)),
        other => other,
    }
}

/// The kebab-case twin of a camelCase name.
fn kebab_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// A secret from its flag, the file that its twin names, or the first of these variables that is set.
pub fn secret(matches: &ArgMatches, id: &str, variables: &[&str]) -> Result<Option<String>, Error> {
    let given = text(matches, id, id)?.map(|secret| secret.text.trim().to_owned());
    Ok(given.or_else(|| variables.iter().find_map(|name| super::place::variable(name))))
}

/// Splits `name=value`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a pair name=value is needed".into()),
    }
}

/// The value of a pair: JSON where it parses as JSON, else text.
pub fn pair_value(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// The pairs of a repeated flag, as JSON.
pub fn pairs(matches: &ArgMatches, id: &str) -> Vec<(String, serde_json::Value)> {
    let given = matches.try_get_many::<(String, String)>(id).ok().flatten().unwrap_or_default();
    given.map(|(name, value)| (name.clone(), pair_value(value))).collect()
}

/// A duration flag: `500ms`, `30s`, `2m`, `1h`, `1d`, or whole milliseconds; at most 366 days.
pub fn duration(text: &str) -> Result<Duration, String> {
    within(text, 366)
}

/// As `duration`, for how long something is kept.
pub fn keep(text: &str) -> Result<Duration, String> {
    let time = within(text, 3_660)?;
    if time.is_zero() { Err("a duration from 1ms on is needed".into()) } else { Ok(time) }
}

fn within(text: &str, days_max: u64) -> Result<Duration, String> {
    const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let scale = if unit.is_empty() { Some(1) } else { UNITS.iter().find(|(name, _)| *name == unit).map(|(_, ms)| *ms) };
    number
        .parse::<u64>()
        .ok()
        .zip(scale)
        .and_then(|(number, scale)| number.checked_mul(scale))
        .filter(|ms| *ms <= days_max * 86_400_000)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("a duration such as 500ms, 30s, 2m, 1h or 1d is needed, at most {days_max}d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_or_are_milliseconds() {
        for (text, ms) in
            [("500ms", 500), ("30s", 30_000), ("2m", 120_000), ("1h", 3_600_000), ("1d", 86_400_000), ("7", 7)]
        {
            assert_eq!(duration(text).unwrap().as_millis(), ms, "{text}");
        }
        for text in ["", "s", "-1s", "5 minutes", "1.5s", "99999999999999999999s", "367d", "31622400001ms"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(duration("366d"), duration("31622400000ms"));
        assert_eq!(
            duration("367d").unwrap_err(),
            "a duration such as 500ms, 30s, 2m, 1h or 1d is needed, at most 366d"
        );
        assert!(keep("3660d").is_ok() && keep("1ms").is_ok());
        assert!(keep("316224000001ms").is_err() && keep("0").is_err());
    }

    #[test]
    fn a_pair_value_is_json_where_it_parses_and_text_else() {
        assert_eq!(pair_value("3"), serde_json::json!(3));
        assert_eq!(pair_value("[1,\"a\"]"), serde_json::json!([1, "a"]));
        assert_eq!(pair_value("three"), serde_json::json!("three"));
        assert_eq!(pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(pair("=b").is_err() && pair("a").is_err());
    }
}
