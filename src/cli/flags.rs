//! The fields of a command as flags: one flag or argument for each, the way back to the command's arguments.
//! It does not check bounds: the command table does.

use super::source::{self, Text};
use crate::api::{Command, Error, Field, Kind};
use crate::value::Value;
use crate::worker::pairs_over;
use clap::{Arg, ArgAction, ArgMatches, builder::PossibleValuesParser, value_parser};
use std::path::PathBuf;

/// Flags whose names are not their fields'.
const NAMES: &[(&str, &str)] = &[
    ("job-type", "type"),
    ("worker-labels", "label"),
    ("timeout-ms", "timeout"),
    ("wait-ms", "wait"),
    ("retry-after-ms", "retry-after"),
    ("jobs", "job"),
    ("key-fields", "key-field"),
    ("index-fields", "index-field"),
    ("capabilities", "scope"),
    ("allowed-job-types", "allowed-type"),
    ("service-account-id", "account"),
];

/// Fields of which single entries can be given as `name=value`.
const ENTRIES: &[(&str, &str)] = &[("details", "detail"), ("metrics", "metric"), ("outputs", "output")];

/// Fields that are secrets, with the variables that may hold them.
const SECRETS: &[(&str, &[&str])] = &[("lease-token", &["ERRAND_LEASE_TOKEN", "BREYTA_LEASE_TOKEN"])];

/// What of a job submitted in a batch is the caller's own data.
const JOB_DATA: &[&str] = &["payload", "metadata"];

fn twin(table: &'static [(&'static str, &'static str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(field, _)| *field == name).map(|(_, twin)| *twin)
}

/// The flag of a field, without dashes.
fn flag_name(field: &Field) -> &'static str {
    twin(NAMES, field.name).unwrap_or_else(|| field.name.trim_end_matches('?'))
}

/// An error about a field, with the name of its flag.
pub fn in_words_of_flags(mut error: Error) -> Error {
    for (field, flag) in NAMES {
        if let Some(rest) = error.message.strip_prefix(&format!("--{field} ")) {
            error.message = format!("--{flag} {rest}");
        }
    }
    error
}

/// Every flag of a command; the field `subject` is given without one.
pub fn args(command: &Command, subject: Option<&str>) -> Vec<Arg> {
    command.fields.iter().flat_map(|field| field_args(field, subject == Some(field.name))).collect()
}

fn field_args(field: &'static Field, is_subject: bool) -> Vec<Arg> {
    let name = flag_name(field);
    if is_subject {
        return vec![Arg::new(field.name).value_name(field.name.to_uppercase()).required(true).help(field.doc)];
    }
    let secret = SECRETS.iter().find(|(secret, _)| *secret == field.name);
    let flag = Arg::new(field.name).long(name).help(field.doc);
    let flag = if name == field.name || field.name.ends_with('?') { flag } else { flag.alias(field.name) };
    match field.kind {
        Kind::Bool => vec![
            flag.num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .value_name("true|false")
                .value_parser(value_parser!(bool)),
        ],
        Kind::Int(..) => vec![
            flag.value_name("N").required(field.required).value_parser(value_parser!(i64)).allow_negative_numbers(true),
        ],
        Kind::Millis(..) => vec![flag.value_name("DURATION").required(field.required)],
        Kind::Words(words) => {
            let one = flag.value_name("WORD").action(ArgAction::Append).required(field.required);
            vec![one.value_parser(PossibleValuesParser::new(words)).help(format!("{}; repeat for more", field.doc))]
        }
        Kind::JobTypes => {
            vec![flag.value_name("TYPE").action(ArgAction::Append).help(format!("{}; repeat for more", field.doc))]
        }
        Kind::Instant => vec![flag.value_name("INSTANT").required(field.required)],
        Kind::Word(words) => {
            vec![flag.value_name("WORD").required(field.required).value_parser(PossibleValuesParser::new(words))]
        }
        Kind::Labels(_) => vec![flag.value_name("NAME=VALUE").action(ArgAction::Append).value_parser(source::pair)],
        Kind::Open(_) | Kind::Rows(_) | Kind::Keeps => open_args(field, flag, name),
        Kind::Names(_) => vec![flag.value_name("FIELD").action(ArgAction::Append)],
        Kind::Artifacts => vec![flag.value_name("JSON").conflicts_with(file_id(field)), file_arg(field, name)],
        Kind::Jobs => vec![
            flag.value_name("JSON")
                .action(ArgAction::Append)
                .help("one job, '{\"payload\": …, \"metadata\": …, \"maxAttempts\": N}'; repeat for more")
                .required_unless_present(file_id(field))
                .conflicts_with(file_id(field)),
            file_arg(field, "jobs")
                .help("file with an array of jobs: JSON, or EDN by its extension .edn; - is standard input"),
        ],
        Kind::Backoff => vec![flag.value_name("constant|linear|exponential|JSON")],
        Kind::Text(_) | Kind::Message(_) | Kind::JobType => {
            let flag = flag.value_name(if matches!(field.kind, Kind::JobType) { "TYPE" } else { "TEXT" });
            match secret {
                Some((_, variables)) => vec![
                    flag.help(format!("{}; better from ${} or a file", field.doc, variables[0]))
                        .conflicts_with(file_id(field)),
                    file_arg(field, name).help("file that holds it; - is standard input"),
                ],
                None => vec![flag.required(field.required).allow_hyphen_values(matches!(field.kind, Kind::Message(_)))],
            }
        }
    }
}

fn open_args(field: &'static Field, flag: Arg, name: &'static str) -> Vec<Arg> {
    let mut args = vec![
        flag.value_name("JSON").allow_hyphen_values(true).required(field.required).conflicts_with(file_id(field)),
        file_arg(field, name),
    ];
    args.extend(twin(ENTRIES, field.name).map(|entry| {
        Arg::new(entry)
            .long(entry)
            .value_name("NAME=VALUE")
            .action(ArgAction::Append)
            .value_parser(source::pair)
            .help(format!("one entry of --{name}; the value is JSON where it parses as JSON, else text"))
    }));
    args
}

fn file_id(field: &Field) -> String {
    format!("{}-file", field.name)
}

fn file_arg(field: &'static Field, name: &str) -> Arg {
    Arg::new(file_id(field))
        .long(format!("{name}-file"))
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help(format!("file with --{name}: JSON, or EDN by its extension .edn; - is standard input"))
}

/// The arguments of a command as the flags gave them, under the names of its fields; what was not given is absent.
pub fn arguments(command: &Command, matches: &ArgMatches) -> Result<Value, Error> {
    let mut args = Vec::new();
    for field in command.fields {
        args.extend(argument(field, matches)?.map(|value| (Value::str(field.name), value)));
    }
    Ok(Value::Map(args))
}

fn argument(field: &Field, matches: &ArgMatches) -> Result<Option<Value>, Error> {
    let name = flag_name(field);
    Ok(match field.kind {
        Kind::Bool => matches.get_one::<bool>(field.name).map(|given| Value::Bool(*given)),
        Kind::Int(..) => matches.get_one::<i64>(field.name).map(|given| Value::Int(*given)),
        Kind::Millis(..) => matches.get_one::<String>(field.name).map(|given| millis(given)),
        Kind::Labels(_) => labels(field, matches)?,
        Kind::Open(_) | Kind::Rows(_) | Kind::Keeps => open(field, name, matches)?,
        Kind::Names(_) => matches
            .get_many::<String>(field.name)
            .map(|given| Value::Vector(given.map(|name| Value::str(name.as_str())).collect())),
        Kind::Artifacts => source::text(matches, field.name, name)?.map(|text| text.open()).transpose()?,
        Kind::Jobs => jobs(field, matches)?,
        Kind::Backoff => matches.get_one::<String>(field.name).map(|given| backoff(given)).transpose()?,
        Kind::Words(_) | Kind::JobTypes => matches.get_many::<String>(field.name).map(words),
        Kind::Word(_) | Kind::Instant => matches.get_one::<String>(field.name).map(|given| Value::str(given.as_str())),
        Kind::Text(_) | Kind::Message(_) | Kind::JobType => {
            match SECRETS.iter().find(|(secret, _)| *secret == field.name) {
                Some((_, variables)) => source::secret(matches, field.name, variables)?.map(Value::from),
                None => matches.get_one::<String>(field.name).map(|given| Value::str(given.as_str())),
            }
        }
    })
}

fn millis(given: &str) -> Value {
    given.parse::<i64>().map_or_else(|_| Value::str(given), Value::Int)
}

/// A list in which an empty text stands for nothing, so that an empty list can be given.
fn words<'a>(given: impl Iterator<Item = &'a String>) -> Value {
    Value::Vector(given.filter(|word| !word.is_empty()).map(|word| Value::str(word.as_str())).collect())
}

fn labels(field: &Field, matches: &ArgMatches) -> Result<Option<Value>, Error> {
    let Some(given) = matches.get_many::<(String, String)>(field.name) else { return Ok(None) };
    let labels: serde_json::Map<_, _> = given.map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    data("--label", &labels.into()).map(Some)
}

fn data(flag: &str, json: &serde_json::Value) -> Result<Value, Error> {
    Text { flag: flag.into(), text: json.to_string(), is_edn: false }.open()
}

fn open(field: &Field, name: &str, matches: &ArgMatches) -> Result<Option<Value>, Error> {
    let whole = source::text(matches, field.name, name)?;
    let pairs = twin(ENTRIES, field.name).map(|entry| source::pairs(matches, entry)).unwrap_or_default();
    if pairs.is_empty() {
        return whole.map(|text| text.open()).transpose();
    }
    let base = whole.map(|text| text.json()).transpose()?;
    let merged = pairs_over(base, pairs).unwrap_or_default();
    data(&format!("--{name}"), &merged).map(Some)
}

fn jobs(field: &Field, matches: &ArgMatches) -> Result<Option<Value>, Error> {
    if let Some(path) = matches.get_one::<PathBuf>(&file_id(field)) {
        return source::read_file(path, "--jobs-file")?.ours(JOB_DATA).map(Some);
    }
    let given = matches.get_many::<String>(field.name).unwrap_or_default();
    let one = |text: &String| Text { flag: "--job".into(), text: text.clone(), is_edn: false }.ours(JOB_DATA);
    given.map(one).collect::<Result<Vec<_>, _>>().map(|jobs| Some(Value::Vector(jobs)))
}

fn backoff(given: &str) -> Result<Value, Error> {
    if given.trim_start().starts_with('{') {
        return Text { flag: "--backoff".into(), text: given.into(), is_edn: false }.ours(&[]);
    }
    Ok(Value::str(given))
}
