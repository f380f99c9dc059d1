//! Bytes of files over HTTP: uploads in several requests, and downloads by links that are signed. Both are streams: a
//! file is never in memory. It does not know where bytes are kept.

use super::form::{Failure, Form};
use super::gate::Asked;
use super::resources::{in_kebab, of_query};
use super::server::{Shared, header_text};
use crate::api::{Caller, Code, Error, FileReader, Link, NewFile, Reply, Scope, Upstream, uploaded};
use crate::value::{MapBuilder, Value, json};
use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use bytes::Bytes;
use http_body_util::channel::Channel;
use http_body_util::{BodyExt, Limited};
use std::collections::HashMap;
use std::time::Duration;
use tokio::task::block_in_place;
use tokio::time::timeout;

pub type Params = Query<HashMap<String, String>>;

/// The largest file.
const FILE_BYTES_MAX: u64 = 4 << 30;
/// The largest body that begins or completes an upload.
const BODY_BYTES_MAX: usize = 64 << 10;
/// How long a client may not take anything of a download.
const TAKE_TIME: Duration = Duration::from_secs(120);
/// Parts of a file that wait for the client.
const PARTS: usize = 2;

pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/files/uploads/init", post(init))
        .route("/api/files/uploads/complete", post(complete))
        .route("/api/files/uploads/direct", put(direct))
        // The secret in the URL is the key.
        .route("/api/files/uploads/sessions/{session}", put(by_token))
        .route("/api/resources/download", get(download))
}

/// Gives a reply in the form that the request wants; keys as they are in the documentation.
fn answered(headers: &HeaderMap, reply: Reply) -> Response {
    match reply {
        Ok(data) => Form::wanted(headers).respond(StatusCode::OK, &in_kebab(headers, data)),
        Err(error) => Failure::of(headers, error).into_response(),
    }
}

async fn init(State(app): State<Shared>, Asked(caller): Asked, headers: HeaderMap, body: Body) -> Response {
    match small_body(&app, body, BODY_BYTES_MAX).await {
        Ok(body) => answered(&headers, block_in_place(|| begin(&app, &caller, &headers, &body))),
        Err(error) => Failure::of(&headers, error).into_response(),
    }
}

fn begin(app: &Shared, caller: &Caller, headers: &HeaderMap, body: &[u8]) -> Reply {
    let body = fields(headers, body)?;
    let new = NewFile {
        filename: text(&body, "filename")?.ok_or_else(|| wrong("filename is missing; it is required"))?,
        folder: text(&body, "folder")?,
        content_type: text(&body, "content-type")?,
        label: text(&body, "label")?,
        replace_existing: flag(&body, "replace-existing")?,
    };
    app.host.may(caller, Scope::ResourcesWrite, None)?;
    let files = app.host.files(&caller.workspace)?;
    let begun = files.begin(&new, |uri| app.host.may(caller, Scope::ResourcesWrite, Some(uri)))?;
    let url =
        format!("{}/api/files/uploads/sessions/{}?token={}", app.base_url(headers), begun.session_id, begun.token);
    Ok(MapBuilder::new()
        .put("uri", begun.uri)
        .put("upload-url", url)
        .put("upload-session-id", begun.session_id)
        .build())
}

async fn direct(
    State(app): State<Shared>,
    Asked(caller): Asked,
    Query(params): Params,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let opened = block_in_place(|| {
        let uri = of_query(&params, "uri")?;
        app.host.may(&caller, Scope::ResourcesWrite, Some(uri))?;
        app.host.files(&caller.workspace)?.write_to(uri)
    });
    stored(&app, &headers, opened, body).await
}

async fn by_token(
    State(app): State<Shared>,
    session: Result<Path<String>, PathRejection>,
    Query(params): Params,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let opened = block_in_place(|| {
        let session = session.map_or_else(|_| String::new(), |Path(session)| session);
        let token = params.get("token").map(String::as_str).unwrap_or_default();
        app.host.files("")?.write_with_token(&session, token)
    });
    stored(&app, &headers, opened, body).await
}

/// Streams a body into a file.
async fn stored(app: &Shared, headers: &HeaderMap, opened: Result<Upstream, Error>, body: Body) -> Response {
    let failure = match opened {
        Err(error) => Failure::of(headers, error),
        Ok(upstream) => match stream_in(app, headers, upstream, body).await {
            Ok(resource) => return answered(headers, Ok(received(&resource))),
            Err((error, status)) => Failure { status, ..Failure::of(headers, error) },
        },
    };
    // What is left of the body is not read: the connection cannot be used again.
    let mut response = failure.into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn received(resource: &Value) -> Value {
    let of = |name: &str| resource.get(name).cloned();
    MapBuilder::new().put("uploaded", true).put_some("uri", of("uri")).put_some("size-bytes", of("size-bytes")).build()
}

type NotStored = (Error, Option<StatusCode>);

async fn stream_in(
    app: &Shared,
    headers: &HeaderMap,
    mut upstream: Upstream,
    mut body: Body,
) -> Result<Value, NotStored> {
    let plain = |error: Error| (error, None);
    let announced = header_text(headers, "content-length").and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| length > FILE_BYTES_MAX) {
        let text = format!("file has more than {FILE_BYTES_MAX} bytes; at most {FILE_BYTES_MAX} are allowed");
        return Err(plain(Error::new(Code::PayloadTooLarge, text)));
    }
    loop {
        let frame = timeout(app.body_time, body.frame()).await.map_err(|_| {
            let error = Error::new(Code::InvalidArgument, "body did not come in time");
            (error, Some(StatusCode::REQUEST_TIMEOUT))
        })?;
        match frame {
            None => return block_in_place(|| upstream.finish()).map_err(plain),
            Some(Err(cause)) => {
                return Err(plain(Error::new(Code::InvalidArgument, format!("body cannot be read: {cause}"))));
            }
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    block_in_place(|| upstream.write(&data)).map_err(plain)?;
                }
            }
        }
    }
}

async fn complete(State(app): State<Shared>, Asked(caller): Asked, headers: HeaderMap, body: Body) -> Response {
    let body = match small_body(&app, body, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => return Failure::of(&headers, error).into_response(),
    };
    let completed = || {
        let body = fields(&headers, &body)?;
        let uri = text(&body, "uri")?.ok_or_else(|| wrong("uri is missing; it is required"))?;
        let session = text(&body, "upload-session-id")?;
        app.host.may(&caller, Scope::ResourcesWrite, Some(&uri))?;
        let resource = app.host.files(&caller.workspace)?.complete(&uri, session.as_deref())?;
        Ok(uploaded(&resource))
    };
    answered(&headers, block_in_place(completed))
}

async fn download(State(app): State<Shared>, Query(params): Params, headers: HeaderMap) -> Response {
    match block_in_place(|| open_link(&app, &params)) {
        Ok(reader) => stream_out(reader),
        Err(error) => Failure::of(&headers, error).into_response(),
    }
}

fn open_link(app: &Shared, params: &HashMap<String, String>) -> Result<FileReader, Error> {
    let refused = || Error::new(Code::Forbidden, "link is not one of ours or over; ask for another one");
    let link = Link {
        uri: of_query(params, "uri")?.into(),
        expires_at: of_query(params, "expires")?.parse().map_err(|_| refused())?,
        signature: of_query(params, "signature")?.into(),
    };
    let files = app.host.files("")?;
    if !files.is_signed(&link)? {
        return Err(refused());
    }
    files.of_workspace(&link.uri).ok_or_else(refused)?.download(&link.uri)
}

/// A file as the body of a response, never shown by a browser.
fn stream_out(mut reader: FileReader) -> Response {
    let of = |name: &str| reader.resource.get(name).and_then(Value::as_str).unwrap_or_default().to_string();
    let (content_type, filename) = (of("content-type"), of("filename"));
    let length = reader.size_bytes;
    let (mut sender, body) = Channel::<Bytes, Error>::new(PARTS);
    tokio::spawn(async move {
        loop {
            let sent = match block_in_place(|| reader.chunk()) {
                Ok(chunk) if chunk.is_empty() => return,
                Ok(chunk) => timeout(TAKE_TIME, sender.send_data(chunk.into())).await,
                Err(error) => return sender.abort(error),
            };
            if !matches!(sent, Ok(Ok(()))) {
                // The client is gone, or as good as gone.
                return sender.abort(Error::new(Code::Unavailable, "client does not take the file"));
            }
        }
    });
    let mut response = Body::new(body).into_response();
    let headers = response.headers_mut();
    let content_type = HeaderValue::from_str(&content_type);
    let bytes = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, content_type.unwrap_or(bytes));
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CONTENT_DISPOSITION, attachment(&filename));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    response
}

/// `attachment` with the name of the file, in ASCII and as it is.
pub fn attachment(filename: &str) -> HeaderValue {
    if filename.is_empty() {
        return HeaderValue::from_static("attachment");
    }
    let plain: String = filename
        .chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\') || c == ' ' { c } else { '_' })
        .collect();
    let text = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", percent(filename, ""));
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"))
}

/// A text as it may stand in a URL; the marks in `kept` stay.
pub fn percent(text: &str, kept: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b) || kept.as_bytes().contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// A body that is not to be large.
pub async fn small_body(app: &Shared, body: Body, max: usize) -> Result<Bytes, Error> {
    match timeout(app.body_time, Limited::new(body, max).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(cause)) if cause.is::<http_body_util::LengthLimitError>() => {
            let text = format!("body is too large; at most {max} bytes are allowed");
            Err(Error::new(Code::PayloadTooLarge, text))
        }
        Ok(Err(cause)) => Err(wrong(&format!("body cannot be read: {cause}"))),
        Err(_) => Err(wrong("body did not come in time")),
    }
}

/// The body of a request as a map; its keys in kebab-case or in camelCase.
fn fields(headers: &HeaderMap, body: &[u8]) -> Result<Value, Error> {
    let read = match Form::sent(headers) {
        Some(Form::Edn) => Form::Edn.read(body)?,
        Some(Form::Json) | None => json::read(body, &[])
            .map_err(|fault| Error::new(Code::InvalidArgument, format!("body is malformed JSON: {}", fault.message)))?,
    };
    match read {
        map @ Value::Map(_) => Ok(map),
        _ => Err(wrong("body is not a map")),
    }
}

fn field<'a>(body: &'a Value, name: &str) -> Option<&'a Value> {
    let Value::Map(entries) = body else { return None };
    let camel = crate::value::camel(name);
    let named = |key: &Value| match key {
        Value::Str(given) => **given == *name || **given == *camel,
        Value::Keyword(given) => given == name,
        _ => false,
    };
    entries.iter().find(|(key, value)| named(key) && *value != Value::Nil).map(|(_, value)| value)
}

fn text(body: &Value, name: &str) -> Result<Option<String>, Error> {
    match field(body, name) {
        None => Ok(None),
        Some(Value::Str(text)) if !text.is_empty() => Ok(Some(text.to_string())),
        Some(Value::Str(_)) => Ok(None),
        Some(_) => Err(wrong(&format!("{name} is not text"))),
    }
}

fn flag(body: &Value, name: &str) -> Result<bool, Error> {
    match field(body, name) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(wrong(&format!("{name} is not a boolean; allowed: true, false"))),
    }
}

fn wrong(text: &str) -> Error {
    Error::new(Code::InvalidArgument, text)
}

/// The link as a URL.
pub fn link_url(base: &str, link: &Link) -> String {
    let (uri, expires_at, signature) = (percent(&link.uri, ":/"), link.expires_at, &link.signature);
    format!("{base}/api/resources/download?uri={uri}&expires={expires_at}&signature={signature}")
}
