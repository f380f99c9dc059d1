//! Texts of one shape and growing size: reading eight times as much may not take much more than eight times as long.
//! Random inputs are too short to show what is quadratic.

use errand::value::{binary, edn, json};
use std::time::{Duration, Instant};

/// Name and the text of about `n` bytes.
type Shape = (&'static str, fn(usize) -> String);

const SMALL: usize = 16 << 10;
const GROWTH: usize = 8;
/// A sorted or hashed collection may cost a little more than its size; what is quadratic costs 64 times as much.
const ALLOWED: f64 = 40.0;
/// Faster than this nothing matters.
const NOTHING: Duration = Duration::from_millis(2);

fn many(n: usize, one: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for number in 0.. {
        if text.len() >= n {
            break;
        }
        text += &one(number);
    }
    text
}

const EDN: &[Shape] = &[
    ("integers", |n| format!("[{}]", "1 ".repeat(n / 2))),
    ("distinct set elements", |n| format!("#{{{}}}", many(n, |i| format!("{i} ")))),
    ("distinct vectors in a set", |n| format!("#{{{}}}", many(n, |i| format!("[{i}] ")))),
    ("distinct keys", |n| format!("{{{}}}", many(n, |i| format!(":k{i} 1 ")))),
    ("keys that are maps", |n| format!("{{{}}}", many(n, |i| format!("{{{i} {{}}}} 1 ")))),
    ("sets in sets", |n| format!("{}{}{}", "#{#{} ".repeat(90), many(n, |i| format!("[{i}] ")), "}".repeat(90))),
    ("maps as keys of maps", |n| format!("{}{}{}", "{{1 ".repeat(45), "2} ", "1}".repeat(45)).repeat(1 + n / 300)),
    ("deep and again", |n| format!("[{}]", format!("{}{} ", "[".repeat(90), "]".repeat(90)).repeat(n / 181))),
    ("tags", |n| format!("[{}]", format!("{}1 ", "#a ".repeat(90)).repeat(n / 272))),
    ("discards", |n| format!("{}1", "#_1 ".repeat(n / 4))),
    ("discards of discards", |n| format!("[{}]", "#_#_1 1 ".repeat(n / 8))),
    ("comments", |n| format!("{}1", ";c\n".repeat(n / 3))),
    ("metadata", |n| format!("[{}]", "^:a ^:b [] ".repeat(n / 11))),
    ("namespaced map", |n| format!("#:a{{{}}}", many(n, |i| format!(":k{i} 1 ")))),
    ("string", |n| format!("\"{}\"", "x".repeat(n))),
    ("escapes", |n| format!("\"{}\"", "\\u00e9".repeat(n / 6))),
    ("wide characters", |n| format!("\"{}\"", "😀".repeat(n / 4))),
    ("big integer", |n| "9".repeat(n)),
    ("big decimal", |n| format!("0.{}1M", "0".repeat(n))),
    ("double", |n| format!("0.{}1", "0".repeat(n))),
    ("keyword", |n| format!(":{}", "k".repeat(n))),
    ("radix numbers", |n| format!("[{}]", "36rZZZZZZZZZZZZZZZZZZZZ ".repeat(n / 24))),
    ("ratios", |n| format!("[{}]", "1234567890123456789/9876543210 ".repeat(n / 31))),
    ("unclosed", |n| "[[{:a (".repeat(n / 7)),
    ("malformed at its end", |n| format!("[{} @]", "1 ".repeat(n / 2))),
];

const JSON: &[Shape] = &[
    ("numbers", |n| format!("[{}1]", "1,".repeat(n / 2))),
    ("distinct keys", |n| format!("{{{}\"z\":1}}", many(n, |i| format!("\"k{i}\":1,")))),
    ("objects", |n| format!("[{}{{}}]", "{\"a\":{\"b\":1}},".repeat(n / 15))),
    ("deep and again", |n| format!("[{}1]", format!("{}{},", "[".repeat(90), "]".repeat(90)).repeat(n / 181))),
    ("string", |n| format!("\"{}\"", "\\u00e9x".repeat(n / 7))),
    ("digits", |n| "9".repeat(n)),
    ("fraction", |n| format!("0.{}", "3".repeat(n))),
    ("spaces", |n| format!("{}1", " ".repeat(n))),
];

fn fastest(work: impl Fn()) -> Duration {
    let timed = |_| {
        let begun = Instant::now();
        work();
        begun.elapsed()
    };
    (0..5).map(timed).min().unwrap_or_default()
}

/// Prints a line for each shape that grows too fast; how many there are.
pub fn run() -> usize {
    let mut slow = 0;
    let mut check = |form: &str, name: &str, text: fn(usize) -> String, work: &dyn Fn(&str)| {
        let (small, large) = (text(SMALL), text(SMALL * GROWTH));
        let (before, after) = (fastest(|| work(&small)), fastest(|| work(&large)));
        let growth = after.as_secs_f64() / before.as_secs_f64().max(1e-9);
        if after > NOTHING && growth > ALLOWED {
            slow += 1;
            eprintln!("shapes: {form}, {name}: {} bytes {before:?}, {} bytes {after:?}", small.len(), large.len());
        }
    };
    for (name, text) in EDN {
        check("EDN to values", name, *text, &|text| drop(edn::read(text)));
        check("EDN kept as text", name, *text, &|text| drop(edn::canonical(text)));
        check("binary form", name, *text, &|text| {
            if let Ok(value) = edn::read(text) {
                let mut bytes = Vec::new();
                binary::write(&value, &mut bytes);
                drop(binary::read(&bytes, &[]));
            }
        });
        check("JSON out", name, *text, &|text| {
            if let Ok(value) = edn::read(text) {
                drop(json::write(&value));
            }
        });
    }
    for (name, text) in JSON {
        check("JSON to values", name, *text, &|text| drop(json::read(text.as_bytes(), &[])));
        check("JSON kept as text", name, *text, &|text| drop(json::read_text(text.as_bytes())));
    }
    println!("fuzz shapes: {} cases, {slow} failures", EDN.len() * 4 + JSON.len() * 2);
    slow
}
