//! The server behind a certificate of its own.

use super::{Site, options, parsed};
use crate::support::Store;
use errand::http::{ServeOptions, TlsFiles};
use std::io::{Read, Write};
use std::sync::Arc;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

#[test]
fn with_a_certificate_it_speaks_https_and_nothing_else() {
    let store = Store::new();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (store.folder().join("cert.pem"), store.folder().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let site = Site::on(store, ServeOptions { tls: Some(TlsFiles { cert, key }), ..options() });
    assert!(site.server.url().starts_with("https://"));

    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config =
        config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth();
    let client = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut stream = StreamOwned::new(client, site.connect());
    let body = "{\"command\": \"jobs.list\"}";
    write!(stream, "{}{body}", site.head(body.len())).unwrap();
    let mut answer = String::new();
    // It need not say goodbye.
    let _ = stream.read_to_string(&mut answer);
    assert_eq!(parsed(&answer).0, 200);

    let plain = site.raw(format!("{}{body}", site.head(body.len())).as_bytes());
    assert!(!plain.contains("HTTP/1.1 200"), "{plain}");
}

#[test]
fn files_that_are_no_certificate_are_an_error_that_names_them() {
    let store = Store::new();
    let file = store.folder().join("empty.pem");
    std::fs::write(&file, "").unwrap();
    for cert in [file.clone(), store.folder().join("missing.pem")] {
        let options = ServeOptions { tls: Some(TlsFiles { cert: cert.clone(), key: file.clone() }), ..options() };
        let host = errand::api::open_host(&store.path(), &Default::default()).unwrap();
        let error = errand::http::Server::start(host, options).err().unwrap();
        assert!(error.message.contains(cert.to_str().unwrap()), "{}", error.message);
    }
}
