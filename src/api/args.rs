//! Arguments: a caller's map checked against a command's fields. Every surface's mistakes are told here, in the
//! caller's own names. It does not know what the commands do with them.

use super::command::{Command, Field, Kind, Names};
use super::error::{Code, Error};
use crate::engine::NewJob;
use crate::job::{Growth, limits};
use crate::resource::NewRow;
use crate::store::{Artifact, Text};
use crate::value::{MapBuilder, Value, camel, edn};
use std::fmt::Display;

/// A checked argument.
#[derive(Clone, Debug)]
pub enum Arg {
    Text(String),
    Int(i64),
    Bool(bool),
    Open(Text),
    Jobs(Vec<NewJob>),
    Artifacts(Vec<Artifact>),
    Names(Vec<String>),
    Rows(Vec<NewRow>),
    Keeps(Vec<(String, i64)>),
    Growth(Growth, Option<i64>),
    Words(Vec<String>),
}

impl Arg {
    fn to_value(&self) -> Value {
        match self {
            Arg::Text(text) => Value::str(text.as_str()),
            Arg::Int(int) => Value::Int(*int),
            Arg::Bool(flag) => Value::Bool(*flag),
            Arg::Open(text) => Value::Text(text.clone()),
            Arg::Words(words) => Value::Vector(words.iter().map(|word| Value::str(word.as_str())).collect()),
            Arg::Jobs(jobs) => Value::Vector(jobs.iter().map(job_value).collect()),
            Arg::Artifacts(all) => Value::Vector(all.iter().map(|one| Value::Text(one.artifact.clone())).collect()),
            Arg::Names(names) => Value::Vector(names.iter().map(|name| Value::str(name.as_str())).collect()),
            Arg::Rows(rows) => Value::Vector(rows.iter().map(|row| Value::Text(row.text.clone())).collect()),
            Arg::Keeps(keeps) => {
                Value::Map(keeps.iter().map(|(name, ms)| (Value::str(name.as_str()), Value::Int(*ms))).collect())
            }
            Arg::Growth(growth, max) => growth_value(*growth, *max),
        }
    }
}

fn job_value(job: &NewJob) -> Value {
    MapBuilder::new()
        .put_some("payload", job.payload.clone().map(Value::Text))
        .put_some("metadata", job.metadata.clone().map(Value::Text))
        .put_some("max-attempts", job.max_attempts)
        .build()
}

fn growth_value(growth: Growth, max: Option<i64>) -> Value {
    let (kind, factor) = match growth {
        Growth::Constant => ("constant", None),
        Growth::Linear(factor) => ("linear", Some(factor)),
        Growth::Exponential(factor) => ("exponential", Some(factor)),
    };
    MapBuilder::new().put("type", kind).put_some("factor", factor.map(Value::Double)).put_some("max", max).build()
}

/// The checked arguments of one call.
pub struct Args {
    values: Vec<(&'static str, Arg)>,
}

impl Args {
    /// Checks `args` against the fields of `command`.
    pub fn read(command: &Command, args: &Value, names: Names) -> Result<Args, Error> {
        Args::of(format_args!("arguments of {}", command.name), command.fields, args, names)
    }

    /// Checks what a caller gives by name against fields; `what` it is begins an error.
    pub fn of(what: impl Display, fields: &'static [Field], args: &Value, names: Names) -> Result<Args, Error> {
        let Value::Map(entries) = args else {
            return Err(invalid(format!("{what} are {}; allowed: a map", kind_of(args))));
        };
        let mut values = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let field = find(fields, key, names)?;
            if matches!(value, Value::Nil)
                && !(matches!(field.kind, Kind::Open(_)) && matches!(field.name, "payload" | "value"))
            {
                continue;
            }
            let place = Place::top(names, field.name);
            values.push((field.name, check(field.kind, value, &place)?));
        }
        let missing = fields.iter().find(|field| field.required && !values.iter().any(|(n, _)| *n == field.name));
        match missing {
            Some(field) => {
                let place = Place::top(names, field.name);
                Err(place.invalid(format!("is missing; it is required: {}", field.doc)))
            }
            None => Ok(Args { values }),
        }
    }

    /// The arguments as a map again, under the names of Clojure: what `read` takes for the same.
    pub fn to_value(&self) -> Value {
        Value::Map(self.values.iter().map(|(name, arg)| (Value::key(name), arg.to_value())).collect())
    }

    fn get(&self, name: &str) -> Option<&Arg> {
        self.values.iter().find(|(n, _)| *n == name).map(|(_, arg)| arg)
    }

    /// The text of a required field.
    pub fn text(&self, name: &'static str) -> &str {
        self.maybe_text(name).unwrap_or_else(|| unreachable!("{name} is required"))
    }

    pub fn maybe_text(&self, name: &'static str) -> Option<&str> {
        match self.get(name) {
            Some(Arg::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub fn maybe_string(&self, name: &'static str) -> Option<String> {
        self.maybe_text(name).map(String::from)
    }

    pub fn int(&self, name: &'static str) -> Option<i64> {
        match self.get(name) {
            Some(Arg::Int(int)) => Some(*int),
            _ => None,
        }
    }

    pub fn flag(&self, name: &'static str) -> Option<bool> {
        match self.get(name) {
            Some(Arg::Bool(flag)) => Some(*flag),
            _ => None,
        }
    }

    pub fn open(&self, name: &'static str) -> Option<Text> {
        match self.get(name) {
            Some(Arg::Open(text)) => Some(text.clone()),
            _ => None,
        }
    }

    pub fn jobs(&self) -> Vec<NewJob> {
        match self.get("jobs") {
            Some(Arg::Jobs(jobs)) => jobs.clone(),
            _ => Vec::new(),
        }
    }

    pub fn artifacts(&self) -> Vec<Artifact> {
        match self.get("artifacts") {
            Some(Arg::Artifacts(artifacts)) => artifacts.clone(),
            _ => Vec::new(),
        }
    }

    pub fn names(&self, name: &'static str) -> Option<Vec<String>> {
        match self.get(name) {
            Some(Arg::Names(names)) => Some(names.clone()),
            _ => None,
        }
    }

    pub fn rows(&self) -> Vec<NewRow> {
        match self.get("rows") {
            Some(Arg::Rows(rows)) => rows.clone(),
            _ => Vec::new(),
        }
    }

    pub fn keeps(&self, name: &'static str) -> Option<Vec<(String, i64)>> {
        match self.get(name) {
            Some(Arg::Keeps(keeps)) => Some(keeps.clone()),
            _ => None,
        }
    }

    pub fn words(&self, name: &'static str) -> Option<Vec<String>> {
        match self.get(name) {
            Some(Arg::Words(words)) => Some(words.clone()),
            _ => None,
        }
    }

    pub fn growth(&self) -> Option<(Growth, Option<i64>)> {
        match self.get("backoff") {
            Some(Arg::Growth(growth, max)) => Some((*growth, *max)),
            _ => None,
        }
    }
}

/// Where in the arguments something stands. It is put into words only where something is wrong there.
pub struct Place<'a> {
    names: Names,
    step: Option<Step<'a>>,
    above: Option<&'a Place<'a>>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    /// A key of ours.
    Key(&'a str),
    Index(usize),
    /// A key that the caller gave.
    Given(&'a Value),
}

impl<'a> Place<'a> {
    pub fn root(names: Names) -> Place<'a> {
        Place { names, step: None, above: None }
    }

    /// The place under a key of ours, in the outermost map.
    pub fn top(names: Names, name: &'a str) -> Place<'a> {
        Place { names, step: Some(Step::Key(name)), above: None }
    }

    /// The place under a key of ours.
    pub fn key<'b>(&'b self, name: &'b str) -> Place<'b> {
        self.then(Step::Key(name))
    }

    fn index(&self, index: usize) -> Place<'_> {
        self.then(Step::Index(index))
    }

    fn given<'b>(&'b self, key: &'b Value) -> Place<'b> {
        self.then(Step::Given(key))
    }

    fn then<'b>(&'b self, step: Step<'b>) -> Place<'b> {
        Place { names: self.names, step: Some(step), above: Some(self) }
    }

    /// An error that says what is wrong with the value here.
    pub fn invalid(&self, problem: impl Display) -> Error {
        invalid(format!("{} {problem}", self.text())).at(self.path())
    }

    fn too_large(&self, bytes: usize, max: usize) -> Error {
        let message = format!("{} is {bytes} bytes of EDN; at most {max} are allowed", self.text());
        Error::new(Code::PayloadTooLarge, message).at(self.path()).with("limit", max as i64)
    }

    /// From the outermost inwards.
    fn steps(&self) -> Vec<Step<'_>> {
        let mut steps: Vec<_> = std::iter::successors(Some(self), |place| place.above).filter_map(|p| p.step).collect();
        steps.reverse();
        steps
    }

    fn path(&self) -> Vec<Value> {
        let value = |step| match step {
            Step::Key(name) => spell_value(name, self.names),
            Step::Index(index) => Value::Int(index as i64),
            Step::Given(key) => Value::clone(key),
        };
        self.steps().into_iter().map(value).collect()
    }

    fn text(&self) -> String {
        let text = |step| match step {
            Step::Key(name) => spell(name, self.names),
            Step::Index(index) => index.to_string(),
            Step::Given(key) => shown(key),
        };
        self.steps().into_iter().map(text).collect::<Vec<_>>().join(" ")
    }
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

fn spell_value(name: &str, names: Names) -> Value {
    match names {
        Names::Clojure => Value::Keyword(name.to_string().into()),
        Names::Json => Value::str(camel(name)),
        Names::Flag => Value::str(spell(name, names)),
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(Code::InvalidArgument, message)
}

/// The field that a key names; else an error with the nearest one that is known.
fn find(fields: &'static [Field], key: &Value, names: Names) -> Result<&'static Field, Error> {
    let found = key_text(key, names).and_then(|given| fields.iter().find(|field| is_plain(given, field.name, names)));
    let known = fields.iter().map(|field| field.name);
    found.ok_or_else(|| unknown_key(&Place::root(names), key, known))
}

fn key_text(key: &Value, names: Names) -> Option<&str> {
    match (key, names) {
        (Value::Keyword(name), Names::Clojure) => Some(name),
        (Value::Str(name), Names::Json | Names::Flag) => Some(name),
        _ => None,
    }
}

/// Whether a key is the name as it stands in the caller's maps; argv arrives with the kebab-case names.
fn is_plain(given: &str, name: &str, names: Names) -> bool {
    match names {
        Names::Clojure | Names::Flag => given == name,
        Names::Json => given == camel(name),
    }
}

/// An error for a key that nobody knows: with the nearest one, and all.
pub fn unknown_key(place: &Place, key: &Value, known: impl Iterator<Item = &'static str>) -> Error {
    let known: Vec<&str> = known.collect();
    let given = match key {
        Value::Keyword(name) => name.to_string(),
        Value::Str(name) => name.to_string(),
        other => edn::write(other),
    };
    let hint = match nearest(&given, known.iter().copied()) {
        Some(name) => format!("; did you mean {}?", spell(name, place.names)),
        None => String::new(),
    };
    let all: Vec<String> = known.iter().map(|name| spell(name, place.names)).collect();
    let allowed = if all.is_empty() { "nothing".to_string() } else { all.join(", ") };
    place.given(key).invalid(format!("is unknown{hint} (allowed: {allowed})"))
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

fn words(value: &Value, place: &Place, each: impl Fn(&Value, &Place) -> Result<Arg, Error>) -> Result<Arg, Error> {
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

fn instant(value: &Value, place: &Place) -> Result<Arg, Error> {
    let ms = match value {
        Value::Inst(ms) => Some(*ms),
        Value::Str(text) => match edn::read(&format!("#inst \"{text}\"")) {
            Ok(Value::Inst(ms)) => Some(ms),
            Ok(_) | Err(_) => None,
        },
        _ => None,
    };
    let told = || place.invalid(format!("is {}; allowed: an instant such as 2026-05-01T12:00:00Z", shown(value)));
    ms.map(Arg::Int).ok_or_else(told)
}

fn text(value: &Value, min: usize, max: usize, place: &Place) -> Result<Arg, Error> {
    match value {
        Value::Str(text) if text.len() >= min && text.len() <= max => Ok(Arg::Text(text.to_string())),
        Value::Str(text) if text.is_empty() => {
            Err(place.invalid(format!("is empty; allowed: text of 1 to {max} bytes")))
        }
        Value::Str(text) => Err(place.invalid(format!("is text of {} bytes; allowed: at most {max}", text.len()))),
        other => Err(place.invalid(format!("is {}; allowed: text", shown(other)))),
    }
}

fn job_type(value: &Value, place: &Place) -> Result<Arg, Error> {
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

fn millis(value: &Value, min: i64, max: i64, place: &Place) -> Result<Arg, Error> {
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

/// The milliseconds of a text such as "10s".
pub fn duration_ms(text: &str) -> Option<i64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let unit = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    text[..digits].parse::<i64>().ok()?.checked_mul(unit)
}

/// Milliseconds as a text such as `5m`.
pub fn duration_text(ms: i64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    match units.iter().find(|(unit, _)| ms > 0 && ms % unit == 0) {
        Some((unit, name)) => format!("{}{name}", ms / unit),
        None => format!("{ms}ms"),
    }
}

fn word(value: &Value, words: &[&str], place: &Place) -> Result<Arg, Error> {
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
fn tree(value: &Value, max: usize, place: &Place) -> Result<Value, Error> {
    let text = open(value, max, place)?;
    edn::read(&text).map_err(|fault| place.invalid(fault.message))
}

fn labels(value: &Value, max: usize, place: &Place) -> Result<Arg, Error> {
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

const BATCH_JOB: [Field; 3] = [
    Field { name: "payload", kind: Kind::Open(limits::PAYLOAD_MAX), required: false, doc: "" },
    Field { name: "metadata", kind: Kind::Open(limits::METADATA_MAX), required: false, doc: "" },
    Field { name: "max-attempts", kind: Kind::Int(1, limits::ATTEMPTS_MAX), required: false, doc: "" },
];

fn jobs(value: &Value, place: &Place) -> Result<Arg, Error> {
    let allowed = format!("allowed: 1 to {} maps of payload, metadata, max-attempts", limits::BATCH_JOBS_MAX);
    let (Value::Vector(items) | Value::List(items)) = value else {
        return Err(place.invalid(format!("is {}; {allowed}", kind_of(value))));
    };
    if items.is_empty() || items.len() > limits::BATCH_JOBS_MAX {
        return Err(place.invalid(format!("has {} jobs; {allowed}", items.len())));
    }
    let mut jobs = Vec::with_capacity(items.len());
    let mut bytes = 0;
    for (index, item) in items.iter().enumerate() {
        let job = batch_job(item, &place.index(index))?;
        bytes += job.payload.as_ref().map_or(2, |text| text.len()) + job.metadata.as_ref().map_or(0, |text| text.len());
        jobs.push(job);
    }
    if bytes > limits::BATCH_BYTES_MAX {
        return Err(place.too_large(bytes, limits::BATCH_BYTES_MAX));
    }
    Ok(Arg::Jobs(jobs))
}

fn batch_job(item: &Value, place: &Place) -> Result<NewJob, Error> {
    let Value::Map(entries) = item else {
        return Err(place.invalid(format!("is {}; allowed: a map of payload, metadata, max-attempts", kind_of(item))));
    };
    let mut job = NewJob::default();
    for (key, value) in entries {
        let given = key_text(key, place.names);
        let field = BATCH_JOB.iter().find(|field| given.is_some_and(|given| is_plain(given, field.name, place.names)));
        let Some(field) = field else {
            if matches!((key, place.names), (Value::Keyword(name), Names::Clojure) if name.contains('/')) {
                continue;
            }
            return Err(unknown_key(place, key, BATCH_JOB.iter().map(|field| field.name)));
        };
        if matches!(value, Value::Nil) && field.name != "payload" {
            continue;
        }
        match (field.name, check(field.kind, value, &place.key(field.name))?) {
            ("payload", Arg::Open(text)) => job.payload = Some(text),
            ("metadata", Arg::Open(text)) => job.metadata = Some(text),
            (_, Arg::Int(int)) => job.max_attempts = Some(int),
            (name, _) => unreachable!("{name} is one of three fields"),
        }
    }
    Ok(job)
}

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

fn artifacts(value: &Value, place: &Place) -> Result<Arg, Error> {
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

/// Names of fields: a vector of texts or keywords, or a lone one.
fn names(value: &Value, max: usize, place: &Place) -> Result<Arg, Error> {
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

fn rows(value: &Value, max: usize, place: &Place) -> Result<Arg, Error> {
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
fn keeps(value: &Value, place: &Place) -> Result<Arg, Error> {
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

fn backoff(value: &Value, place: &Place) -> Result<Arg, Error> {
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

fn number(value: &Value, place: &Place) -> Result<f64, Error> {
    let number = match value {
        Value::Int(int) => Some(*int as f64),
        Value::Double(double) => Some(*double),
        _ => None,
    };
    let fits = number.filter(|number| (1.0..=1_000.0).contains(number));
    fits.ok_or_else(|| place.invalid(format!("is {}; allowed: numbers from 1 to 1000", shown(value))))
}

/// A caller's key as the path of an error has it: itself, where it is short.
pub(super) fn clipped(key: Value) -> Value {
    let bytes = match &key {
        Value::Keyword(name) => name.len(),
        Value::Str(text) => text.len(),
        Value::Nil | Value::Bool(_) | Value::Int(_) => 0,
        other => edn::write(other).len(),
    };
    if bytes > limits::KEY_MAX { Value::str(shown(&key)) } else { key }
}

/// A value as an error shows it: short.
pub fn shown(value: &Value) -> String {
    let text = match value {
        Value::Str(text) => format!("{text:?}"),
        Value::Map(_) | Value::Vector(_) | Value::List(_) | Value::Set(_) => return kind_of(value).into(),
        other => edn::write(other),
    };
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Bool(_) => "a boolean",
        Value::Int(_) | Value::BigInt(_) | Value::Ratio(_) | Value::Double(_) | Value::Decimal(_) => "a number",
        Value::Char(_) => "a character",
        Value::Str(_) => "text",
        Value::Keyword(_) => "a keyword",
        Value::Symbol(_) => "a symbol",
        Value::List(_) => "a list",
        Value::Vector(_) => "a vector",
        Value::Map(_) => "a map",
        Value::Set(_) => "a set",
        Value::Inst(_) => "an instant",
        Value::Uuid(_) => "a uuid",
        Value::Tagged(..) => "a tagged value",
        Value::Text(_) => "data",
    }
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
