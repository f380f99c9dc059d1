//! One verb of the command line: the command that it runs, its flags and examples, how it asks and shows the reply.
//! It does not know which verbs there are, nor what the commands do.

use super::output::Screen;
use super::place::{self, Missing};
use super::{Ended, flags, wait};
use crate::api::{self, Names};
use clap::{Arg, ArgAction, ArgMatches, Command};

/// One verb of the command line.
pub struct Verb {
    /// The words after `errand`.
    pub words: &'static [&'static str],
    pub alias: Option<&'static str>,
    pub command: &'static str,
    /// The field that is given without a flag.
    pub subject: Option<&'static str>,
    pub missing: Missing,
    pub manner: Manner,
    pub examples: &'static [&'static str],
    /// What else has to be known.
    pub note: &'static str,
}

/// How a verb asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Ask,
    /// As `Ask`; more is shown with `--full`, which the command itself does not have.
    Show,
    /// Asks until it is terminal or the bound is reached.
    Wait,
}

/// A verb as clap knows it.
pub fn command(verb: &'static Verb) -> Command {
    let (Some(row), Some(name)) = (api::command(verb.command), verb.words.last()) else {
        unreachable!("a verb has words and runs a command of the table: {}", verb.command)
    };
    let mut command = Command::new(*name)
        .about(row.doc.trim_end_matches('.'))
        .args(flags::args(row, verb.subject))
        .after_help(format!("Examples:\n  {}\n\n{}", verb.examples.join("\n  "), verb.note));
    if let Some(alias) = verb.alias {
        command = command.visible_alias(alias);
    }
    if verb.manner == Manner::Show {
        command = command.arg(Arg::new("full").long("full").action(ArgAction::SetTrue).help("show all of each job"));
    }
    command
}

/// Runs a verb and shows its reply.
pub fn run(verb: &'static Verb, matches: &ArgMatches, screen: &Screen) -> Ended {
    let Some(row) = api::command(verb.command) else { unreachable!("a verb runs a command of the table") };
    let args = flags::arguments(row, matches)?;
    let client = place::connect(matches, verb.missing)?;
    let reply = match verb.manner {
        Manner::Wait => wait::ask(client.as_ref(), row, args),
        Manner::Ask | Manner::Show => api::ask(client.as_ref(), row.name, args, Names::Flag),
    };
    client.close();
    screen.reply(&reply.map_err(flags::in_words_of_flags)?, client.workspace(), is_full(matches))
}

/// Checks a verb's arguments without a store.
pub fn check(verb: &'static Verb, matches: &ArgMatches) -> Ended {
    let Some(row) = api::command(verb.command) else { unreachable!("a verb runs a command of the table") };
    let args = flags::arguments(row, matches)?;
    let call = api::Call { command: row, args, names: Names::Flag };
    api::checked(&call).map(|_| ()).map_err(flags::in_words_of_flags)
}

fn is_full(matches: &ArgMatches) -> bool {
    ["full", "full?"].iter().any(|id| matches.try_get_one::<bool>(id).ok().flatten().is_some_and(|full| *full))
}
