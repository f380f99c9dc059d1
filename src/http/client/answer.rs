//! Answers of a control plane, and what stands in the place of one: data, its errors, and what went wrong on the way.
//! It does not send anything, nor decide when it is tried again.

use super::without_secret;
use crate::api::{self, CODES, Code, Error};
use crate::value::{Name, Value, edn, json};
use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use std::time::Duration;

/// Twice what a reply may hold: its envelope and its own keys come on top.
const ANSWER_BYTES_MAX: usize = 128 << 20;
/// Above this an answer is read on another thread, so that others are not held up.
const ANSWER_BYTES_QUICK: usize = 128 << 10;
const CHUNK_MAX: Duration = Duration::from_secs(30);

/// Why there is no data.
#[derive(Debug)]
pub struct Fault {
    pub error: Error,
    /// Whether the same call may be answered when it is sent again.
    pub again: bool,
    /// How long the server asked to be left alone.
    pub after: Option<Duration>,
    /// Whether a control plane said so.
    pub answered: bool,
}

impl Fault {
    fn ours(code: Code, message: String, again: bool) -> Fault {
        Fault { error: Error::new(code, message), again, after: None, answered: false }
    }

    /// What was asked for may have happened all the same.
    fn unknown(mut self, mutates: bool) -> Fault {
        if mutates {
            self.error = self.error.with("outcome", "unknown");
        }
        self
    }
}

/// There was no answer in time.
pub fn silent(url: &str, mutates: bool) -> Fault {
    Fault::ours(Code::Unavailable, format!("control plane \"{url}\" does not answer in time"), true).unknown(mutates)
}

/// The request did not get through, or its answer did not.
pub fn unreachable(url: &str, error: &reqwest::Error, mutates: bool) -> Fault {
    let why = innermost(error);
    if error.is_builder() {
        return Fault::ours(Code::InvalidArgument, format!("control plane \"{url}\" cannot be used: {why}"), false);
    }
    if error.is_connect() {
        // A certificate does not become trusted by asking again.
        let again = !why.contains("certificate");
        return Fault::ours(Code::Unavailable, format!("control plane \"{url}\" cannot be reached: {why}"), again);
    }
    let message = format!("connection to the control plane \"{url}\" was lost: {why}");
    Fault::ours(Code::Unavailable, message, true).unknown(mutates)
}

/// The text of the error at the bottom: those above it only say that there is one.
pub fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Reads an answer.
pub async fn read(url: &str, response: Response, mutates: bool) -> Result<Value, Fault> {
    let head = Head {
        url: url.to_owned(),
        status: response.status().as_u16(),
        form: header(&response, CONTENT_TYPE).unwrap_or_default(),
        location: header(&response, LOCATION),
        after: header(&response, RETRY_AFTER).and_then(|after| after.parse().ok()).map(Duration::from_secs),
    };
    let body = body(url, response, mutates).await?;
    let read = if body.len() <= ANSWER_BYTES_QUICK {
        head.read(&body)
    } else {
        let read = tokio::task::spawn_blocking(move || head.read(&body)).await;
        read.unwrap_or_else(|_| Err(Fault::ours(Code::Internal, "answer could not be read".into(), false)))
    };
    // Who stands between may have passed the request on and kept the answer.
    read.map_err(|fault| if fault.answered { fault } else { fault.unknown(mutates) })
}

fn header(response: &Response, name: reqwest::header::HeaderName) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}

async fn body(url: &str, mut response: Response, mutates: bool) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    loop {
        let chunk = match tokio::time::timeout(CHUNK_MAX, response.chunk()).await {
            Err(_) => return Err(silent(url, mutates)),
            Ok(Err(error)) => return Err(unreachable(url, &error, mutates)),
            Ok(Ok(None)) => return Ok(body),
            Ok(Ok(Some(chunk))) => chunk,
        };
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            let message = format!("answer of \"{url}\" is over {ANSWER_BYTES_MAX} bytes");
            return Err(Fault::ours(Code::Internal, message, false));
        }
        body.extend_from_slice(&chunk);
    }
}

/// What stands above the body of an answer.
struct Head {
    url: String,
    status: u16,
    form: String,
    location: Option<String>,
    after: Option<Duration>,
}

impl Head {
    fn read(&self, body: &[u8]) -> Result<Value, Fault> {
        let Some(envelope) = self.envelope(body) else { return Err(self.foreign()) };
        match (field(&envelope, "ok"), field(&envelope, "data")) {
            (Some(Value::Bool(true)), Some(data)) if self.status == 200 => Ok(data.clone()),
            (Some(Value::Bool(false)), _) => match field(&envelope, "error").map(opened) {
                Some(error) => Err(self.refusal(&error)),
                None => Err(self.foreign()),
            },
            _ => Err(self.foreign()),
        }
    }

    fn envelope(&self, body: &[u8]) -> Option<Value> {
        let text = std::str::from_utf8(body).ok()?;
        if self.form.starts_with("application/json") {
            return json::read(body, &[]).ok();
        }
        api::reply_data(text).ok()
    }

    /// The error as the control plane said it.
    fn refusal(&self, error: &Value) -> Fault {
        let name = field(error, "code").and_then(Value::as_str).unwrap_or_default();
        let row = CODES.iter().find(|row| row.name == name);
        let code = row.map_or_else(|| self.code(), |row| row.code);
        let message = field(error, "message").and_then(Value::as_str).unwrap_or("no reason was given");
        let mut told = Error::new(code, message);
        if let Some(Value::Map(details)) = field(error, "details").map(opened) {
            told.details = details.into_iter().filter_map(|(key, value)| Some((name_of(key)?, value))).collect();
        }
        if let Some(Value::Vector(path)) = field(error, "path") {
            told.path = path.clone();
        }
        Fault { error: told, again: matches!(self.status, 502..=504), after: self.after, answered: true }
    }

    /// What a code that we do not know is nearest to.
    fn code(&self) -> Code {
        let row = CODES.iter().find(|row| row.http == Some(self.status));
        row.map_or(if self.status < 500 { Code::InvalidArgument } else { Code::Internal }, |row| row.code)
    }

    /// The error for an answer that no control plane gives: a proxy's, or another server's. The control plane itself may
    /// be there again when the same is asked later, which is not tried at once where it is most likely an error of whom
    /// gave the address.
    fn foreign(&self) -> Fault {
        let Head { url, status, .. } = self;
        let form = if self.form.is_empty() { "nothing" } else { &self.form };
        let (message, again) = match status {
            408 | 429 | 502..=504 => {
                (format!("control plane \"{url}\" is not there: HTTP {status} from a proxy before it"), true)
            }
            401 | 403 | 407 => {
                (format!("\"{url}\" refuses us with HTTP {status}, but not as a control plane does"), false)
            }
            300..=399 => {
                let to = without_secret(self.location.as_deref().unwrap_or("nowhere"));
                (format!("\"{url}\" sends us on to \"{to}\"; give the control plane's own address"), false)
            }
            _ => {
                let message = format!("\"{url}\" is not a control plane of Errand: HTTP {status} with {form}");
                (message, *status >= 400)
            }
        };
        Fault { after: self.after, ..Fault::ours(Code::Unavailable, message, again) }
    }
}

/// A value that may have been kept as text, as a tree.
fn opened(value: &Value) -> Value {
    match value {
        Value::Text(text) => edn::read(text).unwrap_or_else(|_| value.clone()),
        other => other.clone(),
    }
}

fn name_of(key: Value) -> Option<Name> {
    match key {
        Value::Keyword(name) => Some(name),
        Value::Str(name) => Some(String::from(name).into()),
        _ => None,
    }
}

/// What stands under a key of an envelope, in EDN or JSON.
fn field<'a>(map: &'a Value, name: &str) -> Option<&'a Value> {
    let Value::Map(entries) = map else { return None };
    entries.iter().find_map(|(key, value)| match key {
        Value::Keyword(key) if key == name => Some(value),
        Value::Str(key) if **key == *name => Some(value),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, form: &str, body: &str) -> Result<Value, Fault> {
        let head = Head { url: "http://x".into(), status, form: form.into(), location: None, after: None };
        head.read(body.as_bytes())
    }

    #[test]
    fn data_is_what_the_engine_gave_with_the_callers_own_as_text() {
        let data = read(200, "application/edn", "{:ok true :data {:job {:job-id \"j\" :payload {:a/b [1 2.0M]}}}}");
        let data = data.unwrap();
        let payload = data.get("job").and_then(|job| job.get("payload"));
        assert_eq!(payload, Some(&Value::Text("{:a/b [1 2.0M]}".into())));
    }

    #[test]
    fn an_error_keeps_its_code_message_and_details() {
        let body = r#"{:ok false :error {:code "refused" :message "no" :details {:status "failed"}}}"#;
        let fault = read(409, "application/edn", body).unwrap_err();
        assert_eq!(fault.error, Error::new(Code::Refused, "no").with("status", "failed"));
        assert!(fault.answered && !fault.again);
        let body = r#"{"ok": false, "error": {"code": "unavailable", "message": "draining"}}"#;
        let fault = read(503, "application/json; charset=utf-8", body).unwrap_err();
        assert_eq!(fault.error, Error::new(Code::Unavailable, "draining"));
        assert!(fault.again);
    }

    #[test]
    fn what_is_no_control_plane_is_said_to_be_none() {
        let page = |status| read(status, "text/html", "<html>");
        let other = |status| read(status, "application/json", "{\"error\": \"unauthorized\"}");
        let nothing = |status| read(status, "", "");
        for answer in [page, other, nothing] {
            for (status, again) in [(200, false), (302, false), (401, false), (404, true), (500, true), (502, true)] {
                let fault = answer(status).unwrap_err();
                assert_eq!(
                    (fault.error.code, fault.again, fault.answered),
                    (Code::Unavailable, again, false),
                    "{status}"
                );
            }
        }
    }
}
