//! A call under way for one request: its answer, or its end when the client goes away or the server drains.
//! It does not know single commands.

use super::pace;
use super::server::Shared;
use crate::api::{Answer, Call, Caller, Code, Error, Pending, Reply};
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::task::block_in_place;

/// Asks, and waits for the answer for as long as the client does.
pub fn ask(app: Shared, caller: Caller, call: Call) -> impl Future<Output = Reply> + Send {
    // Asked before the future below, which so keeps no room for the call.
    let begun = begin(app, caller, call);
    async move {
        match begun {
            Begun::Answered(reply) => *reply,
            Begun::Under(told) => told.await.unwrap_or_else(|_| Err(gone_error())),
            Begun::Waits(mut waiting) => {
                let mut draining = waiting.app.draining.clone();
                let _counted = waiting.app.metrics.polling();
                tokio::select! {
                    reply = waiting.reply() => reply,
                    _ = draining.wait_for(|draining| *draining) => waiting.cut_short(),
                }
            }
        }
    }
}

/// A call that was asked.
enum Begun {
    Answered(Box<Reply>),
    Under(oneshot::Receiver<Reply>),
    Waits(Waiting),
}

fn begin(app: Shared, caller: Caller, call: Call) -> Begun {
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
    match (if short { begin() } else { block_in_place(begin) }, again) {
        (Answer::Now(reply), _) => Begun::Answered(Box::new(reply)),
        (Answer::Later(_), None) => Begun::Under(told),
        (Answer::Later(pending), Some(asked)) => {
            Begun::Waits(Waiting { app, asked, pending: Some(pending), told: Some(told) })
        }
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
