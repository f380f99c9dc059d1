//! `errand serve`: flags to a server, its address to the screen, its log to standard error.
//! It does not know how a server works.

use super::output::{Format, Screen, note, print};
use super::place::{self, Missing};
use super::{Ended, help, source};
use crate::api::{Error, EventSink, OpenOptions};
use crate::http::{ServeOptions, Server, TlsFiles};
use crate::value::{MapBuilder, Value};
use crate::worker::{Log, heard};
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

pub fn command() -> Command {
    let text = |name: &'static str, value: &'static str| Arg::new(name).long(name).value_name(value);
    let file = |name: &'static str| text(name, "FILE").value_parser(value_parser!(PathBuf));
    Command::new("serve")
        .about("Serve the store to programs on other machines, over HTTP")
        .long_about(help::SERVE)
        .after_long_help(help::SERVE_EXAMPLES)
        .arg(
            text("listen", "ADDRESS:PORT")
                .default_value("127.0.0.1:8383")
                .help("where to listen; port 0 takes a free one; other machines need keys to be made first"),
        )
        .arg(file("tls-cert").requires("tls-key").help("certificate chain in PEM: serves https"))
        .arg(file("tls-key").requires("tls-cert").help("private key of the certificate, in PEM"))
        .arg(text("public-url", "URL").help("how others reach the server, where it stands behind a proxy"))
        .arg(
            Arg::new("no-auth")
                .long("no-auth")
                .action(ArgAction::SetTrue)
                .help("let in any token and none, on loopback addresses only: everybody on this machine may do all"),
        )
        .arg(
            text("resources", "DIR|s3://BUCKET")
                .help("where the bytes of files are kept, remembered in the store; beside it when never said"),
        )
        .arg(
            text("retention", "DURATION").value_parser(source::keep).help(
                "how long ended jobs are kept with their resources, remembered in the store; 30d when never said",
            ),
        )
        .arg(
            text("retention-type", "TYPE=DURATION")
                .action(ArgAction::Append)
                .value_parser(kept)
                .help("the same for one job type; repeat for more"),
        )
        .arg(
            text("drain-time", "DURATION")
                .default_value("6s")
                .value_parser(source::duration)
                .help("how long connected workers are told to drain before the server ends"),
        )
        .arg(
            text("log-format", "FORMAT")
                .value_parser(PossibleValuesParser::new(["text", "json"]))
                .help("form of the log on standard error; text on a terminal, json elsewhere when absent"),
        )
        .arg(
            text("log-level", "LEVEL")
                .default_value("info")
                .value_parser(PossibleValuesParser::new(["error", "warn", "info", "debug"]))
                .help("what is worth a line in the log"),
        )
}

/// Serves until a signal ends it.
pub fn run(matches: &ArgMatches, screen: &Screen) -> Ended {
    start_log(matches);
    let sink: EventSink = Arc::new(|event| {
        let text = |name| event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        tracing::warn!(event = text("event"), message = text("message"), "engine");
    });
    let host = place::serve(matches, Missing::Make, store_options(matches, sink)?)?;
    let store = host.path().to_string_lossy().into_owned();
    let options = options(matches);
    let open = options.no_auth;
    let server = Server::start(host, options)?;
    tracing::info!(url = server.url(), store, "server listens");
    if open {
        note("WARNING: --no-auth: every program and user of this machine may do everything, in every workspace");
    }
    tell(&server, &store, screen)?;
    let ended = server.run_until_signalled();
    heard();
    ended
}

/// How the store is opened: what is said of files and of how long things are kept is remembered in it.
fn store_options(matches: &ArgMatches, sink: EventSink) -> Result<OpenOptions, Error> {
    let ms = |time: &Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let by_type = matches.get_many::<(String, Duration)>("retention-type");
    let by_type = by_type.map(|given| given.map(|(name, time)| (Value::str(&**name), ms(time).into())).collect());
    // The options of a program have the bounds and the words; only the names are others.
    let given = MapBuilder::new()
        .put_some("resources", matches.get_one::<String>("resources").cloned())
        .put_some("retention", matches.get_one::<Duration>("retention").map(ms))
        .put_some("retention-by-type", by_type.map(Value::Map))
        .build();
    let options = OpenOptions::from_value(&given).map_err(|error| {
        let message = error.message.replacen(":retention-by-type", "--retention-type", 1);
        Error { message: message.replacen(':', "--", usize::from(message.starts_with(':'))), ..error }
    })?;
    Ok(OpenOptions { on_event: Some(sink), ..options })
}

/// `type=duration`
fn kept(text: &str) -> Result<(String, Duration), String> {
    let (name, time) = source::pair(text)?;
    Ok((name, source::keep(&time)?))
}

fn options(matches: &ArgMatches) -> ServeOptions {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let file = |name: &str| matches.get_one::<PathBuf>(name).cloned();
    let default = ServeOptions::default();
    ServeOptions {
        listen: text("listen").unwrap_or(default.listen),
        tls: file("tls-cert").zip(file("tls-key")).map(|(cert, key)| TlsFiles { cert, key }),
        no_auth: matches.get_flag("no-auth"),
        public_url: text("public-url"),
        drain_time: matches.get_one::<Duration>("drain-time").copied().unwrap_or(default.drain_time),
        ..default
    }
}

/// Says where the server is, and with which token where there are no keys.
fn tell(server: &Server, store: &str, screen: &Screen) -> Ended {
    if screen.format == Format::People {
        let mut text = format!("serving {store} at {}\n", server.url());
        if let Some(token) = server.token() {
            text.push_str(&format!(
                "no keys exist yet, so only this machine can connect, with a token made for this run:\n\n  \
                 ERRAND_API_URL={} ERRAND_API_KEY={token}\n\n\
                 'errand keys bootstrap' makes the first lasting key\n",
                server.url()
            ));
        }
        return print(&text);
    }
    let told = MapBuilder::new()
        .put("url", server.url())
        .put("address", server.address().to_string())
        .put("store", store)
        .put_some("token", server.token());
    screen.bare(&told.build())
}

fn start_log(matches: &ArgMatches) {
    let word = |name: &str| matches.get_one::<String>(name).map(String::as_str);
    let level = match word("log-level") {
        Some("error") => LevelFilter::ERROR,
        Some("warn") => LevelFilter::WARN,
        Some("debug") => LevelFilter::DEBUG,
        _ => LevelFilter::INFO,
    };
    let on_terminal = std::io::stderr().is_terminal();
    let is_json = word("log-format").map_or(!on_terminal, |format| format == "json");
    let writer = move || Log { json: is_json };
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_target(false).with_ansi(on_terminal);
    let lines = if is_json { lines.json().flatten_event(true).boxed() } else { lines.boxed() };
    // Ours only: what libraries log may hold keys.
    let filter = Targets::new().with_target("errand", level);
    // Only a second log in one process would be refused.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
}
