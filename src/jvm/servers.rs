//! Servers that run in this JVM, by number, and their log, of which trouble goes to the event queue.
//! It does not know requests.

use super::events::QUEUE;
use super::request::{guarded, read};
use crate::api::{Client, Code, Error};
use crate::http::{ServeOptions, Server};
use crate::value::{MapBuilder, Value};
use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tracing_subscriber::field::Visit;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt;

/// The ticket of events that belong to no engine.
const NO_TICKET: i64 = 0;

static SERVERS: Mutex<Option<Servers>> = Mutex::new(None);

#[derive(Default)]
struct Servers {
    last: i64,
    running: HashMap<i64, Arc<Server>>,
}

fn servers() -> MutexGuard<'static, Option<Servers>> {
    SERVERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a server on the engine behind a client, and tells the ticket where it is.
pub fn start(client: &dyn Client, options: &[u8], ticket: i64) -> Result<(), Error> {
    let options = ServeOptions::from_value(&read(options)?)?;
    let Some(host) = client.host() else {
        let text = "engine is elsewhere, behind a control plane of its own; an engine on a database can be served";
        return Err(Error::new(Code::InvalidArgument, text));
    };
    // Where it was set before, trouble is told already.
    let _ = tracing_subscriber::registry().with(Trouble.with_filter(ours())).try_init();
    on_thread("errand-serve", ticket, move || {
        let server = Server::start(host, options)?;
        let told = MapBuilder::new()
            .put("url", server.url())
            .put("port", i64::from(server.address().port()))
            .put_some("token", server.token());
        let mut servers = servers();
        let servers = servers.get_or_insert_default();
        servers.last += 1;
        servers.running.insert(servers.last, Arc::new(server));
        Ok(told.put("server", servers.last).build())
    })
}

/// Ends a server, and tells the ticket when it has.
pub fn stop(server: i64, ticket: i64) -> Result<(), Error> {
    let server = servers().as_mut().and_then(|servers| servers.running.remove(&server));
    on_thread("errand-stop", ticket, move || {
        if let Some(server) = server {
            server.close();
        }
        Ok(Value::Nil)
    })
}

fn on_thread(
    name: &str,
    ticket: i64,
    work: impl FnOnce() -> Result<Value, Error> + Send + 'static,
) -> Result<(), Error> {
    let run = move || QUEUE.push(ticket, guarded(work));
    let started = std::thread::Builder::new().name(name.into()).spawn(run);
    started.map(drop).map_err(|error| Error::new(Code::Unavailable, format!("server cannot start a thread: {error}")))
}

/// What libraries log may hold keys.
fn ours() -> Targets {
    Targets::new().with_target("errand", LevelFilter::WARN)
}

/// Makes events of what is logged.
struct Trouble;

impl Layer<Registry> for Trouble {
    fn on_event(&self, event: &tracing::Event<'_>, _context: Context<'_, Registry>) {
        let mut line = Line::default();
        event.record(&mut line);
        let told = MapBuilder::new().put("event", "server-failed").put("message", line.0.trim_start());
        QUEUE.push(NO_TICKET, Ok(told.build()));
    }
}

/// The fields of an event in one line.
#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
