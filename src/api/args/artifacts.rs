//! Artifacts as a worker reports them: maps with a kind, a label and what else they have, their known keys under our
//! names. It does not know what they describe.

use super::check::tree;
use super::{Arg, Place};
use crate::api::error::Error;
use crate::api::shown::shown;
use crate::job::limits;
use crate::store::{Artifact, Text};
use crate::value::{Value, camel, edn};

/// Names that an artifact's keys have with us; JSON gives their camelCase twins.
const ARTIFACT_KEYS: [&str; 15] = [
    "content-type",
    "resource-uri",
    "resource-label",
    "size-bytes",
    "table-id",
    "table-name",
    "rows-written",
    "row-count",
    "key-fields",
    "index-fields",
    "write-mode",
    "schema-mode",
    "job-id",
    "created-at",
    "ttl-seconds",
];

pub fn artifacts(value: &Value, place: &Place) -> Result<Arg, Error> {
    let items = match tree(value, limits::OUTPUTS_MAX, place)? {
        Value::Vector(items) | Value::List(items) => items,
        Value::Nil => Vec::new(),
        lone => vec![lone],
    };
    if items.len() > limits::ARTIFACTS_MAX {
        return Err(place.invalid(format!(
            "has {} artifacts; at most {} are allowed",
            items.len(),
            limits::ARTIFACTS_MAX
        )));
    }
    let each = items.into_iter().enumerate().map(|(index, item)| artifact(item, &place.index(index)));
    each.collect::<Result<_, _>>().map(Arg::Artifacts)
}

fn artifact(item: Value, place: &Place) -> Result<Artifact, Error> {
    let Value::Map(_) = &item else {
        return Err(place.invalid(format!("is {}; allowed: a map with kind, label and what else it has", shown(&item))));
    };
    let item = kebab_keys(item, &ARTIFACT_KEYS);
    let word = |name: &str| match item.get(name) {
        None | Some(Value::Nil) => Ok(None),
        Some(Value::Str(text)) if text.len() <= limits::KEY_MAX => Ok(Some(text.to_string())),
        Some(other) => {
            let max = limits::KEY_MAX;
            Err(place.key(name).invalid(format!("is {}; allowed: text of at most {max} bytes", shown(other))))
        }
    };
    let (kind, label) = (word("kind")?.unwrap_or_else(|| "artifact".into()), word("label")?);
    let text: Text = edn::write(&item).into();
    if text.len() > limits::DETAILS_MAX {
        return Err(place.too_large(text.len(), limits::DETAILS_MAX));
    }
    Ok(Artifact { kind, label, artifact: text })
}

/// A map whose keys are known names in camelCase, with those names.
pub fn kebab_keys(map: Value, known: &[&'static str]) -> Value {
    let Value::Map(entries) = map else { return map };
    let rename = |key: Value| match &key {
        Value::Keyword(given) => match known.iter().find(|name| camel(name) == **given) {
            Some(name) => Value::key(name),
            None => key,
        },
        _ => key,
    };
    Value::Map(entries.into_iter().map(|(key, value)| (rename(key), value)).collect())
}
