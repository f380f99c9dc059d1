//! `errand jobs worker state|progress|finish|fail|attach-…`: what a handler calls while it runs.
//! It does not edit the result itself: `worker` does.

use super::Ended;
use super::attachments;
use super::output::Screen;
use super::place::{self, JOB_DIR, Missing, variable};
use super::source::{self, Text, wrong};
use crate::api::Error;
use crate::value::{MapBuilder, json};
use crate::worker::{Finish, HandlerSide, pairs_over};
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::{Map, Value as Json};
use std::path::PathBuf;

/// The helpers, as commands.
pub fn commands() -> Vec<Command> {
    let mut all = vec![state(), progress(), finish(), fail()];
    all.extend(attachments::commands());
    all
}

pub fn helper(name: &'static str, about: &'static str) -> Command {
    let dir = Arg::new("job-dir").long("job-dir").value_name("DIR").value_parser(value_parser!(PathBuf));
    Command::new(name).about(about).arg(dir.help("the job's directory; else $ERRAND_JOB_DIR, else $BREYTA_JOB_DIR"))
}

pub fn text(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name("TEXT").allow_hyphen_values(true).help(help)
}

/// A whole value and its single entries.
fn data(whole: &'static str, entry: &'static str, help: &'static str) -> [Arg; 2] {
    [
        Arg::new(whole).long(whole).value_name("JSON").allow_hyphen_values(true).help(help),
        Arg::new(entry)
            .long(entry)
            .value_name("NAME=VALUE")
            .action(ArgAction::Append)
            .value_parser(source::pair)
            .help(format!("one entry of --{whole}; the value is JSON where it parses as JSON, else text")),
    ]
}

pub fn words(name: &'static str, allowed: &[&'static str]) -> Arg {
    Arg::new(name).long(name).value_name("WORD").value_parser(PossibleValuesParser::new(allowed.to_vec()))
}

fn state() -> Command {
    helper("state", "Show the job's files as one JSON object, the lease token hidden")
}

fn progress() -> Command {
    helper("progress", "Report progress; this extends the lease")
        .arg(words("status", &["leased", "started", "running"]).help("how far it is"))
        .arg(text("message", "what it does now, for people"))
        .args(data("details", "detail", "facts about the work so far, as a JSON object"))
        .args(data("metrics", "metric", "numbers by name, as a JSON object"))
        .after_help("Examples:\n  errand jobs worker progress --status running --message 'half way' --metric done=50")
}

fn finish() -> Command {
    helper("finish", "Write how the job ended; the worker reports it when the handler exits with status 0")
        .arg(
            words("status", &["succeeded", "no_changes", "cancelled", "failed", "timed_out"])
                .default_value("succeeded")
                .help("how it ended"),
        )
        .arg(text("summary", "the result in a sentence"))
        .args(data("outputs", "output", "the result itself, any JSON"))
        .args(data("metrics", "metric", "numbers by name, as a JSON object"))
        .after_help("Examples:\n  errand jobs worker finish --summary 'reviewed 3 files' --output files=3 --metric seconds=1.5\n  errand jobs worker finish --status no_changes")
}

fn fail() -> Command {
    helper("fail", "Write that the job failed; the worker reports it when the handler exits")
        .arg(text("message", "what went wrong, for people"))
        .arg(text("code", "what went wrong, for programs"))
        .args(data("details", "detail", "facts about the failure, as a JSON object"))
        .arg(Arg::new("retryable").long("retryable").action(ArgAction::SetTrue).help("another attempt may help"))
        .after_help("Examples:\n  errand jobs worker fail --message 'rate limit' --code busy --retryable")
}

/// Runs a helper.
pub fn run(name: &str, matches: &ArgMatches, screen: &Screen) -> Ended {
    let side = HandlerSide::at(job_dir(matches)?)?;
    match name {
        "state" => shown(screen, matches, side.state()?),
        "progress" => report(&side, matches, screen),
        "finish" => written(screen, matches, side.finish(finished(matches)?)?),
        "fail" => written(screen, matches, side.finish(failed(matches)?)?),
        "attach-file" | "attach-kv" | "attach-table" => attachments::run(name, &side, matches, screen),
        _ => unreachable!("every helper is named here: {name}"),
    }
}

fn job_dir(matches: &ArgMatches) -> Result<PathBuf, Error> {
    let given = matches.get_one::<PathBuf>("job-dir").cloned();
    given
        .or_else(|| JOB_DIR.iter().find_map(|name| variable(name)).map(PathBuf::from))
        .ok_or_else(|| wrong("this runs inside a handler: neither --job-dir nor $ERRAND_JOB_DIR is given".into()))
}

fn report(side: &HandlerSide, matches: &ArgMatches, screen: &Screen) -> Ended {
    let mut fields = Map::new();
    for name in ["status", "message"] {
        fields.extend(matches.get_one::<String>(name).map(|text| (name.to_owned(), text.as_str().into())));
    }
    fields.extend(whole(matches, "details", "detail")?);
    fields.extend(whole(matches, "metrics", "metric")?);
    let client = place::connect(matches, Missing::Fail)?;
    let reply = side.progress(client.as_ref(), fields);
    client.close();
    let reply = reply?;
    if silent(matches) {
        return Ok(());
    }
    // The job itself may be large, and this is printed at every step.
    let id = reply.get("job").and_then(|job| job.get("job-id")).cloned();
    let said = MapBuilder::new().put_some("job-id", id).put_some("directive", reply.get("directive").cloned()).build();
    screen.reply(&said, client.workspace(), false)
}

fn whole(matches: &ArgMatches, whole: &str, entry: &str) -> Result<Option<(String, Json)>, Error> {
    let given = matches.get_one::<String>(whole);
    let text = given.map(|text| Text { flag: format!("--{whole}"), text: text.clone(), is_edn: false });
    let value = pairs_over(text.map(|text| text.json()).transpose()?, source::pairs(matches, entry));
    Ok(value.map(|value| (whole.to_owned(), value)))
}

fn finished(matches: &ArgMatches) -> Result<Finish, Error> {
    let mut fields = Map::new();
    fields.extend(matches.get_one::<String>("summary").map(|text| ("summary".to_owned(), text.as_str().into())));
    fields.extend(whole(matches, "outputs", "output")?);
    fields.extend(whole(matches, "metrics", "metric")?);
    let status = matches.get_one::<String>("status").cloned().unwrap_or_default();
    Ok(Finish { status, fields })
}

fn failed(matches: &ArgMatches) -> Result<Finish, Error> {
    let mut fields = Map::new();
    for name in ["message", "code"] {
        fields.extend(matches.get_one::<String>(name).map(|text| (name.to_owned(), text.as_str().into())));
    }
    fields.extend(whole(matches, "details", "detail")?);
    if matches.get_flag("retryable") {
        fields.insert("retryable".into(), true.into());
    }
    Ok(Finish { status: "failed".into(), fields })
}

/// Whether a success prints nothing: a handler's output is its worker's log, unless the handler asks for a form.
fn silent(matches: &ArgMatches) -> bool {
    matches.get_one::<String>("format").is_none() && JOB_DIR.iter().any(|name| variable(name).is_some())
}

pub fn written(screen: &Screen, matches: &ArgMatches, data: Json) -> Ended {
    if silent(matches) { Ok(()) } else { shown(screen, matches, data) }
}

fn shown(screen: &Screen, matches: &ArgMatches, data: Json) -> Ended {
    let read = json::read(data.to_string().as_bytes(), &[]).map_err(|fault| wrong(fault.message))?;
    let workspace = variable("ERRAND_JOB_WORKSPACE_ID").map_or_else(|| place::workspace(matches), Ok)?;
    screen.reply(&read, &workspace, true)
}
