//! What is told of a panic: where it was and what it said, without what looks like a key or a token. What a panic says
//! is made for us, of whatever was at hand. It does not decide where that is told.

use std::any::Any;
use std::panic::PanicHookInfo;

/// Characters of a message that are told: the rest is somebody's data.
const TOLD_MAX: usize = 500;
/// Lease tokens, keys and the secrets of uploads have so many digits of base 16 or more.
const SECRET_DIGITS: usize = 32;
/// Words after which a secret stands.
const MARKS: [&str; 3] = ["erk_", "Bearer ", "bearer "];
/// Variables whose values are secrets, whatever they look like.
const VARIABLES: [&str; 7] = [
    "ERRAND_API_KEY",
    "BREYTA_API_KEY",
    "BREYTA_TOKEN",
    "ERRAND_LEASE_TOKEN",
    "BREYTA_LEASE_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
];

/// What a panic says.
pub fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
    masked(text.unwrap_or("panic without a message"))
}

/// What a hook is told of a panic, and where it was.
pub fn panicked(panic: &PanicHookInfo) -> (String, String) {
    let place = panic.location().map_or("somewhere".into(), |at| format!("{}:{}", at.file(), at.line()));
    (panic_text(panic.payload()), place)
}

/// The beginning of a text, without the secrets in it.
pub fn masked(text: &str) -> String {
    let known = VARIABLES.iter().filter_map(|name| std::env::var(name).ok()).filter(|secret| secret.len() >= 4);
    let text = known.fold(text.to_owned(), |text, secret| text.replace(&secret, "…"));
    let text = without_digits(&MARKS.iter().fold(text, |text, mark| without_next(&text, mark)));
    match text.char_indices().nth(TOLD_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The text without the word after each mark.
fn without_next(text: &str, mark: &str) -> String {
    let mut parts = text.split(mark);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |told, part| {
        let end = part.find(|c: char| !(c.is_ascii_alphanumeric() || "-._~+/=".contains(c))).unwrap_or(part.len());
        format!("{told}{mark}…{}", &part[end..])
    })
}

/// The text without long runs of digits of base 16.
fn without_digits(text: &str) -> String {
    let mut told = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let run = &rest[start..];
        let length = run.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(run.len());
        told.push_str(&rest[..start]);
        told.push_str(if length < SECRET_DIGITS { &run[..length] } else { "…" });
        rest = &run[length..];
    }
    told + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_panic_says_is_told_without_keys_and_tokens() {
        let token = "0123456789abcdef0123456789abcdef";
        for (said, told) in [
            ("index out of bounds: the len is 3 but the index is 5".into(), None),
            ("job 01a20ae1-e5e7-724c-ab96-3974168b525a is gone".into(), None),
            (format!("lease {token} is over"), Some("lease … is over")),
            (format!("{{\"leaseToken\":\"{token}{token}\"}}"), Some("{\"leaseToken\":\"…\"}")),
            (format!("key erk_{token}_{token} and erk_x"), Some("key erk_… and erk_…")),
            ("\"authorization\": \"Bearer any-key.of+yours\"}".into(), Some("\"authorization\": \"Bearer …\"}")),
            ("é".into(), None),
        ] {
            assert_eq!(masked(&said), told.unwrap_or(&said));
        }
        assert_eq!(masked(&"é".repeat(600)), format!("{}…", "é".repeat(TOLD_MAX)));
    }

    #[test]
    fn a_message_may_be_of_any_kind() {
        assert_eq!(panic_text(&"plain"), "plain");
        assert_eq!(panic_text(&format!("made {}", 1)), "made 1");
        assert_eq!(panic_text(&7), "panic without a message");
    }
}
