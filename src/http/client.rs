//! The client of a control plane elsewhere: the commands of the table over HTTP, with the answers and the errors of an
//! engine in this process. Arguments are checked before anything is sent.
//! It does not know what a command does, nor which surface asks.

mod answer;
mod files;
mod line;
mod polls;
mod runtime;
mod under_way;

use crate::api::{self, Answer, Call, Client, Code, Done, Error, Files, Place, RemoteOptions, Reply, Waits};
use files::RemoteFiles;
use line::{Line, Said};
use std::sync::Arc;
use under_way::UnderWay;

/// Whether a place is a control plane's address and not a file.
pub fn is_url(place: &str) -> bool {
    let scheme = |name: &str| place.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    scheme("http://") || scheme("https://")
}

/// An address as an error shows it: without the user and the password that may stand in it.
pub fn without_secret(url: &str) -> String {
    let Some((before, host)) = url.rsplit_once('@') else { return url.into() };
    let scheme = before.find("://").map_or("", |at| &before[..at + 3]);
    format!("{scheme}…@{host}")
}

/// A client of the control plane at `url`. Nothing is sent before the first call.
pub fn connect(url: &str, options: RemoteOptions) -> Result<Arc<dyn Client>, Error> {
    let line = Line::new(url, &options)?;
    Ok(Arc::new(Remote {
        place: Place::Url(line.url().to_owned()),
        workspace: options.workspace,
        line: Arc::new(line),
        under_way: Arc::default(),
    }))
}

#[derive(Clone)]
struct Remote {
    place: Place,
    workspace: String,
    line: Arc<Line>,
    under_way: Arc<UnderWay>,
}

impl Remote {
    fn try_call(&self, call: Call, done: Done) -> Result<Answer, Error> {
        if self.under_way.is_closed() {
            return Err(closed());
        }
        let checked = api::checked(&call)?;
        let said = Said { command: call.command, args: checked.args };
        let line = Arc::clone(&self.line);
        let runtime = runtime::handle()?;
        Ok(match checked.wait {
            Waits::Not => {
                // Written on the caller's thread: it may be large, and all clients share the other one.
                let written = said.written();
                self.under_way.start(runtime, done, async move { line.ask(written).await })
            }
            Waits::Claim(wait_ms) => self.under_way.start(runtime, done, polls::claimed(line, said, wait_ms)),
            Waits::End(wait_ms) => self.under_way.start(runtime, done, polls::ended(line, said, wait_ms)),
        })
    }
}

fn closed() -> Error {
    Error::new(Code::Closed, "engine is closed; open it again")
}

impl Client for Remote {
    fn call(&self, call: Call, done: Done) -> Answer {
        let whereabouts = api::Whereabouts::of(self);
        let done = Box::new(move |reply| done(whereabouts.named(reply)));
        self.try_call(call, done).unwrap_or_else(|error| Answer::Now(Reply::Err(error)))
    }

    fn place(&self) -> &Place {
        &self.place
    }

    fn workspace(&self) -> &str {
        &self.workspace
    }

    fn files(&self) -> Result<Arc<dyn Files>, Error> {
        if self.under_way.is_closed() {
            return Err(closed());
        }
        Ok(Arc::new(RemoteFiles(Arc::new(self.clone()))))
    }

    fn close(&self) {
        self.under_way.close();
    }
}
