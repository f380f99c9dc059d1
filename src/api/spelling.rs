//! How callers spell our names: in what they give and in what they are told, and which one a misspelt name meant.
//! It does not know which names there are.

use crate::job::limits;
use crate::value::{Value, camel};

/// How a caller spells names: in the arguments that it gives and in the errors that it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// `:job-type`
    Clojure,
    /// `jobType`
    Json,
    /// `--job-type`
    Flag,
}

/// How a caller spells a name of ours.
pub fn spell(name: &str, names: Names) -> String {
    match names {
        Names::Clojure => format!(":{name}"),
        Names::Json => camel(name),
        Names::Flag => format!("--{}", name.trim_end_matches('?')),
    }
}

/// A name of ours as a key of a caller's arguments.
pub fn spell_key(name: &'static str, names: Names) -> Value {
    match names {
        Names::Clojure => Value::key(name),
        Names::Json => Value::str(camel(name)),
        Names::Flag => Value::str(name),
    }
}

/// As `spell_key`, for a name that is known only now.
pub fn spelled(name: &str, names: Names) -> Value {
    match names {
        Names::Clojure => Value::Keyword(name.to_string().into()),
        Names::Json => Value::str(camel(name)),
        Names::Flag => Value::str(name),
    }
}

/// A name that a caller gives as a key.
pub fn key_text(key: &Value, names: Names) -> Option<&str> {
    match (key, names) {
        (Value::Keyword(name), Names::Clojure) => Some(name),
        (Value::Str(name), Names::Json | Names::Flag) => Some(name),
        _ => None,
    }
}

/// Whether a key is the name as it stands in the caller's maps; argv arrives with the kebab-case names.
pub fn is_plain(given: &str, name: &str, names: Names) -> bool {
    match names {
        Names::Clojure | Names::Flag => given == name,
        Names::Json => given == camel(name),
    }
}

/// The known name that was likely meant: the same but for its spelling, one that ends with what is given, or a near one.
pub fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Nobody meant that; to compare it would take long.
    if given.len() > limits::NAME_MAX {
        return None;
    }
    let bare = |name: &str| name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let wanted = bare(given);
    let rank = |name: &'a str| {
        let is_tail = || name.rsplit_once('-').is_some_and(|(_, tail)| bare(tail) == wanted);
        let distance = strsim::damerau_levenshtein(&wanted, &bare(name));
        let near = distance <= 1 + given.len() / 3;
        match (distance, near) {
            (0, _) => Some((0, 0, name)),
            _ if is_tail() => Some((1, 0, name)),
            (_, true) => Some((2, distance, name)),
            (_, false) => None,
        }
    };
    known.filter_map(rank).min().map(|(_, _, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_name_that_was_likely_meant_is_found() {
        let known = ["job-id", "job-type", "batch-id", "interval", "timeout", "max-attempts", "include-jobs?"];
        let found = |given| nearest(given, known.into_iter());
        for (given, meant) in [
            ("jobtype", "job-type"),
            ("job_id", "job-id"),
            ("jobId", "job-id"),
            ("type", "job-type"),
            ("attempts", "max-attempts"),
            ("include-jobs", "include-jobs?"),
            ("tiemout", "timeout"),
        ] {
            assert_eq!(found(given), Some(meant), "{given}");
        }
        assert_eq!(nearest("id", ["job-id", "interval"].into_iter()), Some("job-id"));
        assert_eq!(found("colour"), None);
    }
}
