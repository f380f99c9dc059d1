//! Commands asked from asynchronous code: arguments as JSON, the reply awaited.
//! It does not retry and does not judge replies.

use crate::api::{Answer, Call, Client, Code, Error, Names, Pending, Reply, command};
use crate::value::{Value, json};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Names under which a caller's own data stands, in the arguments that a worker sends.
pub const OPEN: &[&str] = &["outputs", "metrics", "details", "worker-info", "artifacts", "worker-labels"];

/// Runs one command. The client is called on a thread for blocking work, since a store that is busy with another
/// process's transaction may hold its caller, and timers must go on meanwhile.
pub async fn ask(client: &Arc<dyn Client>, name: &'static str, args: serde_json::Value) -> Reply {
    begin(client, name, args).await?.reply().await
}

/// Starts one command whose reply can be given up.
pub async fn begin(client: &Arc<dyn Client>, name: &'static str, args: serde_json::Value) -> Result<Asked, Error> {
    let args = to_value(&args)?;
    let Some(command) = command(name) else { unreachable!("the worker asks for commands of the table") };
    let client = Arc::clone(client);
    let (tell, told) = oneshot::channel();
    let done = Box::new(move |reply| {
        // The receiver is gone only where the reply was given up.
        let _ = tell.send(reply);
    });
    let call = Call { command, args, names: Names::Json };
    match tokio::task::spawn_blocking(move || client.call(call, done)).await {
        Ok(Answer::Now(reply)) => Ok(Asked::Now(reply)),
        Ok(Answer::Later(pending)) => Ok(Asked::Later(pending, told)),
        Err(_) => Err(Error::new(Code::Internal, "command ended by a fault")),
    }
}

/// A command that was asked.
pub enum Asked {
    Now(Reply),
    Later(Pending, oneshot::Receiver<Reply>),
}

impl Asked {
    pub async fn reply(self) -> Reply {
        match self {
            Asked::Now(reply) => reply,
            Asked::Later(_, told) => told.await.unwrap_or_else(|_| Err(closed())),
        }
    }
}

fn closed() -> Error {
    Error::new(Code::Closed, "engine was closed")
}

/// JSON as the client takes it; the caller's own data in it stays text.
pub fn to_value(args: &serde_json::Value) -> Result<Value, Error> {
    json::read(args.to_string().as_bytes(), OPEN)
        .map_err(|fault| Error::new(Code::InvalidArgument, fault.message.clone()).at(fault.path))
}
