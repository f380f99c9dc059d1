//! Who may come in: the Host and Origin of a request, its key, its workspace.
//! It does not know what a caller may do: `api` does.

use super::form::Failure;
use super::server::{Shared, header_text};
use crate::api::{self, Access, Caller, Code, Error};
use axum::extract::{FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;

/// The longest poll of one request.
const WAIT_MAX_MS: i64 = 30_000;
const NAME_MAX: usize = 128;
const OPERATION_MAX: usize = 128;

/// How callers prove who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doors {
    /// By a key of the store; also by this token, where one was made for the run.
    Keys(Option<String>),
    /// Not at all: any token and none opens every workspace.
    Open,
}

/// What is checked of every request.
#[derive(Debug)]
pub struct Gate {
    pub doors: Doors,
    /// Whether only this machine can connect: then a web page may try to, under a name of its own.
    pub loopback: bool,
    /// The host by which others reach the server, where it stands behind a proxy.
    pub public_host: Option<String>,
}

/// The caller of a request.
pub struct Asked(pub Caller);

impl FromRequestParts<Shared> for Asked {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Asked, Failure> {
        caller(app, &parts.headers).map(Asked).map_err(|error| Failure::of(&parts.headers, error))
    }
}

/// The caller that the headers of a request name.
pub fn caller(app: &Shared, headers: &HeaderMap) -> Result<Caller, Error> {
    let workspace = named(headers, "workspace", NAME_MAX)?;
    if let Some(name) = workspace.filter(|name| !is_plain(name)) {
        let text = format!("workspace {name:?} is malformed; allowed: A-Z a-z 0-9 . _ : -, the first no dot");
        return Err(Error::new(Code::InvalidArgument, text));
    }
    let operation = named(headers, "operation-id", OPERATION_MAX)?;
    let token = token(headers);
    let caller = match (&app.gate.doors, token) {
        (Doors::Open, _) => full(workspace),
        (Doors::Keys(Some(own)), Some(token)) if api::same_secret(own, token) => full(workspace),
        (Doors::Keys(_), Some(token)) => app.host.authenticate(token, workspace)?,
        (Doors::Keys(_), None) => return Err(Error::new(Code::Unauthenticated, "key is missing")),
    };
    Ok(Caller { operation: operation.map(String::from), wait_max_ms: Some(WAIT_MAX_MS), ..caller })
}

/// Whether a workspace's name can stand in a URL and in a path and mean only itself.
fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._:-".contains(&b);
    !name.starts_with('.') && name.bytes().all(plain)
}

fn full(workspace: Option<&str>) -> Caller {
    Caller { access: Access::Full, ..Caller::local(workspace.unwrap_or("default")) }
}

fn token(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all("authorization").iter();
    let (first, None) = (given.next()?, given.next()) else { return None };
    let (scheme, token) = first.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

/// What a header of ours says, under either of its names.
fn named<'a>(headers: &'a HeaderMap, name: &str, max: usize) -> Result<Option<&'a str>, Error> {
    for owner in ["errand", "breyta"] {
        let full = format!("x-{owner}-{name}");
        let mut given = headers.get_all(&full).iter();
        let Some(value) = given.next() else { continue };
        if given.next().is_some() {
            return Err(Error::new(Code::InvalidArgument, format!("header {full} is given twice")));
        }
        return match value.to_str() {
            Ok("") => Ok(None),
            Ok(text) if text.len() <= max => Ok(Some(text)),
            Ok(_) | Err(_) => {
                let text = format!("header {full} is malformed; allowed: at most {max} characters of ASCII");
                Err(Error::new(Code::InvalidArgument, text))
            }
        };
    }
    Ok(None)
}

impl Gate {
    /// The answer to a request that a web page in somebody's browser may have sent; nothing to others.
    pub fn refused(&self, request: &Request) -> Option<Response> {
        let text = self.refusal(request)?;
        Some(Failure::of(request.headers(), Error::new(Code::Forbidden, text)).into_response())
    }

    /// Why a request is refused that a web page in somebody's browser may have sent.
    fn refusal(&self, request: &Request) -> Option<String> {
        let headers = request.headers();
        let host = request.uri().authority().map(|authority| authority.as_str()).or(header_text(headers, "host"));
        let Some(host) = host else { return Some("host is missing; allowed: a Host header".into()) };
        if headers.get_all("host").iter().nth(1).is_some() {
            return Some("host is given twice; allowed: one Host header".into());
        }
        if !self.knows(name_of(host)) {
            return Some(format!(
                "host {} is not this server; name others with --public-url",
                api::shown(&host.into())
            ));
        }
        let origin = headers.get("origin")?;
        let own = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, origin)| origin);
        let same = own.is_some_and(|own| own.eq_ignore_ascii_case(host));
        (!same).then(|| "origin is another site's; web pages may not drive this server".into())
    }

    fn knows(&self, name: &str) -> bool {
        if self.public_host.as_deref().is_some_and(|public| public.eq_ignore_ascii_case(name)) {
            return true;
        }
        let address = name.trim_matches(['[', ']']).parse::<IpAddr>();
        match address {
            Ok(address) => !self.loopback || address.is_loopback(),
            // Who comes from elsewhere brings a key, which no web page has.
            Err(_) => !self.loopback || name.eq_ignore_ascii_case("localhost"),
        }
    }
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(loopback: bool) -> Gate {
        Gate { doors: Doors::Open, loopback, public_host: Some("jobs.example.com".into()) }
    }

    fn refused(gate: &Gate, headers: &[(&str, &str)]) -> bool {
        let request =
            headers.iter().fold(Request::builder().uri("/api/commands"), |r, (name, value)| r.header(*name, *value));
        gate.refusal(&request.body(axum::body::Body::empty()).unwrap()).is_some()
    }

    #[test]
    fn on_loopback_only_names_of_this_machine_and_its_public_name_are_known() {
        for host in ["127.0.0.1:80", "localhost", "LocalHost:8383", "[::1]:8383", "127.8.8.8", "jobs.example.com"] {
            assert!(!refused(&gate(true), &[("host", host)]), "{host}");
        }
        for host in ["evil.example", "evil.example:8383", "10.0.0.1", "localhost.evil.example", ""] {
            assert!(refused(&gate(true), &[("host", host)]), "{host}");
        }
        assert!(refused(&gate(true), &[]));
        assert!(!refused(&gate(false), &[("host", "anything.example")]));
    }

    #[test]
    fn a_page_of_another_site_is_refused() {
        let host = ("host", "localhost:8383");
        assert!(!refused(&gate(true), &[host, ("origin", "http://localhost:8383")]));
        for origin in ["http://localhost:9999", "https://evil.example", "null", "file://"] {
            assert!(refused(&gate(true), &[host, ("origin", origin)]), "{origin}");
        }
    }
}
