//! Whether the keys of a map and the elements of a set are distinct: by Clojure's `=`, and as keys of JSON.
//! It does not know where they were read.

use super::stream::Wrong;
use super::{Value, edn, json};
use std::borrow::Cow;
use std::collections::HashSet;

/// Refuses a set that has an element twice.
pub(super) fn distinct_elements(elements: &[Value]) -> Result<(), Wrong> {
    distinct_values(elements.iter(), "set", "element")
}

/// Refuses a map that has a key twice.
pub(super) fn distinct_keys(entries: &[(Value, Value)]) -> Result<(), Wrong> {
    distinct_values(entries.iter().map(|(key, _)| key), "map", "key")
}

fn distinct_values<'a>(
    values: impl ExactSizeIterator<Item = &'a Value> + Clone,
    whole: &str,
    part: &str,
) -> Result<(), Wrong> {
    if values.len() < 2 {
        return Ok(());
    }
    let keywords: Option<Vec<&str>> =
        values.clone().map(|v| if let Value::Keyword(k) = v { Some(&**k) } else { None }).collect();
    if let Some(names) = keywords {
        return match repeated(&names) {
            Some(index) => Err(twice(whole, part, &format!(":{}", names[index]))),
            None => Ok(()),
        };
    }
    let strings: Option<Vec<&str>> = values.clone().map(Value::as_str).collect();
    if let Some(strings) = strings {
        return match repeated(&strings) {
            Some(index) => Err(twice(whole, part, &format!("{:?}", strings[index]))),
            None => Ok(()),
        };
    }
    let texts: Vec<String> = values.map(edn::write).collect();
    let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
    distinct_texts(&texts, whole, part)
}

/// Refuses a set, given as the texts of its elements, that has one twice.
pub(super) fn distinct_element_texts(elements: &[&str]) -> Result<(), Wrong> {
    distinct_texts(elements, "set", "element")
}

/// Refuses a map, given as the texts of its keys, that has a key twice or two that would be one key as JSON.
pub(super) fn distinct_key_texts(keys: &[&str]) -> Result<(), Wrong> {
    distinct_texts(keys, "map", "key")?;
    // Keys of one of these kinds can only be the same JSON key where they are the same key.
    if one_kind(keys) {
        return Ok(());
    }
    let names: Vec<String> = keys.iter().map(|key| json_name(key)).collect();
    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
    let Some(second) = repeated(&names) else { return Ok(()) };
    let first = names.iter().position(|name| *name == names[second]).unwrap_or(second);
    Err(Wrong::new(format!(
        "keys {} and {} would be one key as JSON, give one another name",
        clip(keys[first]),
        clip(keys[second])
    )))
}

fn distinct_texts(texts: &[&str], whole: &str, part: &str) -> Result<(), Wrong> {
    if texts.len() < 2 {
        return Ok(());
    }
    let found = if one_kind(texts) {
        repeated(texts)
    } else {
        let canonical: Vec<Cow<str>> = texts.iter().map(|text| canonical_of(text)).collect();
        let canonical: Vec<&str> = canonical.iter().map(|text| &**text).collect();
        repeated(&canonical)
    };
    match found {
        Some(index) => Err(twice(whole, part, texts[index])),
        None => Ok(()),
    }
}

/// Whether all texts are keywords, or all strings: then equal values have equal texts.
fn one_kind(texts: &[&str]) -> bool {
    texts.iter().all(|text| text.starts_with(':')) || texts.iter().all(|text| text.starts_with('"'))
}

fn canonical_of(text: &str) -> Cow<'_, str> {
    if text.starts_with([':', '"', '\\']) {
        return text.into();
    }
    edn::canonical(text).map_or(text.into(), Cow::from)
}

fn json_name(text: &str) -> String {
    edn::read(text).map_or_else(|_| text.to_owned(), |key| json::key_name(&key))
}

/// The index of the first text that stood before already.
fn repeated(texts: &[&str]) -> Option<usize> {
    if texts.len() <= 12 {
        return (1..texts.len()).find(|&index| texts[..index].contains(&texts[index]));
    }
    let mut seen = HashSet::with_capacity(texts.len());
    texts.iter().position(|text| !seen.insert(*text))
}

fn twice(whole: &str, part: &str, text: &str) -> Wrong {
    Wrong::new(format!("{whole} has the {part} {} twice", clip(text)))
}

/// The text, cut to what a message can show.
pub(super) fn clip(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}
