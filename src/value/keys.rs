//! Whether the keys of a map and the elements of a set are distinct: by Clojure's `=`, and as keys of JSON.
//! It does not know where they were read.

use super::stream::Wrong;
use super::{Value, edn};
use std::borrow::Cow;
use std::collections::HashSet;

/// Bytes that may be compared within one value where equal ones can be written in several ways. No value within the
/// limits of `job` has more: it bounds what sets in sets in sets can cost.
const COMPARED_MAX: usize = 128 << 20;

/// Counts what has been compared within one value, against its bound.
#[derive(Default)]
pub(super) struct Compared(usize);

impl Compared {
    fn add(&mut self, texts: &[&str]) -> Result<(), Wrong> {
        self.0 += texts.iter().map(|text| text.len()).sum::<usize>();
        if self.0 <= COMPARED_MAX {
            return Ok(());
        }
        Err(Wrong::too_large("value has too many sets and keys that are nested in one another"))
    }
}

/// Refuses a set that has an element twice.
pub(super) fn distinct_elements(elements: &[Value], compared: &mut Compared) -> Result<(), Wrong> {
    distinct_values(elements.iter(), "set", "element", compared)
}

/// Refuses a map that has a key twice.
pub(super) fn distinct_keys(entries: &[(Value, Value)], compared: &mut Compared) -> Result<(), Wrong> {
    distinct_values(entries.iter().map(|(key, _)| key), "map", "key", compared)
}

fn distinct_values<'a>(
    values: impl ExactSizeIterator<Item = &'a Value> + Clone,
    whole: &str,
    part: &str,
    compared: &mut Compared,
) -> Result<(), Wrong> {
    if values.len() < 2 {
        return Ok(());
    }
    let keyword = |value: &'a Value| if let Value::Keyword(name) = value { Some(&**name) } else { None };
    let names: Option<Vec<&str>> = values.clone().map(keyword).collect();
    let names = names.or_else(|| values.clone().map(Value::as_str).collect());
    let found = match names {
        Some(names) => repeated(&names),
        None => {
            let texts: Vec<String> = values.clone().map(edn::canonical_of).collect();
            let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
            compared.add(&texts)?;
            repeated(&texts)
        }
    };
    match found.and_then(|index| values.clone().nth(index)) {
        Some(value) => Err(twice(whole, part, &edn::write(value))),
        None => Ok(()),
    }
}

/// Refuses a set, given as the texts of its elements, that has one twice.
pub(super) fn distinct_element_texts(elements: &[&str], compared: &mut Compared) -> Result<(), Wrong> {
    distinct_texts(elements, "set", "element", compared)
}

/// Refuses a map, given as the texts of its keys, that has a key twice or two that would be one key as JSON.
pub(super) fn distinct_key_texts(keys: &[&str], compared: &mut Compared) -> Result<(), Wrong> {
    distinct_texts(keys, "map", "key", compared)?;
    // Keys of one of these kinds can only be the same JSON key where they are the same key.
    if one_kind(keys) {
        return Ok(());
    }
    let names: Vec<Cow<str>> = keys.iter().map(|key| json_name(key)).collect();
    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
    let Some(second) = repeated(&names) else { return Ok(()) };
    let first = names.iter().position(|name| *name == names[second]).unwrap_or(second);
    Err(Wrong::new(format!(
        "keys {} and {} would be one key as JSON, give one another name",
        clip(keys[first]),
        clip(keys[second])
    )))
}

fn distinct_texts(texts: &[&str], whole: &str, part: &str, compared: &mut Compared) -> Result<(), Wrong> {
    let found = if one_kind(texts) {
        repeated(texts)
    } else {
        compared.add(texts)?;
        let canonical: Vec<Cow<str>> = texts.iter().map(|text| canonical_text(text)).collect();
        let canonical: Vec<&str> = canonical.iter().map(|text| &**text).collect();
        repeated(&canonical)
    };
    match found {
        Some(index) => Err(twice(whole, part, texts[index])),
        None => Ok(()),
    }
}

/// Whether all texts are keywords, or all strings: then equal values have equal texts. So has a lone one.
fn one_kind(texts: &[&str]) -> bool {
    texts.len() < 2 || texts.iter().all(|text| text.starts_with(':')) || texts.iter().all(|text| text.starts_with('"'))
}

fn canonical_text(text: &str) -> Cow<'_, str> {
    let is_plain_int = || text.strip_prefix('-').unwrap_or(text).bytes().all(|b| b.is_ascii_digit());
    if text.starts_with([':', '"', '\\']) || is_plain_int() {
        return text.into();
    }
    // Its parts were compared when it was written: to do so again would double the work with every level.
    edn::read_checked(text).map_or(text.into(), |value| edn::canonical_of(&value).into())
}

/// Keywords and symbols lose the colon, strings their quotes and escapes; others are named by their text.
fn json_name(text: &str) -> Cow<'_, str> {
    match text.strip_prefix(':') {
        Some(name) => name.into(),
        None if text.starts_with('"') => match edn::read_checked(text) {
            Ok(Value::Str(name)) => name.into_string().into(),
            _ => text.into(),
        },
        None => text.into(),
    }
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
