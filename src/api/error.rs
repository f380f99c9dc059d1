//! Errors as every surface shows them: one table of codes with their HTTP status, exit status and advice to retry.
//! It does not decide who is told what.

use super::crash::masked;
use super::shown::clipped;
use super::spelling::{Names, spelled};
use crate::engine;
use crate::job::Refusal;
use crate::store;
use crate::value::{MapBuilder, Name, Value};

/// What kind of trouble it is; the same word on every surface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    InvalidArgument,
    Unauthenticated,
    Forbidden,
    NotFound,
    Refused,
    LeaseLost,
    PayloadTooLarge,
    AwaitTimeout,
    Closed,
    Unavailable,
    Internal,
}

/// One row of the table of errors.
pub struct CodeRow {
    pub code: Code,
    pub name: &'static str,
    /// Absent for codes that never go over HTTP.
    pub http: Option<u16>,
    /// Exit status of the command line.
    pub exit: u8,
    pub retry: bool,
    /// `:cognitect.anomalies/category`, without its namespace.
    pub category: &'static str,
    pub doc: &'static str,
}

const fn row(
    code: Code,
    name: &'static str,
    http: Option<u16>,
    exit: u8,
    retry: bool,
    category: &'static str,
    doc: &'static str,
) -> CodeRow {
    CodeRow { code, name, http, exit, retry, category, doc }
}

/// Every code, in the order of `Code`.
pub const CODES: &[CodeRow] = &[
    row(
        Code::InvalidArgument,
        "invalid-argument",
        Some(400),
        2,
        false,
        "incorrect",
        "an argument is missing, unknown or malformed; nothing was written",
    ),
    row(Code::Unauthenticated, "unauthenticated", Some(401), 3, false, "forbidden", "no key, or one that is not valid"),
    row(Code::Forbidden, "forbidden", Some(403), 3, false, "forbidden", "the key does not allow this"),
    row(
        Code::NotFound,
        "not-found",
        Some(404),
        4,
        false,
        "not-found",
        "no such job, batch, resource or key in this workspace; no such store, or folder of one",
    ),
    row(Code::Refused, "refused", Some(409), 5, false, "conflict", "the state of the job forbids it"),
    row(Code::LeaseLost, "lease-lost", Some(409), 5, false, "conflict", "the lease token is not the job's current one"),
    row(Code::PayloadTooLarge, "payload-too-large", Some(413), 2, false, "incorrect", "a value is over its limit"),
    row(
        Code::AwaitTimeout,
        "await-timeout",
        None,
        6,
        true,
        "interrupted",
        "the bound of the wait was reached; the job goes on",
    ),
    row(Code::Closed, "closed", None, 2, false, "incorrect", "the engine was closed"),
    row(
        Code::Unavailable,
        "unavailable",
        Some(503),
        75,
        true,
        "unavailable",
        "the store is busy, unreachable or shutting down",
    ),
    row(Code::Internal, "internal", Some(500), 70, false, "fault", "a fault of ours; details are in the log"),
];

impl Code {
    /// This code's row of the table.
    pub fn row(self) -> &'static CodeRow {
        &CODES[self as usize]
    }
}

/// A refusal or failure, as the caller sees it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub code: Code,
    /// For the caller: noun, problem, the value in quotes, what is allowed.
    pub message: String,
    /// The offending place in the arguments, outermost first; empty where none is.
    pub path: Vec<Value>,
    /// Facts by name (`status`, `job`, …), with the keys of the command table.
    pub details: Vec<(Name, Value)>,
}

impl Error {
    pub fn new(code: Code, message: impl Into<String>) -> Error {
        Error { code, message: message.into(), path: Vec::new(), details: Vec::new() }
    }

    pub fn with(mut self, name: impl Into<Name>, value: impl Into<Value>) -> Error {
        self.details.push((name.into(), value.into()));
        self
    }

    pub fn at(mut self, path: Vec<Value>) -> Error {
        self.path = path.into_iter().map(clipped).collect();
        self
    }

    /// With the place of something unknown as the caller spells it; every other place is so already.
    pub(super) fn spelled(mut self, names: Names) -> Error {
        if self.code == Code::NotFound {
            for step in &mut self.path {
                if let Value::Keyword(name) = step {
                    *step = spelled(name, names);
                }
            }
        }
        self
    }

    /// `{:code :message :retry? :category :path? :details?}`, the form in which an error crosses a boundary.
    pub fn to_value(&self) -> Value {
        let row = self.code.row();
        let details = self.details.iter().map(|(name, value)| (Value::Keyword(name.clone()), value.clone())).collect();
        MapBuilder::new()
            .put("code", row.name)
            .put("message", self.message.as_str())
            .put("retry?", row.retry)
            .put("category", row.category)
            .put_some("path", (!self.path.is_empty()).then(|| self.path.clone()))
            .put_some("details", (!self.details.is_empty()).then_some(Value::Map(details)))
            .build()
    }
}

impl From<engine::Error> for Error {
    fn from(error: engine::Error) -> Error {
        let message = error.to_string();
        match error {
            engine::Error::Refused(Refusal::Status { status, event }) => {
                let message = refused("job", status.name(), event).unwrap_or(message);
                Error::new(Code::Refused, message).with("status", status.name()).with("event", event)
            }
            engine::Error::Refused(Refusal::LeaseLost) => Error::new(Code::LeaseLost, message),
            engine::Error::Refused(Refusal::NotDue | Refusal::LeaseHolds) => Error::new(Code::Refused, message),
            engine::Error::Settled(status) => Error::new(Code::Refused, message).with("status", status.name()),
            engine::Error::BatchEnded(status) => {
                let message = refused("batch", status, "cancel").unwrap_or(message);
                Error::new(Code::Refused, message).with("status", status).with("event", "cancel")
            }
            engine::Error::NoJob(_) => unknown("job-id", message),
            engine::Error::NoBatch(_) => unknown("batch-id", message),
            engine::Error::KeyTaken(key, id) => {
                Error::new(Code::Refused, message).with("idempotency-key", key).with("made", id)
            }
            engine::Error::TooManyArtifacts(..) => Error::new(Code::InvalidArgument, message),
            engine::Error::Denied(_) => Error::new(Code::Forbidden, message),
            engine::Error::KeyRefused(_) => Error::new(Code::Unauthenticated, message),
            engine::Error::OperationTaken(_) | engine::Error::ExpiresInThePast => {
                Error::new(Code::InvalidArgument, message)
            }
            engine::Error::NoAccount(_) => unknown("service-account-id", message),
            engine::Error::NoKey(_) => unknown("key-id", message),
            engine::Error::Invalid(_) => Error::new(Code::InvalidArgument, message),
            engine::Error::NotFound(_) => Error::new(Code::NotFound, message),
            engine::Error::TooLarge(_) => Error::new(Code::PayloadTooLarge, message),
            engine::Error::Forbidden(_) => Error::new(Code::Refused, message),
            engine::Error::Conflict => Error::new(Code::Unavailable, message),
            engine::Error::Closed => Error::new(Code::Closed, "engine is closed; open it again"),
            engine::Error::Panicked(_) => Error::new(Code::Internal, masked(&message)),
            engine::Error::Store(error) => error.into(),
        }
    }
}

/// What is named in a field is not there.
fn unknown(field: &'static str, message: String) -> Error {
    Error::new(Code::NotFound, message).at(vec![Value::key(field)])
}

/// What an operator is told of a cancel or a retry that came at the wrong time.
fn refused(what: &str, status: &str, event: &str) -> Option<String> {
    match event {
        "cancel" if status == "cancelled" => Some(format!("{what} is already cancelled")),
        "cancel" => Some(format!("{what} is already {status}; allowed: to cancel before the end")),
        "retry" => Some(format!("{what} is {status}; allowed: to retry what is failed, timed_out or cancelled")),
        _ => None,
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        let message = error.to_string();
        match error {
            store::Error::Busy(_) | store::Error::Unavailable(_) => Error::new(Code::Unavailable, message),
            store::Error::Unknown(_) => Error::new(Code::Unavailable, message).with("outcome", "unknown"),
            store::Error::Unusable(_) => Error::new(Code::InvalidArgument, message),
            store::Error::Missing(_) => Error::new(Code::NotFound, message),
            store::Error::Corrupt(_) => Error::new(Code::Internal, message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Status;

    #[test]
    fn an_operator_who_comes_too_late_is_told_how_it_ended() {
        let told = |status, event| Error::from(engine::Error::Refused(Refusal::Status { status, event })).message;
        assert_eq!(told(Status::Cancelled, "cancel"), "job is already cancelled");
        assert_eq!(told(Status::Succeeded, "cancel"), "job is already succeeded; allowed: to cancel before the end");
        assert_eq!(
            told(Status::Queued, "retry"),
            "job is queued; allowed: to retry what is failed, timed_out or cancelled"
        );
    }

    #[test]
    fn the_table_is_in_the_order_of_the_codes() {
        for (index, row) in CODES.iter().enumerate() {
            assert_eq!(row.code as usize, index, "{}", row.name);
        }
    }
}
