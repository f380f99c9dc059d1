//! One value checked against the kind of its field; here those that are one word, number or text.
//! It does not know which fields there are.

use super::artifacts::artifacts;
use super::collection::{backoff, keeps, labels, names, rows, words};
use super::jobs::jobs;
use super::{Arg, Place};
use crate::api::duration::{duration_ms, duration_text};
use crate::api::error::Error;
use crate::api::field::Kind;
use crate::api::shown::shown;
use crate::job::limits;
use crate::store::Text;
use crate::value::{Value, edn};

/// Checks one value.
pub fn check(kind: Kind, value: &Value, place: &Place) -> Result<Arg, Error> {
    match kind {
        Kind::Text(max) => text(value, 1, max, place),
        Kind::Message(max) => text(value, 0, max, place),
        Kind::JobType => job_type(value, place),
        Kind::Int(min, max) => int(value, min, max, place),
        Kind::Millis(min, max) => millis(value, min, max, place),
        Kind::Bool => match value {
            Value::Bool(flag) => Ok(Arg::Bool(*flag)),
            other => Err(place.invalid(format!("is {}; allowed: true, false", shown(other)))),
        },
        Kind::Word(words) => word(value, words, place),
        Kind::Open(max) => open(value, max, place).map(Arg::Open),
        Kind::Labels(max) => labels(value, max, place),
        Kind::Jobs => jobs(value, place),
        Kind::Artifacts => artifacts(value, place),
        Kind::Names(max) => names(value, max, place),
        Kind::Rows(max) => rows(value, max, place),
        Kind::Keeps => keeps(value, place),
        Kind::Backoff => backoff(value, place),
        Kind::Words(allowed) => words(value, place, |item, place| word(item, allowed, place)),
        Kind::JobTypes => words(value, place, job_type),
        Kind::Instant => instant(value, place),
    }
}

fn instant(value: &Value, place: &Place) -> Result<Arg, Error> {
    let ms = match value {
        Value::Inst(ms) => Some(*ms),
        // As a string of EDN: nothing that stands in the text ends it.
        Value::Str(text) => match edn::read(&format!("#inst {}", edn::write(&Value::Str(text.clone())))) {
            Ok(Value::Inst(ms)) => Some(ms),
            Ok(_) | Err(_) => None,
        },
        _ => None,
    };
    let told = || place.invalid(format!("is {}; allowed: an instant such as 2026-05-01T12:00:00Z", shown(value)));
    ms.map(Arg::Int).ok_or_else(told)
}

pub fn text(value: &Value, min: usize, max: usize, place: &Place) -> Result<Arg, Error> {
    match value {
        Value::Str(text) if text.len() >= min && text.len() <= max => Ok(Arg::Text(text.to_string())),
        Value::Str(text) if text.is_empty() => {
            Err(place.invalid(format!("is empty; allowed: text of 1 to {max} bytes")))
        }
        Value::Str(text) => Err(place.invalid(format!("is text of {} bytes; allowed: at most {max}", text.len()))),
        other => Err(place.invalid(format!("is {}; allowed: text", shown(other)))),
    }
}

pub fn job_type(value: &Value, place: &Place) -> Result<Arg, Error> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '/' | '-');
    match value {
        Value::Str(name) if !name.is_empty() && name.len() <= limits::NAME_MAX && name.chars().all(fits) => {
            Ok(Arg::Text(name.to_string()))
        }
        other => {
            let max = limits::NAME_MAX;
            Err(place.invalid(format!("is {}; allowed: text of 1 to {max} of A-Z a-z 0-9 . _ : / -", shown(other))))
        }
    }
}

fn int(value: &Value, min: i64, max: i64, place: &Place) -> Result<Arg, Error> {
    match value {
        Value::Int(int) if (min..=max).contains(int) => Ok(Arg::Int(*int)),
        other => Err(place.invalid(format!("is {}; allowed: whole numbers from {min} to {max}", shown(other)))),
    }
}

pub fn millis(value: &Value, min: i64, max: i64, place: &Place) -> Result<Arg, Error> {
    let ms = match value {
        Value::Int(ms) => Some(*ms),
        Value::Str(text) => duration_ms(text),
        _ => None,
    };
    match ms {
        Some(ms) if (min..=max).contains(&ms) => Ok(Arg::Int(ms)),
        Some(_) => Err(place.invalid(format!(
            "is {}; allowed: \"{}\" to \"{}\"",
            shown(value),
            duration_text(min),
            duration_text(max)
        ))),
        None => Err(place.invalid(format!(
            "is {}; allowed: a duration such as \"250ms\", \"10s\", \"5m\", \"1h\", \"1d\", or whole milliseconds",
            shown(value)
        ))),
    }
}

pub fn word(value: &Value, words: &[&str], place: &Place) -> Result<Arg, Error> {
    let given: Option<&str> = match value {
        Value::Str(text) => Some(text),
        Value::Keyword(name) => Some(name),
        _ => None,
    };
    match given.and_then(|given| words.iter().find(|word| **word == given)) {
        Some(word) => Ok(Arg::Text(word.to_string())),
        None => {
            let allowed: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
            Err(place.invalid(format!("is {}; allowed: {}", shown(value), allowed.join(", "))))
        }
    }
}

/// The caller's own data as text.
fn open(value: &Value, max: usize, place: &Place) -> Result<Text, Error> {
    let text: Text = match value {
        Value::Text(text) => text.clone(),
        other => edn::write(other).into(),
    };
    if text.len() > max { Err(place.too_large(text.len(), max)) } else { Ok(text) }
}

/// The caller's own data as a tree.
pub fn tree(value: &Value, max: usize, place: &Place) -> Result<Value, Error> {
    let text = open(value, max, place)?;
    edn::read(&text).map_err(|fault| place.invalid(fault.message))
}

pub fn number(value: &Value, place: &Place) -> Result<f64, Error> {
    let number = match value {
        Value::Int(int) => Some(*int as f64),
        Value::Double(double) => Some(*double),
        _ => None,
    };
    let fits = number.filter(|number| (1.0..=1_000.0).contains(number));
    fits.ok_or_else(|| place.invalid(format!("is {}; allowed: numbers from 1 to 1000", shown(value))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::spelling::Names;

    #[test]
    fn what_stands_around_an_instant_in_its_text_is_not_passed_over() {
        let place = Place::top(Names::Clojure, "expires-at");
        let read = |text: &str| check(Kind::Instant, &Value::str(text), &place);
        assert!(matches!(read("2026-05-01T12:00:00Z"), Ok(Arg::Int(1_777_636_800_000))));
        for text in
            ["2026-05-01T12:00:00Z\" ; \"", "2026-05-01T12:00:00Z\" #_\"never", "2026-05\\u002d01", " 2026-05-01"]
        {
            let told = read(text).err().map(|error| error.message);
            assert!(told.is_some_and(|told| told.contains("allowed: an instant")), "{text}");
        }
    }
}
