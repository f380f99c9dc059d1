//! Values at the bounds of each kind of field and one over them, with what is said of those.

use errand::api::{Code, Field, Kind};
use errand::job::limits;
use errand::value::{MapBuilder, Value, edn};
use std::sync::Arc;

/// A value, and the error that it is where it is over a bound.
pub struct Case {
    pub what: String,
    pub value: Value,
    pub refused: Option<(Code, Vec<String>)>,
}

/// Every bound of a kind, from both sides.
pub fn cases(kind: Kind) -> Vec<Case> {
    match kind {
        Kind::Text(max) => [texts(max), vec![invalid("nothing", Value::str(""), "is empty")]].concat(),
        Kind::Message(max) => [texts(max), vec![fits("nothing", Value::str(""))]].concat(),
        Kind::JobType => job_types(),
        Kind::Int(min, max) => numbers(min, max, &format!("allowed: whole numbers from {min} to {max}"), &Value::Int),
        Kind::Millis(min, max) => durations(min, max),
        Kind::Open(max) => sized("bytes of EDN", max, Value::str),
        Kind::Labels(max) => labels(max),
        Kind::Jobs => jobs(),
        Kind::Words(words) => {
            counted(limits::WORDS_MAX, "entries; at most 100 are allowed", |_| Value::str(words[0]), Value::Vector)
        }
        Kind::JobTypes => {
            let of = |n| Value::str(format!("t{n}"));
            let nested = job_types().into_iter().map(|case| case.inside(|one| Value::Vector(vec![one])));
            let all = counted(limits::WORDS_MAX, "entries; at most 100 are allowed", of, Value::Vector);
            all.into_iter().chain(nested).collect()
        }
        Kind::Artifacts => artifacts(),
        Kind::Names(max) => names(max),
        Kind::Rows(max) => rows(max),
        Kind::Keeps => keeps(),
        Kind::Bool | Kind::Word(_) | Kind::Backoff | Kind::Instant => Vec::new(),
    }
}

/// Whether a value at its bound is too much to be stored with every run: `elsewhere` shows that it is taken.
pub fn is_elsewhere(field: &Field, value: &Value) -> bool {
    field.kind == Kind::Jobs && matches!(value, Value::Vector(jobs) if jobs.len() == 128)
}

impl Case {
    fn inside(self, put: impl Fn(Value) -> Value) -> Case {
        Case { value: put(self.value), ..self }
    }
}

impl Clone for Case {
    fn clone(&self) -> Case {
        Case { what: self.what.clone(), value: self.value.clone(), refused: self.refused.clone() }
    }
}

fn fits(what: &str, value: Value) -> Case {
    Case { what: what.into(), value, refused: None }
}

fn invalid(what: &str, value: Value, words: &str) -> Case {
    Case { what: what.into(), value, refused: Some((Code::InvalidArgument, vec![words.into()])) }
}

fn too_large(what: &str, value: Value, bytes: usize, max: usize) -> Case {
    let words = vec![format!("is {bytes} bytes of EDN; at most {max} are allowed")];
    Case { what: what.into(), value, refused: Some((Code::PayloadTooLarge, words)) }
}

/// A keyword of the test's own.
fn keyword(name: String) -> Value {
    Value::Keyword(name.into())
}

fn a(count: usize) -> String {
    "a".repeat(count)
}

fn texts(max: usize) -> Vec<Case> {
    let over = format!("is text of {} bytes; allowed: at most {max}", max + 1);
    // Bytes are counted, not characters.
    let wide = "é".repeat(max / 2);
    vec![
        fits("text", Value::str(a(max))),
        fits("wide text", Value::str(wide.clone())),
        invalid("text", Value::str(a(max + 1)), &over),
        invalid("wide text", Value::str(format!("{wide}a")), &over),
        invalid("a number", Value::Int(1), "is 1; allowed: text"),
    ]
}

fn job_types() -> Vec<Case> {
    let allowed = "allowed: text of 1 to 128 of A-Z a-z 0-9 . _ : / -";
    vec![
        fits("128 bytes", Value::str(a(limits::NAME_MAX))),
        fits("every mark", Value::str("azAZ09._:/-")),
        invalid("129 bytes", Value::str(a(limits::NAME_MAX + 1)), allowed),
        invalid("nothing", Value::str(""), allowed),
        invalid("another mark", Value::str("a b"), allowed),
    ]
}

fn numbers(min: i64, max: i64, words: &str, of: &dyn Fn(i64) -> Value) -> Vec<Case> {
    vec![
        fits("the least", of(min)),
        fits("the most", of(max)),
        invalid("one less", of(min - 1), words),
        invalid("one more", of(max + 1), words),
        invalid("the most of all", of(i64::MAX), words),
        invalid("the least of all", of(i64::MIN), words),
    ]
}

fn durations(min: i64, max: i64) -> Vec<Case> {
    let shown = errand::api::duration_text;
    let words = format!("allowed: \"{}\" to \"{}\"", shown(min), shown(max));
    let mut all = numbers(min, max, &words, &Value::Int);
    all.push(fits("the most as text", Value::str(format!("{max}ms"))));
    all.push(invalid("one more as text", Value::str(format!("{}ms", max + 1)), &words));
    all.push(invalid("more than a number holds", Value::str(format!("{}d", i64::MAX)), "allowed: a duration"));
    all
}

/// A value of exactly so many bytes of EDN, made of texts of any length, and one of one byte more.
fn sized(what: &str, max: usize, of: impl Fn(String) -> Value) -> Vec<Case> {
    let rest = max - edn::write(&of(String::new())).len();
    let (whole, over) = (of(a(rest)), of(a(rest + 1)));
    assert_eq!(edn::write(&whole).len(), max);
    vec![fits(what, whole), too_large(what, over, max + 1, max)]
}

fn counted(max: usize, words: &str, of: impl Fn(usize) -> Value, put: impl Fn(Vec<Value>) -> Value) -> Vec<Case> {
    let over = put((0..=max).map(&of).collect());
    vec![
        fits("as many as may be", put((0..max).map(&of).collect())),
        invalid("one too many", over, &format!("has {} {words}", max + 1)),
    ]
}

fn pairs(all: Vec<Value>) -> Value {
    Value::Map(all.into_iter().map(|key| (key, Value::str("v"))).collect())
}

fn labels(max: usize) -> Vec<Case> {
    let key = limits::KEY_MAX;
    let long = format!("is text of {} bytes; allowed: at most {key}", key + 1);
    let lone = |name: Value, value: String| Value::Map(vec![(name, Value::str(value))]);
    let words = format!("entries; at most {max} are allowed");
    let mut all = counted(max, &words, |n| Value::str(format!("l{n}")), pairs);
    all.extend([
        fits("a value", lone(Value::key("l"), a(key))),
        invalid("a value", lone(Value::key("l"), a(key + 1)), &long),
        fits("a name", lone(Value::str(a(key)), a(1))),
        invalid("a name", lone(Value::str(a(key + 1)), a(1)), &long),
        invalid("a name that is a keyword", lone(keyword(a(key + 1)), a(1)), &long),
    ]);
    let entry = |n: usize| (Value::str(format!("{n:0>key$}")), Value::str(a(key)));
    all.extend(sized("together", limits::METADATA_MAX, |rest| {
        Value::Map((0..63).map(entry).chain([(Value::str(rest), Value::Nil)]).map(text_only).collect())
    }));
    all
}

/// What is left over is shared by the name and the value of a label, neither of which may be longer than its bound.
fn text_only((name, value): (Value, Value)) -> (Value, Value) {
    match (&value, name.as_str()) {
        (Value::Nil, Some(rest)) => {
            let (name, value) = rest.split_at(rest.len() / 2);
            (Value::str(format!("x{name}")), Value::str(value))
        }
        _ => (name, value),
    }
}

fn jobs() -> Vec<Case> {
    let allowed = "jobs; allowed: 1 to 10000 maps of payload, metadata, max-attempts";
    let job = |name, value| Value::Vector(vec![MapBuilder::new().put(name, value).build()]);
    let mut all = counted(limits::BATCH_JOBS_MAX, allowed, |_| Value::Map(Vec::new()), Value::Vector);
    all.push(invalid("none", Value::Vector(Vec::new()), &format!("has 0 {allowed}")));
    all.extend(
        sized("", limits::PAYLOAD_MAX, Value::str).into_iter().map(|case| case.inside(|one| job("payload", one))),
    );
    all.extend(
        sized("", limits::METADATA_MAX, Value::str).into_iter().map(|case| case.inside(|one| job("metadata", one))),
    );
    all.extend(
        numbers(1, limits::ATTEMPTS_MAX, "allowed: whole numbers from 1 to 100", &Value::Int)
            .into_iter()
            .map(|case| case.inside(|one| job("max-attempts", one))),
    );
    let (whole, over) = (full_batch(0), full_batch(1));
    all.push(fits("together", whole));
    all.push(too_large("together", over, limits::BATCH_BYTES_MAX + 1, limits::BATCH_BYTES_MAX));
    all
}

/// 128 jobs with payloads of 1 MiB, and so many bytes of metadata more. The payload is there once.
pub fn full_batch(more: usize) -> Value {
    let payload: Arc<str> = format!("\"{}\"", a(limits::PAYLOAD_MAX - 2)).into();
    let mut jobs = vec![MapBuilder::new().put("payload", Value::Text(payload)).build(); 128];
    if let (Value::Map(last), 1..) = (&mut jobs[127], more) {
        last.push((Value::key("metadata"), Value::Text("1".repeat(more).into())));
    }
    Value::Vector(jobs)
}

fn artifacts() -> Vec<Case> {
    let lone = |name, value| Value::Vector(vec![MapBuilder::new().put(name, value).build()]);
    let key = limits::KEY_MAX;
    let of = |n| MapBuilder::new().put("label", format!("l{n}")).build();
    let mut all = counted(limits::ARTIFACTS_MAX, "artifacts; at most 1000 are allowed", of, Value::Vector);
    for name in ["kind", "label"] {
        all.push(fits(name, lone(name, Value::str(a(key)))));
        all.push(invalid(name, lone(name, Value::str(a(key + 1))), &format!("allowed: text of at most {key} bytes")));
    }
    let data = |text: String| MapBuilder::new().put("data", text).build();
    all.extend(
        sized("one", limits::DETAILS_MAX, data).into_iter().map(|case| case.inside(|one| Value::Vector(vec![one]))),
    );
    all.extend(sized("together", limits::OUTPUTS_MAX, |rest| {
        let large = (0..4).map(|n| MapBuilder::new().put("label", n.to_string()).put("data", a(240_000)).build());
        Value::Vector(large.chain([data(rest)]).collect())
    }));
    all
}

fn names(max: usize) -> Vec<Case> {
    let key = limits::KEY_MAX;
    let long = format!("is text of {} bytes; allowed: at most {key}", key + 1);
    let lone = |name| Value::Vector(vec![name]);
    let words = format!("names; at most {max} are allowed");
    let mut all = counted(max, &words, |n| Value::str(format!("n{n}")), Value::Vector);
    all.extend([
        fits("a name", lone(Value::str(a(key)))),
        invalid("a name", lone(Value::str(a(key + 1))), &long),
        fits("a keyword", lone(keyword(a(key)))),
        invalid("a keyword", lone(keyword(a(key + 1))), &long),
        invalid("nothing", lone(Value::str("")), "is empty"),
    ]);
    all
}

fn rows(max: usize) -> Vec<Case> {
    let allowed = "rows; allowed: 1 to 10000 maps";
    let row = |text: String| MapBuilder::new().put("a", text).build();
    let mut all = counted(limits::TABLE_CALL_ROWS_MAX, allowed, |_| Value::Map(Vec::new()), Value::Vector);
    all.push(invalid("none", Value::Vector(Vec::new()), &format!("has 0 {allowed}")));
    all.extend(
        sized("a row", limits::TABLE_ROW_MAX, row).into_iter().map(|case| case.inside(|one| Value::Vector(vec![one]))),
    );
    // What is too large is not read, so that it may be anything.
    let large: Vec<String> = (0..64).map(|_| format!("{{:a \"{}\"}}", a(limits::TABLE_ROW_MAX - 100))).collect();
    let head = format!("[{} {{:a \"", large.join(" "));
    let whole = format!("{head}{}\"}}]", a(max - head.len() - 3));
    assert_eq!(whole.len(), max);
    all.push(too_large("together", Value::Text(format!("{whole} ").into()), max + 1, max));
    all.push(fits("together", Value::Text(whole.into())));
    all
}

fn keeps() -> Vec<Case> {
    let most = limits::RETENTION_MAX_MS;
    let lone = |name: String, ms: i64| Value::Map(vec![(Value::str(name), Value::Int(ms))]);
    let days = |all: Vec<Value>| Value::Map(all.into_iter().map(|key| (key, Value::str("1d"))).collect());
    let of = |n| Value::str(format!("t{n}"));
    let mut all = counted(limits::RETENTION_TYPES_MAX, "entries; at most 1000 are allowed", of, days);
    all.extend([
        fits("a type", lone(a(limits::NAME_MAX), 1)),
        invalid("a type", lone(a(limits::NAME_MAX + 1), 1), "allowed: text of 1 to 128"),
    ]);
    let words = format!("allowed: \"1ms\" to \"{}\"", errand::api::duration_text(most));
    let times = numbers(1, most, &words, &|ms| lone("t".into(), ms));
    all.extend(times);
    let entry = |n: usize| (Value::str(format!("{n:0>128}")), Value::Int(1));
    all.extend(sized("together", limits::METADATA_MAX, |rest| {
        Value::Map((0..489).map(entry).chain([(Value::str(rest), Value::Int(1))]).collect())
    }));
    all
}
