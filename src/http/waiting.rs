//! A call under way for one request: its answer, or its end when the client goes away or the server drains.
//! It does not know single commands.

use super::pace;
use super::server::Shared;
use crate::api::{Answer, Call, Caller, Code, Error, Pending, Reply};
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::task::block_in_place;

/// Asks, and waits for the answer for as long as the client does.
pub async fn ask(app: &Shared, caller: Caller, call: Call) -> Reply {
    let (tell, told) = oneshot::channel();
    // Only what waits is needed again afterwards: the rest may be large.
    let again = call.command.waits().then(|| Arc::new((caller.clone(), call.clone())));
    let gone = again.clone().map(|asked| (app.host.clone(), asked));
    let done = Box::new(move |reply| {
        if let (Err(reply), Some((host, asked))) = (tell.send(reply), gone) {
            host.undelivered(&asked.0, &asked.1, &reply);
        }
    });
    let short = !call.command.reads() && pace::is_short(&call.args);
    let begin = || app.host.call_as(&caller, call, done);
    let pending = match if short { begin() } else { block_in_place(begin) } {
        Answer::Now(reply) => return reply,
        Answer::Later(pending) => pending,
    };
    let Some(asked) = again else {
        return told.await.unwrap_or_else(|_| Err(gone_error()));
    };
    let mut draining = app.draining.clone();
    let _counted = app.metrics.polling();
    let mut waiting = Waiting { app: app.clone(), asked, pending: Some(pending), told: Some(told) };
    tokio::select! {
        reply = waiting.reply() => reply,
        _ = draining.wait_for(|draining| *draining) => waiting.cut_short(),
    }
}

fn gone_error() -> Error {
    Error::new(Code::Unavailable, "server is being closed")
}

/// A wait that is given up when it is dropped: then the client is gone.
struct Waiting {
    app: Shared,
    asked: Arc<(Caller, Call)>,
    pending: Option<Pending>,
    told: Option<oneshot::Receiver<Reply>>,
}

impl Waiting {
    async fn reply(&mut self) -> Reply {
        let Some(told) = &mut self.told else { return Err(gone_error()) };
        let reply = told.await.unwrap_or_else(|_| Err(gone_error()));
        self.told = None;
        self.pending = None;
        reply
    }

    /// Ends the wait now, with the answer that there is.
    fn cut_short(&mut self) -> Reply {
        if let Some(pending) = self.pending.take() {
            pending.forget();
        }
        match self.told.take().and_then(closed) {
            Some(reply) => reply,
            None => block_in_place(|| self.app.host.without_waiting(&self.asked.0, &self.asked.1)),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(pending) = self.pending.take() {
            pending.forget();
        }
        if let Some(reply) = self.told.take().and_then(closed) {
            self.app.host.undelivered(&self.asked.0, &self.asked.1, &reply);
        }
    }
}

/// The reply that came before the channel was closed: after that the sender learns that nobody takes it.
fn closed(mut told: oneshot::Receiver<Reply>) -> Option<Reply> {
    told.close();
    told.try_recv().ok()
}
