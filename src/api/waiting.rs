//! Where jobs are, and that a wait was over too early, in words: the same ones on every surface.
//! It does not wait.

use super::checked::{Waits, checked};
use super::duration::duration_text;
use super::error::{Code, Error};
use super::{Call, Client, Place, Reply};
use crate::value::Value;
use std::fmt;

/// Where a client's jobs are.
#[derive(Clone, Debug)]
pub struct Whereabouts {
    pub place: Place,
    pub workspace: String,
}

impl fmt::Display for Whereabouts {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.place {
            Place::Store(path) => write!(f, "workspace \"{}\" of {}", self.workspace, path.display()),
            Place::Url(url) => write!(f, "workspace \"{}\" of {url}", self.workspace),
        }
    }
}

impl Whereabouts {
    pub fn of(client: &dyn Client) -> Whereabouts {
        Whereabouts { place: client.place().clone(), workspace: client.workspace().into() }
    }

    /// The reply, in which an error about something unknown says where it was looked for.
    pub fn named(&self, reply: Reply) -> Reply {
        reply.map_err(|mut error| {
            if error.code == Code::NotFound && error.message.ends_with(" is unknown") {
                error.message = format!("{} in {self}", error.message);
            }
            error
        })
    }
}

/// A wait for an end.
#[derive(Clone, Debug)]
pub struct Waiting {
    whereabouts: Whereabouts,
    bound_ms: Option<i64>,
}

impl Waiting {
    /// The wait that a call is, where it is one.
    pub fn of(client: &dyn Client, call: &Call) -> Option<Waiting> {
        if !call.command.waits() {
            return None;
        }
        let bound_ms = match checked(call).map(|checked| checked.wait) {
            Ok(Waits::End(ms)) => Some(ms),
            // The call itself tells what is wrong with it.
            Ok(Waits::Not | Waits::Claim(_)) | Err(_) => None,
        };
        Some(Waiting { whereabouts: Whereabouts::of(client), bound_ms })
    }

    /// The error that the wait was over first; `kind` is "job" or "batch", `state` its last state.
    pub fn over(&self, kind: &'static str, state: Value) -> Error {
        let text = |name: &str| state.get(name).and_then(Value::as_str).unwrap_or_default();
        let status = text("status");
        let rest = match status {
            "queued" => match (kind, state.get("attempt")) {
                ("job", Some(Value::Int(0))) => ": no worker has taken it; it stays queued",
                ("job", _) => ": it waits for its next attempt; it stays queued",
                _ => ": no worker has taken any of its jobs; it stays queued",
            },
            _ => "; it goes on",
        };
        let after = self.bound_ms.map(|ms| format!(" after {}", duration_text(ms))).unwrap_or_default();
        let (id, job_type) = (text(if kind == "job" { "job-id" } else { "batch-id" }), text("job-type"));
        let message =
            format!("{kind} \"{id}\" of type {job_type} is still {status}{after}{rest} ({})", self.whereabouts);
        Error::new(Code::AwaitTimeout, message).with(kind, state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::MapBuilder;

    fn over(kind: &'static str, status: &str, attempt: i64) -> String {
        let place = Place::Store("/abs/jobs.db".into());
        let whereabouts = Whereabouts { place, workspace: "default".into() };
        let state = MapBuilder::new()
            .put("job-id", "01")
            .put("batch-id", "01")
            .put("job-type", "review")
            .put("status", status)
            .put("attempt", attempt);
        Waiting { whereabouts, bound_ms: Some(300_000) }.over(kind, state.build()).message
    }

    #[test]
    fn a_wait_that_was_over_first_says_what_it_waited_for_how_long_and_where() {
        let end = "(workspace \"default\" of /abs/jobs.db)";
        let expected = [
            (
                over("job", "queued", 0),
                "job \"01\" of type review is still queued after 5m: no worker has taken it; it stays queued",
            ),
            (
                over("job", "queued", 1),
                "job \"01\" of type review is still queued after 5m: it waits for its next attempt; it stays queued",
            ),
            (over("job", "running", 1), "job \"01\" of type review is still running after 5m; it goes on"),
            (
                over("batch", "queued", 0),
                "batch \"01\" of type review is still queued after 5m: no worker has taken any of its jobs; it stays queued",
            ),
        ];
        for (said, expected) in expected {
            assert_eq!(said, format!("{expected} {end}"));
        }
    }
}
