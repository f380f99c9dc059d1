//! What the server is made of: the routes, what stands around all of them, and what they share.
//! It does not know sockets: `serving.rs` and `connections.rs` do.

use super::commands;
use super::files;
use super::form::{Failure, Form};
use super::gate::Gate;
use super::health;
use super::log;
use super::metrics::Metrics;
use super::resources;
use crate::api::{Code, Error, Host, panic_text, shown};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::set_header::SetResponseHeaderLayer;

/// The largest body of a command.
pub const BODY_BYTES_MAX: usize = 64 << 20;
/// How many large bodies are held at once: others wait for their turn.
pub const LARGE_BODIES_MAX: usize = 8;

/// What all routes share.
pub struct App {
    pub host: Arc<Host>,
    pub gate: Gate,
    pub metrics: Metrics,
    /// Becomes true when the server is to end.
    pub draining: watch::Receiver<bool>,
    /// How long a body may pause.
    pub body_time: Duration,
    /// Large bodies that may be held at once.
    pub large_bodies: Semaphore,
    /// How others reach the server, as it was told; without an end.
    pub public_url: Option<String>,
    pub scheme: &'static str,
}

impl App {
    /// The beginning of absolute URLs on this server, as the client of a request knows it.
    pub fn base_url(&self, headers: &HeaderMap) -> String {
        let host = || header_text(headers, "host").unwrap_or("localhost");
        self.public_url.clone().unwrap_or_else(|| format!("{}://{}", self.scheme, host()))
    }
}

pub type Shared = Arc<App>;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Every route of the server, with what stands around all of them. Routes below `/api` answer in JSON or EDN, whatever
/// happens; each asks for its caller itself (`gate::Asked`).
pub fn routes(app: Shared) -> Router {
    Router::new()
        .route("/api/commands", post(commands::run))
        .merge(files::routes())
        .merge(resources::routes())
        .merge(health::routes())
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown_path)
        // As one layer, the outermost first: the router keeps room for the future of each, and many requests wait.
        .layer((
            SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid),
            PropagateRequestIdLayer::new(REQUEST_ID),
            SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            SetResponseHeaderLayer::overriding(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            from_fn_with_state(app.clone(), log::request),
            CatchPanicLayer::custom(panicked),
            DefaultBodyLimit::disable(),
        ))
        .with_state(app)
}

async fn unknown_path(request: Request) -> Response {
    let error = Error::new(Code::NotFound, format!("path {} is unknown", shown(&request.uri().path().into())));
    Failure::of(request.headers(), error).into_response()
}

async fn wrong_method(request: Request) -> Response {
    let text = format!("method {} is not for path {}", request.method(), shown(&request.uri().path().into()));
    let error = Error::new(Code::InvalidArgument, text);
    Failure { status: Some(StatusCode::METHOD_NOT_ALLOWED), ..Failure::of(request.headers(), error) }.into_response()
}

/// The answer to a request that met a fault of ours; what it was is in the log.
fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!(panic = panic_text(&*panic), "request panicked");
    let error = Error::new(Code::Internal, "fault of ours; details are in the log of the server");
    Failure { form: Form::Json, error, status: None }.into_response()
}

/// The headers of a request by name, as text.
pub fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;

    fn body(response: Response) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bytes = runtime.block_on(to_bytes(response.into_body(), 1 << 20)).unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn a_panic_is_an_internal_error_that_tells_nothing_of_it() {
        let response = panicked(Box::new("a private thing"));
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let text = "{\"ok\":false,\"error\":{\"code\":\"internal\",\"message\":\"fault of ours; details are in the log of the server\"}}";
        assert_eq!(body(response), text);
    }

    #[test]
    fn every_code_has_its_status_and_its_name_in_both_forms() {
        for row in crate::api::CODES {
            let failure = |form| Failure { form, error: Error::new(row.code, "said"), status: None }.into_response();
            let status = failure(Form::Json).status().as_u16();
            assert_eq!(status, row.http.unwrap_or(503), "{}", row.name);
            assert_eq!(failure(Form::Json).headers().contains_key(header::RETRY_AFTER), status == 503);
            // An engine that was closed is not available; a bound that was reached is no failure over HTTP.
            let name = if row.code == Code::Closed { "unavailable" } else { row.name };
            let (json, edn) = (body(failure(Form::Json)), body(failure(Form::Edn)));
            assert!(json.contains(&format!("{{\"ok\":false,\"error\":{{\"code\":\"{name}\"")), "{json}");
            assert!(edn.contains(&format!("{{:ok false, :error {{:code \"{name}\"")), "{edn}");
        }
    }
}
