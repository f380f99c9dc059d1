//! What is printed: replies and errors, for people on a terminal, else as the envelope of the HTTP API in JSON or EDN.
//! It does not know commands.

use super::{Ended, people};
use crate::api::{Code, Error};
use crate::value::{MapBuilder, Value, edn, json};
use clap::{Arg, ArgMatches, builder::PossibleValuesParser};
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};

/// The form of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    People,
    Json,
    Edn,
}

/// The forms by name.
const FORMATS: [&str; 3] = ["text", "json", "edn"];

/// The flag that chooses the form.
pub fn format_arg() -> Arg {
    Arg::new("format")
        .long("format")
        .global(true)
        .help_heading("Output")
        .value_name("FORMAT")
        .value_parser(PossibleValuesParser::new(FORMATS))
        .help("how to print; text on a terminal, json elsewhere when absent")
}

/// Where and how this process prints.
pub struct Screen {
    pub format: Format,
    pub on_terminal: bool,
}

impl Screen {
    pub fn of(matches: &ArgMatches) -> Screen {
        Screen::named(matches.get_one::<String>("format").map(String::as_str))
    }

    fn named(name: Option<&str>) -> Screen {
        let on_terminal = io::stdout().is_terminal();
        let format = match name {
            Some("json") => Format::Json,
            Some("edn") => Format::Edn,
            Some(_) => Format::People,
            None if on_terminal => Format::People,
            None => Format::Json,
        };
        Screen { format, on_terminal }
    }

    /// The screen of arguments that could not be read: the form is looked for among them.
    pub fn unparsed(args: impl Iterator<Item = OsString>) -> Screen {
        let args: Vec<String> =
            args.map(|arg| arg.to_string_lossy().into_owned()).take_while(|arg| arg != "--").collect();
        let after = args.iter().skip_while(|arg| *arg != "--format").nth(1).map(String::as_str);
        let named = after.or_else(|| args.iter().find_map(|arg| arg.strip_prefix("--format=")));
        Screen::named(named.filter(|name| FORMATS.contains(name)))
    }

    /// Whether colours are allowed.
    pub fn colour(&self) -> bool {
        self.on_terminal
            && super::place::variable("NO_COLOR").is_none()
            && std::env::var("TERM").as_deref() != Ok("dumb")
    }

    /// Prints a command's data.
    pub fn reply(&self, data: &Value, workspace: &str, full: bool) -> Ended {
        if self.format == Format::People {
            return print(&people::show(data, full, self.colour()));
        }
        let envelope =
            MapBuilder::new().put("ok", true).put("workspace-id", workspace).put("data", data.clone()).build();
        print(&self.written(&envelope))
    }

    /// Prints what was found of a store as a whole, where that is not for people.
    pub fn found(&self, ok: bool, data: &Value) -> Ended {
        self.bare(&MapBuilder::new().put("ok", ok).put("data", data.clone()).build())
    }

    /// Prints a value as it is, without an envelope.
    pub fn bare(&self, value: &Value) -> Ended {
        print(&self.written(value))
    }

    fn written(&self, value: &Value) -> String {
        match self.format {
            Format::Edn => edn::write(value),
            Format::Json if !self.on_terminal => json::write(value),
            Format::Json | Format::People => json::write_pretty(value),
        }
    }

    /// Says what went wrong and gives the exit status that says it too.
    pub fn error(&self, error: &Error) -> u8 {
        let row = error.code.row();
        if self.format != Format::People {
            let details =
                error.details.iter().map(|(name, value)| (Value::Keyword(name.clone()), value.clone())).collect();
            let fault = MapBuilder::new()
                .put("code", row.name)
                .put("message", error.message.as_str())
                .put_some("details", (!error.details.is_empty()).then_some(Value::Map(details)))
                .build();
            // There is no better place to say that saying it failed.
            let _ = print(&self.written(&MapBuilder::new().put("ok", false).put("error", fault).build()));
        }
        if self.format == Format::People || (io::stderr().is_terminal() && !self.on_terminal) {
            note(&people::plain(&error.message));
        }
        row.exit
    }
}

/// A line for people, on standard error.
pub fn note(text: &str) {
    // Nobody is left to tell where standard error is closed.
    let _ = writeln!(io::stderr(), "errand: {text}");
}

/// Prints a text and ends its line; a reader that went away is no error.
pub fn print(text: &str) -> Ended {
    let mut out = io::stdout().lock();
    let ended =
        out.write_all(text.trim_end().as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
    match ended {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::new(Code::Internal, format!("output cannot be written: {e}")))
        }
        _ => Ok(()),
    }
}
