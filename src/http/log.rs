//! One line in the log for each request: what was asked and how it ended, never with what in it.
//! It does not know where the log goes.

use super::server::{Shared, header_text};
use crate::api::Code;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use std::time::Instant;
use tracing::Instrument;

/// What a route tells the log of what it did; it stands in the extensions of the response.
#[derive(Clone)]
pub struct Said {
    pub command: &'static str,
    pub workspace: String,
    pub code: Option<Code>,
}

/// Logs and counts a request. The path is the route's, since a URL may hold a token.
pub async fn request(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str).to_string();
    let id = plain_id(header_text(request.headers(), "x-request-id").unwrap_or_default()).to_string();
    let attempt =
        header_text(request.headers(), "x-breyta-operation-attempt").and_then(|text| text.parse::<u32>().ok());
    let span = tracing::info_span!("request", id);
    let response = next.run(request).instrument(span).await;
    let took = started.elapsed();
    let status = response.status().as_u16();
    let said = response.extensions().get::<Said>();
    let command = said.map_or("", |said| said.command);
    let workspace = said.map_or("", |said| &said.workspace);
    let code = said.and_then(|said| said.code).map_or("", |code| code.row().name);
    app.metrics.answered(&route, command, status, took);
    let ms = took.as_millis() as u64;
    tracing::info!(request_id = id, %method, route, command, workspace, status, code, ms, attempt, "request");
    response
}

/// An id that a client may have chosen, if nothing else can be hidden in it.
fn plain_id(id: &str) -> &str {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.';
    if id.len() <= 64 && id.bytes().all(plain) { id } else { "malformed" }
}
