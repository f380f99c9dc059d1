//! `errand jobs worker attach-file|attach-kv|attach-table`: what a handler produced, attached to its job.
//! It does not store anything itself: `worker` asks for it.

use super::Ended;
use super::handler_side::{helper, text, words, written};
use super::output::{Screen, print};
use super::place::{self, Missing};
use super::source::{self, Text, wrong};
use crate::api::Error;
use crate::worker::{AttachFile, HandlerSide};
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};
use serde_json::{Map, Value as Json, json};
use std::path::PathBuf;

/// The helpers that attach, as commands.
pub fn commands() -> Vec<Command> {
    vec![file(), kv(), table()]
}

fn path(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name("FILE").value_parser(value_parser!(PathBuf)).help(help)
}

fn many(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name("FIELD").action(ArgAction::Append).help(help)
}

fn attaching(name: &'static str, about: &'static str) -> Command {
    helper(name, about)
        .arg(text("kind", "of the artifact").value_name("KIND"))
        .arg(text("content-type", "what it is; told from the name and the content when absent").value_name("TYPE"))
        .arg(
            Arg::new("print-uri")
                .long("print-uri")
                .action(ArgAction::SetTrue)
                .help("print only the URI of the resource, for scripts"),
        )
}

fn file() -> Command {
    attaching("attach-file", "Store a file and add it to the job's result")
        .arg(path("file", "the file; at most 4 GiB").required(true))
        .arg(text("label", "what the artifact is called; the file's name when absent"))
        .arg(text("resource-label", "what the stored file is called, for people"))
        .after_help("Examples:\n  errand jobs worker attach-file --file report.md\n  uri=$(errand jobs worker attach-file --file out.tar --label build --print-uri)")
}

fn kv() -> Command {
    attaching("attach-kv", "Store a value under a key of the job, at once")
        .arg(text("label", "what the artifact is called").required(true))
        .arg(
            Arg::new("field")
                .long("field")
                .value_name("NAME=VALUE")
                .action(ArgAction::Append)
                .value_parser(source::pair)
                .help("one entry of the value; it is JSON where it parses as JSON, else text; repeat for more"),
        )
        .arg(text("value", "the value: JSON, or text that does not begin like it").value_name("JSON"))
        .arg(path("value-file", "file with the value, JSON; - is standard input"))
        .group(ArgGroup::new("what").args(["field", "value", "value-file"]).required(true))
        .arg(text("key", "the label when absent; another value under it is replaced"))
        .arg(
            Arg::new("ttl-seconds")
                .long("ttl-seconds")
                .value_name("N")
                .value_parser(value_parser!(i64))
                .help("after so many seconds it is not found any more"),
        )
        .after_help("Examples:\n  errand jobs worker attach-kv --label totals --field files=3 --field branch=main\n  errand jobs worker attach-kv --label report --value-file report.json --ttl-seconds 3600 --print-uri")
}

fn table() -> Command {
    attaching("attach-table", "Store rows in a table of the job, at once")
        .arg(text("label", "what the artifact is called").required(true))
        .arg(text("rows", "JSON array of objects; their names are the table's fields").value_name("JSON"))
        .arg(path("rows-file", "file with the rows: JSON, one object a line by its extension .jsonl; - is standard input"))
        .group(ArgGroup::new("what").args(["rows", "rows-file"]).required(true))
        .arg(text("table", "name of the table among the job's; the label when absent").value_name("NAME"))
        .arg(words("write-mode", &["append", "upsert"]).help("append when absent; upsert changes rows by key fields"))
        .arg(words("schema-mode", &["flexible"]).help("flexible: new fields are added as rows have them"))
        .arg(many("key-field", "what an upsert finds a row by; repeat for more"))
        .arg(many("index-field", "what queries are fast by; repeat for more"))
        .after_help("Examples:\n  errand jobs worker attach-table --label findings --rows '[{\"file\": \"a.rs\", \"line\": 3}]'\n  errand jobs worker attach-table --label files --rows-file files.json --write-mode upsert --key-field path")
}

/// Runs one of them.
pub fn run(name: &str, side: &HandlerSide, matches: &ArgMatches, screen: &Screen) -> Ended {
    let given = |name: &str| matches.try_get_one::<String>(name).ok().flatten().cloned();
    // What is malformed is told before anything is opened.
    let fields = match name {
        "attach-kv" => value(matches)?,
        "attach-table" => rows(matches)?,
        _ => Map::new(),
    };
    let client = place::connect(matches, Missing::Fail)?;
    let attached = match name {
        "attach-kv" => side.attach(client.as_ref(), "jobs.attach_kv", fields),
        "attach-table" => side.attach(client.as_ref(), "jobs.attach_table", fields),
        _ => {
            let path = matches.get_one::<PathBuf>("file").cloned().unwrap_or_default();
            let attach = AttachFile {
                path,
                label: given("label"),
                kind: given("kind"),
                content_type: given("content-type"),
                resource_label: given("resource-label"),
            };
            side.attach_file(client.as_ref(), attach)
        }
    };
    client.close();
    let artifact = attached?;
    if matches.get_flag("print-uri") {
        return print(artifact["resourceUri"].as_str().unwrap_or_default());
    }
    written(screen, matches, json!({ "artifact": artifact }))
}

/// The fields that are given as text, under their names in JSON.
fn texts(matches: &ArgMatches, names: &[(&str, &str)]) -> Map<String, Json> {
    let given = names.iter().filter_map(|(flag, name)| Some((name, matches.get_one::<String>(flag)?)));
    given.map(|(name, text)| ((*name).to_owned(), text.as_str().into())).collect()
}

const COMMON: [(&str, &str); 3] = [("label", "label"), ("kind", "kind"), ("content-type", "contentType")];

fn value(matches: &ArgMatches) -> Result<Map<String, Json>, Error> {
    let mut fields = texts(matches, &COMMON);
    fields.extend(texts(matches, &[("key", "key")]));
    fields.extend(matches.get_one::<i64>("ttl-seconds").map(|seconds| ("ttlSeconds".to_owned(), (*seconds).into())));
    let value = match (matches.get_one::<String>("value"), matches.get_one::<PathBuf>("value-file")) {
        (Some(text), _) => whole(text)?,
        (None, Some(path)) => source::read_file(path, "--value-file")?.json()?,
        (None, None) => Map::from_iter(source::pairs(matches, "field")).into(),
    };
    fields.insert("value".into(), value);
    Ok(fields)
}

/// JSON, or text where it does not begin as an object, an array or a string does.
fn whole(text: &str) -> Result<Json, Error> {
    if text.trim_start().starts_with(['{', '[', '"']) {
        return Text { flag: "--value".into(), text: text.into(), is_edn: false }.json();
    }
    Ok(source::pair_value(text))
}

fn rows(matches: &ArgMatches) -> Result<Map<String, Json>, Error> {
    let mut fields = texts(matches, &COMMON);
    fields.extend(texts(matches, &[("table", "table"), ("write-mode", "writeMode"), ("schema-mode", "schemaMode")]));
    for (flag, name) in [("key-field", "keyFields"), ("index-field", "indexFields")] {
        let given: Vec<Json> =
            matches.get_many::<String>(flag).unwrap_or_default().map(|f| f.as_str().into()).collect();
        if !given.is_empty() {
            fields.insert(name.into(), given.into());
        }
    }
    let rows = match (matches.get_one::<String>("rows"), matches.get_one::<PathBuf>("rows-file")) {
        (Some(text), _) => Text { flag: "--rows".into(), text: text.clone(), is_edn: false }.json()?,
        (None, Some(path)) if path.extension().is_some_and(|e| e == "jsonl" || e == "ndjson") => lines(path)?,
        (None, Some(path)) => source::read_file(path, "--rows-file")?.json()?,
        (None, None) => return Err(wrong("--rows or --rows-file is needed".into())),
    };
    fields.insert("rows".into(), rows);
    Ok(fields)
}

fn lines(path: &std::path::Path) -> Result<Json, Error> {
    let file = source::read_file(path, "--rows-file")?;
    let lines = file.text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let rows = lines.map(|(number, line)| {
        let flag = format!("{} line {}", file.flag, number + 1);
        Text { flag, text: line.into(), is_edn: false }.json()
    });
    rows.collect::<Result<Vec<_>, _>>().map(Json::from)
}
