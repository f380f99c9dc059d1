//! Behaviour that every surface shares, written once as data in `*.edn` and run through each of them: the direct call,
//! the binary form, the command line, and a control plane over HTTP, in EDN and JSON. The real JNI reads the same files
//! (`tests/clj/errand/scenarios_test.clj`).
//!
//! A file is a vector of `{:scenario "what is so" :steps [step …]}`, each in a workspace of its own. A step is
//! `{:ask command :with args}` or `{:step id :with config}`, and what comes of it: `:gives` a pattern, or `:refuses` a
//! code, with `:says` the message (`{name}` stands for the surface's spelling of a name) and `:because` its details.

mod pattern;
mod surfaces;

use errand::api::Names;
use errand::value::{Value, camel, edn};
use pattern::Bound;
use std::fs;
use std::path::{Path, PathBuf};
use surfaces::{Outcome, Surface, Told};

/// Runs every scenario on one surface, and fails with everything that is not so.
fn run(surface: &dyn Surface) {
    let mut complaints = Vec::new();
    let mut ran = 0;
    for path in files() {
        let text = fs::read_to_string(&path).unwrap();
        let scenarios = edn::read(&text).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()));
        for scenario in items(&scenarios) {
            if !surface.has_steps() && steps(scenario).iter().any(|step| step.get("step").is_some()) {
                continue;
            }
            let name = scenario.get("scenario").and_then(Value::as_str).expect("a scenario has a name");
            ran += 1;
            if let Err(complaint) = run_scenario(surface, scenario, ran) {
                complaints.push(format!("{}: {name}: {complaint}", path.file_name().unwrap().to_string_lossy()));
            }
        }
    }
    assert!(ran > 0, "there are scenarios");
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "edn"));
    files.sort();
    files
}

fn items(value: &Value) -> &[Value] {
    match value {
        Value::Vector(items) => items,
        other => panic!("{} is no vector", edn::write(other)),
    }
}

fn steps(scenario: &Value) -> &[Value] {
    items(scenario.get("steps").expect("a scenario has steps"))
}

fn run_scenario(surface: &dyn Surface, scenario: &Value, number: usize) -> Result<(), String> {
    let place = surface.place(&format!("scenario-{number}"));
    let mut bound = Bound::default();
    for (index, step) in steps(scenario).iter().enumerate() {
        let args = bound.filled(step.get("with").unwrap_or(&Value::Map(Vec::new())));
        let (what, outcome) = match (step.get("ask"), step.get("step")) {
            (Some(command), _) => {
                let command = command.as_str().expect("a command is a text");
                (command.to_owned(), place.ask(command, &args))
            }
            (_, Some(id)) => (format!("step {}", edn::write(id)), place.step(id, &args)),
            (None, None) => panic!("{} asks for nothing", edn::write(step)),
        };
        let Some(outcome) = outcome else { continue };
        check(surface, step, outcome, &mut bound)
            .map_err(|complaint| format!("{index}. {what} {}\n    {complaint}", edn::write(&args)))?;
    }
    Ok(())
}

fn check(surface: &dyn Surface, step: &Value, outcome: Outcome, bound: &mut Bound) -> Result<(), String> {
    match (step.get("gives"), step.get("refuses"), outcome) {
        (Some(pattern), _, Ok(data)) => bound.meet(&surface.seen(pattern), &data),
        (_, Some(code), Err(told)) => check_refusal(surface, step, code, &told, bound),
        (_, _, Ok(data)) => Err(format!("gave {}", edn::write(&data))),
        (_, _, Err(told)) => Err(format!("was refused: {told:?}")),
    }
}

fn check_refusal(
    surface: &dyn Surface,
    step: &Value,
    code: &Value,
    told: &Told,
    bound: &mut Bound,
) -> Result<(), String> {
    if code.as_str() != Some(&told.code) {
        return Err(format!("was refused otherwise: {told:?}"));
    }
    if let (Some(says), Some(message)) = (step.get("says").and_then(Value::as_str), &told.message) {
        let says = spelled(&bound.filled_text(says), surface.names());
        if says != *message {
            return Err(format!("says {message:?}\n    not  {says:?}"));
        }
    }
    match (step.get("because"), &told.details) {
        (Some(pattern), Some(details)) => bound.meet(&surface.seen(pattern), details),
        _ => Ok(()),
    }
}

/// A message with the names in braces as a surface spells them.
fn spelled(text: &str, names: Names) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').expect("a brace is closed");
        out += before;
        out += &match names {
            Names::Clojure => format!(":{name}"),
            Names::Json => camel(name),
            Names::Flag => format!("--{}", flag(name)),
        };
        rest = after;
    }
    out + rest
}

/// The flag of a field; some are shorter than their fields' names.
fn flag(field: &str) -> &str {
    match field {
        "job-type" => "type",
        "jobs" => "job",
        other => other.trim_end_matches('?'),
    }
}

#[test]
fn the_direct_call_does_what_the_scenarios_say() {
    run(&surfaces::Direct);
}

#[test]
fn the_binary_form_does_what_the_scenarios_say() {
    run(&surfaces::Binary);
}

#[test]
fn the_command_line_does_what_the_scenarios_say() {
    run(&surfaces::CommandLine);
}

#[test]
fn a_client_over_http_does_what_the_scenarios_say() {
    run(&surfaces::Remote(surfaces::ControlPlane::new()));
}

#[test]
fn json_over_http_does_what_the_scenarios_say() {
    run(&surfaces::Json(surfaces::ControlPlane::new()));
}

#[test]
fn the_command_line_over_http_does_what_the_scenarios_say() {
    run(&surfaces::RemoteCommandLine(surfaces::ControlPlane::new()));
}
