//! Resources over HTTP by their own paths: each is a command, asked with what stands in the URL or the body.
//! It does not know what the commands do.

use super::files::{self, Params};
use super::form::{Failure, Form};
use super::gate::Asked;
use super::server::Shared;
use super::waiting;
use crate::api::{Call, Caller, Code, Error, Reply, Scope, command, shown};
use crate::value::{MapBuilder, Value};
use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use std::collections::HashMap;
use tokio::task::block_in_place;

/// The largest body of a query.
const BODY_BYTES_MAX: usize = 1 << 20;

pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/resources", get(list))
        .route("/api/resources/by-uri", get(show).delete(remove))
        .route("/api/files/by-uri", delete(remove))
        .route("/api/resources/content", get(content))
        .route("/api/resources/url", get(link))
        .route("/api/resources/table/query", post(query))
}

/// Asks a command with arguments that are texts and numbers of a URL.
async fn ask(app: &Shared, caller: Caller, name: &str, args: Vec<(&str, Value)>) -> Reply {
    let Some(command) = command(name) else { unreachable!("{name} is in the table") };
    let args = args.into_iter().map(|(name, value)| (Value::str(crate::value::camel(name)), value)).collect();
    let call = Call { command, args: Value::Map(args), names: crate::api::Names::Json };
    waiting::ask(app.clone(), caller, call).await
}

/// The parameters of these names as arguments; those in `numbers` are whole numbers where they look like it.
fn args<'a>(params: &HashMap<String, String>, texts: &[&'a str], numbers: &[&'a str]) -> Vec<(&'a str, Value)> {
    let given = |name: &&'a str| Some((*name, params.get(*name).or_else(|| params.get(&crate::value::camel(name)))?));
    let text = texts.iter().filter_map(given).map(|(name, text)| (name, Value::str(text.as_str())));
    let number = numbers
        .iter()
        .filter_map(given)
        .map(|(name, text)| (name, text.parse::<i64>().map_or_else(|_| Value::str(text.as_str()), Value::Int)));
    text.chain(number).collect()
}

/// A parameter that is required.
pub fn of_query<'a>(params: &'a HashMap<String, String>, name: &str) -> Result<&'a str, Error> {
    let given = params.get(name).map(String::as_str).filter(|text| !text.is_empty());
    given.ok_or_else(|| Error::new(Code::InvalidArgument, format!("{name} is missing in the URL; it is required")))
}

/// A map with the names of ours as the documentation has them where they are not camelCase.
pub fn in_kebab(headers: &HeaderMap, value: Value) -> Value {
    match (Form::wanted(headers), value) {
        (Form::Json, Value::Map(entries)) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| match key {
                    Value::Keyword(name) => (Value::str(name.as_ref()), in_kebab(headers, value)),
                    key => (key, value),
                })
                .collect(),
        ),
        (Form::Json, Value::Vector(items)) => {
            Value::Vector(items.into_iter().map(|item| in_kebab(headers, item)).collect())
        }
        (_, value) => value,
    }
}

fn answered(headers: &HeaderMap, reply: Reply, shape: impl FnOnce(Value) -> Value) -> Response {
    match reply {
        Ok(data) => block_in_place(|| Form::wanted(headers).respond(StatusCode::OK, &shape(data))),
        Err(error) => Failure::of(headers, error).into_response(),
    }
}

async fn list(State(app): State<Shared>, Asked(caller): Asked, Query(params): Params, headers: HeaderMap) -> Response {
    let args = args(&params, &["type", "job-id", "cursor"], &["limit"]);
    let reply = ask(&app, caller, "resources.list", args).await;
    answered(&headers, reply, |data| in_kebab(&headers, data))
}

async fn show(State(app): State<Shared>, Asked(caller): Asked, Query(params): Params, headers: HeaderMap) -> Response {
    let reply = ask(&app, caller, "resources.get", args(&params, &["uri"], &[])).await;
    answered(&headers, reply, |data| in_kebab(&headers, data.get("resource").cloned().unwrap_or(Value::Nil)))
}

async fn remove(
    State(app): State<Shared>,
    Asked(caller): Asked,
    Query(params): Params,
    headers: HeaderMap,
) -> Response {
    let reply = ask(&app, caller, "resources.delete", args(&params, &["uri"], &[])).await;
    answered(&headers, reply, |data| in_kebab(&headers, data))
}

async fn content(
    State(app): State<Shared>,
    Asked(caller): Asked,
    Query(params): Params,
    headers: HeaderMap,
) -> Response {
    let reply = ask(&app, caller, "resources.read", args(&params, &["uri", "view"], &["limit", "offset"])).await;
    let mut response = answered(&headers, reply, |data| data);
    response.headers_mut().insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    response
}

async fn link(State(app): State<Shared>, Asked(caller): Asked, Query(params): Params, headers: HeaderMap) -> Response {
    let signed = || {
        let uri = of_query(&params, "uri")?;
        app.host.may(&caller, Scope::ResourcesRead, Some(uri))?;
        let link = app.host.files(&caller.workspace)?.sign(uri)?;
        Ok(MapBuilder::new().put("url", files::link_url(&app.base_url(&headers), &link)).build())
    };
    answered(&headers, block_in_place(signed), |data| data)
}

/// `{uri, select?, where?, sort?, page: {limit, offset}}`
async fn query(State(app): State<Shared>, Asked(caller): Asked, headers: HeaderMap, body: Body) -> Response {
    let body = match files::small_body(&app, body, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => return Failure::of(&headers, error).into_response(),
    };
    let (form, call) = match query_call(&headers, &body) {
        Ok(read) => read,
        Err(error) => return Failure::of(&headers, error).into_response(),
    };
    let reply = waiting::ask(app.clone(), caller, call).await;
    match reply {
        Ok(data) => block_in_place(|| Form::wanted(&headers).respond(StatusCode::OK, &data)),
        Err(error) => Failure { form, error, status: None }.into_response(),
    }
}

fn query_call(headers: &HeaderMap, body: &[u8]) -> Result<(Form, Call), Error> {
    let form = Form::sent(headers).unwrap_or(Form::Json);
    let Value::Map(entries) = form.read(body)? else {
        return Err(Error::new(Code::InvalidArgument, "body is not a map; allowed: a map with uri"));
    };
    let mut args = Vec::with_capacity(entries.len() + 1);
    for (key, value) in entries {
        let is_page = match &key {
            Value::Str(name) => &**name == "page",
            Value::Keyword(name) => name == "page",
            _ => false,
        };
        match value {
            Value::Map(page) if is_page => args.extend(page),
            Value::Nil => {}
            other if is_page => {
                let text = format!("page is {}; allowed: a map of limit and offset", shown(&other));
                return Err(Error::new(Code::InvalidArgument, text));
            }
            other => args.push((key, other)),
        }
    }
    let Some(command) = command("resources.table_query") else { unreachable!("it is in the table") };
    Ok((form, Call { command, args: Value::Map(args), names: form.names() }))
}
