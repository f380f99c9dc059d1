//! `POST /api/commands`: one command in, its answer out.
//! It does not know single commands.

use super::form::{Failure, Form};
use super::gate::Asked;
use super::log::Said;
use super::pace;
use super::server::{BODY_BYTES_MAX, Shared, header_text};
use super::waiting;
use crate::api::{self, Call, Caller, Code, Error, shown};
use crate::value::Value;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

/// A body of more bytes is a large one.
const LARGE_BYTES: usize = 2 << 20;
/// How many times as long as one pause a whole body may take.
const BODY_PAUSES: u32 = 10;

pub async fn run(State(app): State<Shared>, Asked(caller): Asked, headers: HeaderMap, body: Body) -> Response {
    // Many may wait long: what only reads the request is let go of before.
    match Box::pin(call(&app, headers, body)).await {
        Err(failure) => failure.into_response(),
        Ok((form, call)) => answered(app, form, caller, call).await,
    }
}

fn answered(app: Shared, form: Form, caller: Caller, call: Call) -> impl Future<Output = Response> {
    let (command, workspace) = (call.command.name, caller.workspace.clone());
    let reply = waiting::ask(app, caller, call);
    async move {
        let reply = reply.await;
        let code = reply.as_ref().err().map(|error| error.code);
        let mut response = match reply {
            Ok(data) => pace::on_value(data, |data| form.success(&workspace, data)),
            Err(error) => Failure { form, error, status: None }.into_response(),
        };
        response.extensions_mut().insert(Said { command, workspace, code });
        response
    }
}

/// What is asked, and the form in which it is to be answered.
async fn call(app: &Shared, headers: HeaderMap, body: Body) -> Result<(Form, Call), Failure> {
    let failed = |error| Failure::of(&headers, error);
    let Some(form) = Form::sent(&headers) else {
        let text = "content type is unknown; allowed: application/json, application/edn";
        let error = Error::new(Code::InvalidArgument, text);
        return Err(failed(error).with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    };
    let body = read_body(app, &headers, body).await.map_err(|(error, status)| Failure { status, ..failed(error) })?;
    let call = pace::on_bytes(body.len(), || read_call(form, &body)).map_err(failed)?;
    Ok((Form::wanted(&headers), call))
}

/// Why a body cannot be had, and the status that says so where the error's code does not.
type NoBody = (Error, Option<StatusCode>);

/// The whole body of a request, where it comes steadily and is not too large.
async fn read_body(app: &Shared, headers: &HeaderMap, mut body: Body) -> Result<Bytes, NoBody> {
    let announced = header_text(headers, "content-length").and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(too_large());
    }
    let until = Instant::now() + app.body_time * BODY_PAUSES;
    let mut turn = None;
    // What is announced is not yet there.
    let mut read = BytesMut::with_capacity(announced.unwrap_or(0).min(64 << 10));
    loop {
        if read.len() > LARGE_BYTES && turn.is_none() {
            turn = timeout_at(until, app.large_bodies.acquire()).await.ok();
        }
        let pause = until.min(Instant::now() + app.body_time);
        let frame = match timeout_at(pause, body.frame()).await {
            Err(_) => {
                let error = Error::new(Code::InvalidArgument, "body did not come in time");
                return Err((error, Some(StatusCode::REQUEST_TIMEOUT)));
            }
            Ok(None) => return Ok(read.freeze()),
            Ok(Some(Err(cause))) => {
                return Err((Error::new(Code::InvalidArgument, format!("body cannot be read: {cause}")), None));
            }
            Ok(Some(Ok(frame))) => frame,
        };
        if let Ok(data) = frame.into_data() {
            if read.len() + data.len() > BODY_BYTES_MAX {
                return Err(too_large());
            }
            read.extend_from_slice(&data);
        }
    }
}

fn too_large() -> NoBody {
    let text = format!("body is too large; at most {BODY_BYTES_MAX} bytes are allowed");
    (Error::new(Code::PayloadTooLarge, text).with("limit", BODY_BYTES_MAX as i64), None)
}

/// `{command, args}`
fn read_call(form: Form, body: &[u8]) -> Result<Call, Error> {
    let Value::Map(entries) = form.read(body)? else {
        return Err(wrong("body is not a map; allowed: a map of command and args".into()));
    };
    let (mut name, mut args) = (None, Value::Map(Vec::new()));
    for (key, value) in entries {
        match (key_text(&key, form), value) {
            (Some("command"), Value::Str(text)) => name = Some(text.to_string()),
            (Some("command"), Value::Keyword(text)) if form == Form::Edn => name = Some(text.to_string()),
            (Some("command"), _) => return Err(wrong("command is not text; allowed: the name of a command".into())),
            (Some("args"), Value::Nil) => {}
            (Some("args"), value) => args = value,
            (Some(key), _) => {
                return Err(wrong(format!("key {} is unknown; allowed: command, args", shown(&key.into()))));
            }
            (None, _) => return Err(wrong("body has a key that is not text; allowed: command, args".into())),
        }
    }
    let name = name.ok_or_else(|| wrong("command is missing; it is required".into()))?;
    let command =
        api::command(&name).ok_or_else(|| wrong(format!("command {} is unknown", shown(&name.as_str().into()))))?;
    Ok(Call { command, args, names: form.names() })
}

fn key_text(key: &Value, form: Form) -> Option<&str> {
    match (key, form) {
        (Value::Str(name), Form::Json) => Some(name),
        (Value::Keyword(name), Form::Edn) => Some(name),
        _ => None,
    }
}

fn wrong(message: String) -> Error {
    Error::new(Code::InvalidArgument, message)
}
