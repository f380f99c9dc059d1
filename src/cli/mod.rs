//! The command line: argv to a command of the table, its reply for people or for pipes, an exit status.
//! It does not know what a command does.

mod attachments;
mod backup;
mod bench;
mod check;
mod flags;
mod handler_side;
mod help;
mod keys;
mod output;
mod people;
mod place;
mod serve;
mod source;
mod verb;
mod verbs;
mod wait;
mod worker;

use crate::api::{self, Error, trip};
use clap::{ArgMatches, Command};
use output::Screen;
use place::Uses;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::ffi::OsString;
use std::io::Write;
use std::panic::PanicHookInfo;

/// Runs the command line of this process and ends it.
pub fn main() -> ! {
    trip::arm();
    std::panic::set_hook(Box::new(tell_panic));
    let status = match whole().try_get_matches() {
        Ok(matches) => run(&matches),
        Err(error) => unparsed(&error),
    };
    std::process::exit(i32::from(status))
}

/// As the hook that stands there otherwise, but that it tells no secret.
fn tell_panic(panic: &PanicHookInfo) {
    let (message, place) = api::panicked(panic);
    let thread = std::thread::current();
    let trace = Backtrace::capture();
    let trace = if trace.status() == BacktraceStatus::Captured { format!("\n{trace}") } else { String::new() };
    let thread = thread.name().unwrap_or("unnamed");
    // Nobody is left who could be told that this cannot be written.
    let _ = writeln!(std::io::stderr(), "errand: thread \"{thread}\" panicked at {place}: {message}{trace}");
}

/// Reads arguments as `main` does, and those of a command as far as can be told without the store; runs nothing.
/// The error is what would be said.
pub fn check(argv: impl IntoIterator<Item = OsString>) -> Result<(), String> {
    let matches = whole().try_get_matches_from(argv).map_err(|error| usage_problem(&error.render().to_string()))?;
    match leaf(&matches) {
        Leaf::Verb(verb, matches) => verb::check(verb, matches).map_err(|error| error.message),
        _ => Ok(()),
    }
}

/// Shows what `--help` and `--version` ask for, or says what is wrong with the arguments.
fn unparsed(error: &clap::Error) -> u8 {
    let screen = Screen::unparsed(std::env::args_os().skip(1));
    if !error.use_stderr() || screen.format == output::Format::People {
        error.exit()
    }
    let text = error.render().to_string();
    let wrong = source::wrong(usage_problem(&text));
    let usage = text.lines().find_map(|line| line.trim().strip_prefix("Usage: "));
    screen.error(&match usage {
        Some(usage) => wrong.with("usage", usage),
        None => wrong,
    })
}

/// What clap says is wrong, and what it suggests, on one line and without the usage.
fn usage_problem(text: &str) -> String {
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let said: Vec<&str> = lines.filter(|line| !line.is_empty() && !line.starts_with("For more information")).collect();
    let said = said.join("; ");
    said.strip_prefix("error: ").unwrap_or(&said).replace(":; ", ": ")
}

/// Every command, flag and help text.
fn whole() -> Command {
    let jobs = verbs::jobs().subcommand(worker::command(handler_side::commands()));
    Command::new("errand")
        .about(help::ABOUT)
        .long_about(help::LONG_ABOUT)
        .after_long_help(help::EXAMPLES)
        .version(help::version())
        .args(place::args())
        .arg(output::format_arg())
        .subcommand(jobs)
        .subcommand(Uses::StoreAndWorkspace.shown(serve::command()))
        .subcommand(keys::command())
        .subcommand(Uses::Store.shown(check::command()))
        .subcommand(Uses::Store.shown(backup::command()))
        .subcommand(Uses::Nothing.shown(backup::restore_command()))
        .subcommand(Uses::Nothing.shown(bench::command()))
        .subcommand(Uses::Nothing.shown(help::completions_command()))
}

fn run(matches: &ArgMatches) -> u8 {
    let screen = Screen::of(matches);
    let leaf = leaf(matches);
    if let Some(Err(error)) = leaf.uses().map(|(uses, matches)| uses.refuse(matches)) {
        return screen.error(&error);
    }
    let ended = match leaf {
        Leaf::Completions(matches) => help::print_completions(matches, whole()),
        Leaf::Verb(verb, matches) => verb::run(verb, matches, &screen),
        Leaf::Bench(matches) => bench::run(matches, &screen),
        Leaf::Check(matches) => match check::run(matches, &screen) {
            Ok(true) => Ok(()),
            Ok(false) => return check::NOT_WHOLE,
            Err(error) => Err(error),
        },
        Leaf::Backup(matches) => backup::run(matches, &screen),
        Leaf::Restore(matches) => backup::run_restore(matches, &screen),
        Leaf::Serve(matches) => serve::run(matches, &screen),
        Leaf::Bootstrap(matches) => keys::bootstrap(matches, &screen),
        Leaf::Worker(matches) => worker::run(matches, &screen),
        Leaf::HandlerSide(name, matches) => handler_side::run(name, matches, &screen),
        Leaf::Help(path) => help::print_group(whole(), &path),
    };
    match ended {
        Ok(()) => 0,
        Err(error) => screen.error(&error),
    }
}

/// What the arguments ask for.
enum Leaf<'a> {
    Completions(&'a ArgMatches),
    Verb(&'static verb::Verb, &'a ArgMatches),
    Bench(&'a ArgMatches),
    Check(&'a ArgMatches),
    Backup(&'a ArgMatches),
    Restore(&'a ArgMatches),
    Serve(&'a ArgMatches),
    Bootstrap(&'a ArgMatches),
    Worker(&'a ArgMatches),
    HandlerSide(&'a str, &'a ArgMatches),
    /// A group of commands by itself: it explains itself.
    Help(Vec<&'a str>),
}

impl Leaf<'_> {
    /// What a command uses that does not ask for jobs.
    fn uses(&self) -> Option<(Uses, &ArgMatches)> {
        match self {
            Leaf::Completions(matches) | Leaf::Bench(matches) | Leaf::Restore(matches) => {
                Some((Uses::Nothing, matches))
            }
            Leaf::Check(matches) | Leaf::Backup(matches) => Some((Uses::Store, matches)),
            Leaf::Serve(matches) | Leaf::Bootstrap(matches) => Some((Uses::StoreAndWorkspace, matches)),
            Leaf::Verb(..) | Leaf::Worker(_) | Leaf::HandlerSide(..) | Leaf::Help(_) => None,
        }
    }
}

fn leaf(matches: &ArgMatches) -> Leaf<'_> {
    let mut path = Vec::new();
    let mut at = matches;
    while let Some((name, below)) = at.subcommand() {
        path.push(name);
        at = below;
    }
    match path.as_slice() {
        ["completions"] => Leaf::Completions(at),
        ["bench"] => Leaf::Bench(at),
        ["check"] => Leaf::Check(at),
        ["backup"] => Leaf::Backup(at),
        ["restore"] => Leaf::Restore(at),
        ["serve"] => Leaf::Serve(at),
        ["keys", "bootstrap"] => Leaf::Bootstrap(at),
        ["jobs", "worker", "run"] => Leaf::Worker(at),
        ["jobs", "worker", name] => Leaf::HandlerSide(name, at),
        words => match verbs::find(words) {
            Some(verb) => Leaf::Verb(verb, at),
            None => Leaf::Help(path),
        },
    }
}

type Ended = Result<(), Error>;

#[cfg(test)]
mod tests {
    #[test]
    fn every_command_is_well_formed() {
        super::whole().debug_assert();
    }
}
