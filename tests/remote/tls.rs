//! Control planes behind certificates.

use super::plane::Plane;
use crate::program::{Place, json, succeeded};
use crate::support::ask;
use errand::api::{Code, RemoteOptions};
use errand::http;
use std::fs;
use std::time::{Duration, Instant};

/// A control plane with a certificate that nobody signed, in `cert.pem`.
fn plane() -> Plane {
    let place = Place::new();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    fs::write(place.path("cert.pem"), made.cert.pem()).unwrap();
    fs::write(place.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    Plane::with(place, &["--no-auth", "--tls-cert", "cert.pem", "--tls-key", "key.pem"])
}

#[test]
fn a_certificate_that_is_not_trusted_is_told_at_once() {
    let plane = plane();
    assert!(plane.url().starts_with("https://"));
    let options = RemoteOptions { retry_for_ms: Some(60_000), ..RemoteOptions::default() };
    let client = http::connect(&plane.url(), options).unwrap();
    let begun = Instant::now();
    let error = ask(&*client, "jobs.list", "{}").unwrap_err();
    assert_eq!(error.code, Code::Unavailable);
    assert!(error.message.contains("certificate"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(30), "it is not tried again");
}

#[test]
fn a_certificate_that_the_machine_is_told_to_trust_is_trusted() {
    let plane = plane();
    let mut command = plane.errand(&["jobs", "create", "--type", "t"]);
    command.env("SSL_CERT_FILE", plane.place.path("cert.pem"));
    assert_eq!(json(&succeeded(command).stdout)["data"]["job"]["status"], "queued");
}
