//! JSON and EDN: which one a request speaks, bodies to values, replies and errors to envelopes.
//! It does not know commands.

use super::server::header_text;
use crate::api::{self, Code, Error, Names};
use crate::value::{FaultKind, MapBuilder, Value, edn, json};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// The form of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Json,
    Edn,
}

/// After how many seconds what is not available may be.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

impl Form {
    /// The form in which the body of a request is; nothing where it is another one.
    pub fn sent(headers: &HeaderMap) -> Option<Form> {
        let kind = header_text(headers, "content-type")?.split(';').next()?.trim().to_ascii_lowercase();
        match &*kind {
            "application/json" | "text/json" => Some(Form::Json),
            "application/edn" => Some(Form::Edn),
            _ => None,
        }
    }

    /// The form in which a request wants its answer: as it says, else as it is itself.
    pub fn wanted(headers: &HeaderMap) -> Form {
        let accept = header_text(headers, "accept").unwrap_or_default().to_ascii_lowercase();
        match (accept.find("application/edn"), accept.find("application/json")) {
            (Some(edn), Some(json)) if edn < json => Form::Edn,
            (_, Some(_)) => Form::Json,
            (Some(_), None) => Form::Edn,
            (None, None) => Form::sent(headers).unwrap_or(Form::Json),
        }
    }

    pub fn names(self) -> Names {
        match self {
            Form::Json => Names::Json,
            Form::Edn => Names::Clojure,
        }
    }

    /// Reads a body of ours, in which what stands under the fields of open data is kept as it is.
    pub fn read(self, body: &[u8]) -> Result<Value, Error> {
        let (name, read) = match self {
            Form::Json => ("JSON", json::read(body, api::open_fields())),
            Form::Edn => match std::str::from_utf8(body) {
                Ok(text) => ("EDN", edn::read_open(text, api::open_fields())),
                Err(cause) => {
                    let at = cause.valid_up_to();
                    return Err(Error::new(Code::InvalidArgument, format!("body is not UTF-8 at byte {at}")));
                }
            },
        };
        read.map_err(|fault| {
            let code = match fault.kind {
                FaultKind::Invalid => Code::InvalidArgument,
                FaultKind::TooLarge => Code::PayloadTooLarge,
            };
            Error::new(code, format!("body is malformed {name}: {}", fault.message)).at(fault.path)
        })
    }

    /// A body of ours; names of ours are spelled as the form has them.
    pub fn write(self, value: &Value) -> String {
        match self {
            Form::Json => json::write(value),
            Form::Edn => edn::write(value),
        }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Form::Json => "application/json",
            Form::Edn => "application/edn",
        })
    }

    /// A response with a value as its body.
    pub fn respond(self, status: StatusCode, value: &Value) -> Response {
        let mut response = (status, self.write(value)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, self.content_type());
        response
    }

    /// A command's data in its envelope.
    pub fn success(self, workspace: &str, data: Value) -> Response {
        let envelope = MapBuilder::new().put("ok", true).put("workspace-id", workspace).put("data", data).build();
        self.respond(StatusCode::OK, &envelope)
    }
}

/// An error on its way to a caller.
#[derive(Debug)]
pub struct Failure {
    pub form: Form,
    pub error: Error,
    /// Where it is not the one of the error's code.
    pub status: Option<StatusCode>,
}

impl Failure {
    /// An error in the form that a request wants.
    pub fn of(headers: &HeaderMap, error: Error) -> Failure {
        Failure { form: Form::wanted(headers), error, status: None }
    }

    pub fn with_status(self, status: StatusCode) -> Failure {
        Failure { status: Some(status), ..self }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Failure { form, error, status } = self;
        let row = error.code.row();
        let known = row.http.and_then(|status| StatusCode::from_u16(status).ok());
        // Codes that never go over HTTP: the engine is being closed, which another server may not be.
        let status = status.or(known).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let shown = if row.code == Code::Internal { hidden(&error) } else { error };
        let hint = hint(shown.code).map(|hint| MapBuilder::new().put("hint", hint).build());
        let envelope = MapBuilder::new().put("ok", false).put("error", fault(&shown)).put_some("meta", hint).build();
        let mut response = form.respond(status, &envelope);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// What a fault of ours is to a caller; the log has the rest.
fn hidden(error: &Error) -> Error {
    tracing::error!(message = %error.message, "internal fault");
    Error::new(Code::Internal, "fault of ours; details are in the log of the server")
}

fn fault(error: &Error) -> Value {
    let details = error.details.iter().map(|(name, value)| (Value::Keyword(name.clone()), value.clone())).collect();
    // What only another server may do is not available here.
    let code = if error.code == Code::Closed { Code::Unavailable } else { error.code };
    MapBuilder::new()
        .put("code", code.row().name)
        .put("message", error.message.as_str())
        .put_some("path", (!error.path.is_empty()).then(|| error.path.clone()))
        .put_some("details", (!error.details.is_empty()).then_some(Value::Map(details)))
        .build()
}

fn hint(code: Code) -> Option<&'static str> {
    match code {
        Code::Unauthenticated => {
            Some("send a key: Authorization: Bearer <key>; 'errand keys bootstrap' makes the first")
        }
        Code::Forbidden => Some("an administrator's key can give a service account more scopes and job types"),
        Code::LeaseLost => Some("the job may be with another worker: stop, and claim again"),
        Code::Unavailable | Code::Closed => Some("try again, with the same operation id"),
        _ => None,
    }
}
