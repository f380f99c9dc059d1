//! `errand check`: a look at a whole store, told as a table for people or as data.
//! It does not know what is looked for.

use super::output::{Format, Screen, print};
use super::{help, people, place};
use crate::api::{self, CheckOptions, Error};
use crate::value::Value;
use clap::{Arg, ArgAction, ArgMatches, Command};
use comfy_table::{ContentArrangement, Table, presets::NOTHING};

/// The exit status where something contradicts something.
pub const NOT_WHOLE: u8 = 1;

pub fn command() -> Command {
    Command::new("check")
        .about("Look whether a store is whole")
        .long_about(help::CHECK)
        .arg(
            Arg::new("deep")
                .long("deep")
                .action(ArgAction::SetTrue)
                .help("read every text and every byte of the files, too, which takes as long as reading them"),
        )
        .after_help("Examples:\n  errand check --db jobs.db\n  errand check --db backup.db --deep --format json | jq .data.faults")
}

/// Says what was found; false where the store is not whole.
pub fn run(matches: &ArgMatches, screen: &Screen) -> Result<bool, Error> {
    let options = CheckOptions { deep: matches.get_flag("deep"), ..CheckOptions::default() };
    let report = api::check(&place::own_store(matches)?, &options)?;
    match screen.format {
        Format::People => print(&shown(&report.data))?,
        Format::Json | Format::Edn => screen.found(report.whole, &report.data)?,
    }
    Ok(report.whole)
}

fn shown(data: &Value) -> String {
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(people::plain).unwrap_or_default();
    let number = |name: &str| match data.get(name) {
        Some(Value::Int(number)) => *number,
        _ => 0,
    };
    let items = |name: &str| match data.get(name) {
        Some(Value::Vector(items)) => items.clone(),
        _ => Vec::new(),
    };
    let (path, jobs, batches, resources) = (text(data, "path"), number("jobs"), number("batches"), number("resources"));
    let mut out = match number("fault-count") {
        0 => format!(
            "{path} is whole: schema {}, {jobs} jobs, {batches} batches, {resources} resources\n",
            number("schema")
        ),
        1 => format!("{path} is not whole: 1 fault\n"),
        count => format!("{path} is not whole: {count} faults\n"),
    };
    let faults = items("faults");
    if !faults.is_empty() {
        let mut table = Table::new();
        table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(["LAW", "TABLE", "ROW", "FOUND", "EXPECTED"]);
        for fault in &faults {
            table.add_row(["law", "table", "row", "found", "expected"].map(|name| text(fault, name)));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        out.push('\n');
        out.extend(table.lines().map(|line| format!("{}\n", line.trim_end())));
    }
    out.extend(items("notes").iter().filter_map(Value::as_str).map(|note| format!("note: {}\n", people::plain(note))));
    out
}
