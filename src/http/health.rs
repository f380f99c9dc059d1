//! `/healthz`, `/readyz`, `/metrics`: what watches over the server asks these.
//! It does not need a key, but for the counts of jobs.

use super::form::{Failure, Form};
use super::gate;
use super::server::Shared;
use crate::api::{Code, Error};
use crate::value::{MapBuilder, Value};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::task::block_in_place;

pub fn routes() -> Router<Shared> {
    Router::new().route("/healthz", get(alive)).route("/readyz", get(ready)).route("/metrics", get(metrics))
}

async fn alive(headers: HeaderMap) -> Response {
    Form::wanted(&headers).respond(StatusCode::OK, &ok())
}

fn ok() -> Value {
    MapBuilder::new().put("ok", true).build()
}

/// Whether requests are served: the store answers and the server is not about to end.
async fn ready(State(app): State<Shared>, headers: HeaderMap) -> Response {
    let ready = match *app.draining.borrow() {
        true => Err(Error::new(Code::Unavailable, "server is draining")),
        false => block_in_place(|| app.host.answers()),
    };
    match ready {
        Ok(()) => Form::wanted(&headers).respond(StatusCode::OK, &ok()),
        Err(error) => Failure::of(&headers, error).with_status(StatusCode::SERVICE_UNAVAILABLE).into_response(),
    }
}

/// The server's own numbers; who may read jobs sees their counts too.
async fn metrics(State(app): State<Shared>, headers: HeaderMap) -> Response {
    let counts = match gate::caller(&app, &headers) {
        Ok(caller) => block_in_place(|| app.host.job_counts(&caller)),
        Err(_) => Ok(Vec::new()),
    };
    let counts = match counts {
        Err(error) if error.code != Code::Forbidden => return Failure::of(&headers, error).into_response(),
        counts => counts.unwrap_or_default(),
    };
    match app.metrics.text(&counts) {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(cause) => Failure::of(&headers, Error::new(Code::Internal, cause.to_string())).into_response(),
    }
}
