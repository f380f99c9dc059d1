//! Maps and lists checked as arguments: names, labels, rows of a table, durations by job type, the growth of a delay.
//! It does not know which fields have them.

use super::check::{job_type, millis, number, text, tree, word};
use super::{Arg, Place, unknown_key};
use crate::api::error::Error;
use crate::api::shown::{kind_of, shown};
use crate::api::spelling::key_text;
use crate::job::{Growth, limits};
use crate::resource::NewRow;
use crate::value::{Value, edn};

pub fn words(value: &Value, place: &Place, each: impl Fn(&Value, &Place) -> Result<Arg, Error>) -> Result<Arg, Error> {
    let (Value::Vector(items) | Value::List(items) | Value::Set(items)) = value else {
        return Err(place.invalid(format!("is {}; allowed: a list of text", shown(value))));
    };
    if items.len() > limits::WORDS_MAX {
        return Err(place.invalid(format!("has {} entries; at most {} are allowed", items.len(), limits::WORDS_MAX)));
    }
    let mut words = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        match each(item, &place.index(index))? {
            Arg::Text(word) if !words.contains(&word) => words.push(word),
            _ => {}
        }
    }
    Ok(Arg::Words(words))
}

pub fn labels(value: &Value, max: usize, place: &Place) -> Result<Arg, Error> {
    let Value::Map(entries) = tree(value, limits::METADATA_MAX, place)? else {
        return Err(place.invalid(format!("is {}; allowed: a map of text to text", kind_of(value))));
    };
    if entries.len() > max {
        return Err(place.invalid(format!("has {} entries; at most {max} are allowed", entries.len())));
    }
    for (key, value) in &entries {
        let name = match key {
            Value::Str(_) => key,
            Value::Keyword(name) => &Value::str(&**name),
            other => return Err(place.invalid(format!("has the key {}; allowed: text or keywords", shown(other)))),
        };
        let place = place.given(key);
        text(name, 0, limits::KEY_MAX, &place)?;
        text(value, 0, limits::KEY_MAX, &place)?;
    }
    Ok(Arg::Open(edn::write(&Value::Map(entries)).into()))
}

/// Names of fields: a vector of texts or keywords, or a lone one.
pub fn names(value: &Value, max: usize, place: &Place) -> Result<Arg, Error> {
    let items = match value {
        Value::Vector(items) | Value::List(items) => items.as_slice(),
        lone => std::slice::from_ref(lone),
    };
    if items.len() > max {
        return Err(place.invalid(format!("has {} names; at most {max} are allowed", items.len())));
    }
    let mut names: Vec<String> = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let given = match item {
            Value::Keyword(name) => &Value::str(&**name),
            other => other,
        };
        let Arg::Text(name) = text(given, 1, limits::KEY_MAX, &place.index(index))? else {
            unreachable!("text is text")
        };
        if names.contains(&name) {
            return Err(place.invalid(format!("has \"{name}\" twice")));
        }
        names.push(name);
    }
    Ok(Arg::Names(names))
}

pub fn rows(value: &Value, max: usize, place: &Place) -> Result<Arg, Error> {
    let allowed = format!("allowed: 1 to {} maps", limits::TABLE_CALL_ROWS_MAX);
    let items = match tree(value, max, place)? {
        Value::Vector(items) | Value::List(items) => items,
        lone @ Value::Map(_) => vec![lone],
        other => return Err(place.invalid(format!("is {}; {allowed}", kind_of(&other)))),
    };
    if items.is_empty() || items.len() > limits::TABLE_CALL_ROWS_MAX {
        return Err(place.invalid(format!("has {} rows; {allowed}", items.len())));
    }
    let mut rows = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let place = place.index(index);
        if !matches!(item, Value::Map(_)) {
            return Err(place.invalid(format!("is {}; allowed: a map", kind_of(&item))));
        }
        let text = edn::write(&item);
        if text.len() > limits::TABLE_ROW_MAX {
            return Err(place.too_large(text.len(), limits::TABLE_ROW_MAX));
        }
        rows.push(NewRow { fields: item, text: text.into() });
    }
    Ok(Arg::Rows(rows))
}

/// How long each job type is kept: a map of types to durations.
pub fn keeps(value: &Value, place: &Place) -> Result<Arg, Error> {
    let Value::Map(entries) = tree(value, limits::METADATA_MAX, place)? else {
        return Err(place.invalid(format!("is {}; allowed: a map of job types to durations", kind_of(value))));
    };
    if entries.len() > limits::RETENTION_TYPES_MAX {
        let max = limits::RETENTION_TYPES_MAX;
        return Err(place.invalid(format!("has {} entries; at most {max} are allowed", entries.len())));
    }
    let mut keeps = Vec::with_capacity(entries.len());
    for (key, value) in &entries {
        let place = place.given(key);
        let given = match key {
            Value::Keyword(name) => Value::str(name.as_ref()),
            other => other.clone(),
        };
        match (job_type(&given, &place)?, millis(value, 1, limits::RETENTION_MAX_MS, &place)?) {
            (Arg::Text(job_type), Arg::Int(ms)) => keeps.push((job_type, ms)),
            _ => unreachable!("a job type is text, and milliseconds are a number"),
        }
    }
    Ok(Arg::Keeps(keeps))
}

pub fn backoff(value: &Value, place: &Place) -> Result<Arg, Error> {
    let entries = match value {
        Value::Map(entries) => entries,
        word => return growth(word, None, place).map(|growth| Arg::Growth(growth, None)),
    };
    let (mut kind, mut factor, mut max) = (Value::Nil, None, None);
    for (key, value) in entries {
        match key_text(key, place.names) {
            Some("type") => kind = value.clone(),
            Some("factor") => factor = Some(number(value, &place.key("factor"))?),
            Some("max") => match millis(value, 1, limits::WAIT_MAX_MS, &place.key("max"))? {
                Arg::Int(ms) => max = Some(ms),
                _ => unreachable!("milliseconds are a number"),
            },
            _ => return Err(unknown_key(place, key, ["type", "factor", "max"].into_iter())),
        }
    }
    growth(&kind, factor, &place.key("type")).map(|growth| Arg::Growth(growth, max))
}

fn growth(kind: &Value, factor: Option<f64>, place: &Place) -> Result<Growth, Error> {
    let word = word(kind, &["constant", "linear", "exponential"], place)?;
    Ok(match word {
        Arg::Text(word) if word == "linear" => Growth::Linear(factor.unwrap_or(1.0)),
        Arg::Text(word) if word == "exponential" => Growth::Exponential(factor.unwrap_or(2.0)),
        _ => Growth::Constant,
    })
}
