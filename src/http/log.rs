//! One line in the log for each request: what was asked and how it ended, never with what in it.
//! It does not know where the log goes.

use super::server::{Shared, header_text};
use crate::api::Code;
use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
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

/// Logs and counts a request, and refuses it at the door where it has to be. The path is the route's, since a URL may
/// hold a token.
pub fn request(State(app): State<Shared>, request: Request, next: Next) -> impl Future<Output = Response> + Send {
    let asked = Asked::of(&request);
    let span = tracing::info_span!("request", id = asked.id);
    // Made before the future below, which so keeps no room for the request.
    let answer = match app.gate.refused(&request) {
        Some(refusal) => Err(refusal),
        None => Ok(Box::pin(next.run(request).instrument(span))),
    };
    async move {
        let response = match answer {
            Ok(answer) => answer.await,
            Err(refusal) => refusal,
        };
        asked.answered(&app, &response);
        response
    }
}

/// What is known of a request before it is answered.
struct Asked {
    started: Instant,
    method: Method,
    route: String,
    id: String,
    attempt: Option<u32>,
}

impl Asked {
    fn of(request: &Request) -> Asked {
        let header = |name| header_text(request.headers(), name);
        let route = request.extensions().get::<MatchedPath>();
        Asked {
            started: Instant::now(),
            method: request.method().clone(),
            route: route.map_or("unknown", MatchedPath::as_str).to_string(),
            id: plain_id(header("x-request-id").unwrap_or_default()).to_string(),
            attempt: header("x-breyta-operation-attempt").and_then(|text| text.parse().ok()),
        }
    }

    fn answered(&self, app: &Shared, response: &Response) {
        let Asked { started, method, route, id, attempt } = self;
        let took = started.elapsed();
        let status = response.status().as_u16();
        let said = response.extensions().get::<Said>();
        let command = said.map_or("", |said| said.command);
        let workspace = said.map_or("", |said| &said.workspace);
        let code = said.and_then(|said| said.code).map_or("", |code| code.row().name);
        app.metrics.answered(route, command, status, took);
        let ms = took.as_millis() as u64;
        tracing::info!(request_id = id, %method, route, command, workspace, status, code, ms, attempt, "request");
    }
}

/// An id that a client may have chosen, if nothing else can be hidden in it.
fn plain_id(id: &str) -> &str {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.';
    if id.len() <= 64 && id.bytes().all(plain) { id } else { "malformed" }
}
