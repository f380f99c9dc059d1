//! The control plane over real sockets: a server in this process, asked by a plain HTTP client.

mod access;
mod attacks;
mod errors;
mod files;
mod letter;
mod limits;
mod operations;
mod polls;
mod private;
mod program;
mod shown;
mod tls;

use crate::support::Store;
use errand::api::{self, OpenOptions};
use errand::http::{ServeOptions, Server};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server on a store of its own.
pub struct Site {
    pub store: Store,
    pub server: Server,
    client: reqwest::blocking::Client,
}

/// A plain client.
pub fn client() -> reqwest::blocking::Client {
    reqwest::blocking::Client::builder().timeout(PATIENCE).build().unwrap()
}

pub fn options() -> ServeOptions {
    ServeOptions { listen: "127.0.0.1:0".into(), drain_time: Duration::ZERO, ..ServeOptions::default() }
}

impl Site {
    pub fn new() -> Site {
        Site::with(options())
    }

    pub fn with(options: ServeOptions) -> Site {
        Site::on(Store::new(), options)
    }

    pub fn on(store: Store, options: ServeOptions) -> Site {
        let host = api::open_host(&store.path(), &OpenOptions::default()).unwrap();
        let server = Server::start(host, options).unwrap();
        let client = client();
        Site { store, server, client }
    }

    /// The token of this run: it opens every workspace.
    pub fn token(&self) -> &str {
        self.server.token().expect("there were no keys when the server was started")
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address())
    }

    /// A request for a command, to which more may be added.
    pub fn request(&self, command: &str, args: Value) -> reqwest::blocking::RequestBuilder {
        let body = json!({"command": command, "args": args}).to_string();
        let request = self.client.post(self.url("/api/commands")).header("Content-Type", "application/json");
        request.body(body)
    }

    /// Status and body of a command asked with a key.
    pub fn ask_as(&self, key: &str, command: &str, args: Value) -> (u16, Value) {
        answer(self.request(command, args).bearer_auth(key))
    }

    /// The data of a command asked with the token of this run.
    #[track_caller]
    pub fn get(&self, command: &str, args: Value) -> Value {
        let (status, body) = self.ask_as(self.token(), command, args);
        assert_eq!((status, &body["ok"]), (200, &json!(true)), "{command}: {body}");
        body["data"].clone()
    }

    /// A job of type `t`.
    pub fn create(&self) -> String {
        self.get("jobs.create", json!({"jobType": "t"}))["job"]["jobId"].as_str().unwrap().to_owned()
    }

    /// A key of a new service account of a workspace, with the ids of both.
    pub fn key(&self, workspace: &str, account: Value) -> Key {
        let ask = |command: &str, args: Value| {
            let request = self.request(command, args).bearer_auth(self.token()).header("X-Errand-Workspace", workspace);
            let (status, body) = answer(request);
            assert_eq!(status, 200, "{body}");
            body["data"].clone()
        };
        let account = ask("service_accounts.create", account);
        let account_id = account["serviceAccount"]["serviceAccountId"].as_str().unwrap().to_owned();
        let key = ask("service_accounts.keys.create", json!({"serviceAccountId": account_id}));
        let text = |name: &str| key["key"][name].as_str().unwrap().to_owned();
        Key { account_id, key_id: text("keyId"), secret: text("secret") }
    }

    /// A metric of the server.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.client.get(self.url("/metrics")).send().unwrap().text().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// What the server answers to bytes, until it closes the connection.
    pub fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // The server may refuse before it has read all.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The head of a request for a command, whose connection is closed after the answer.
    pub fn head(&self, length: usize) -> String {
        format!(
            "POST /api/commands HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: {length}\r\n\r\n",
            self.server.address(),
            self.token()
        )
    }
}

pub struct Key {
    pub account_id: String,
    pub key_id: String,
    pub secret: String,
}

/// Status and JSON body of the answer to a request.
#[track_caller]
pub fn answer(request: reqwest::blocking::RequestBuilder) -> (u16, Value) {
    let response = request.send().unwrap();
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    let text = response.text().unwrap();
    (status, serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}")))
}

/// Status and JSON body of a raw answer.
#[track_caller]
pub fn parsed(answer: &str) -> (u16, Value) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {body}")))
}

/// Does something on a thread of its own; what it gives is received later.
pub fn later<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> mpsc::Receiver<T> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        // The test may have ended.
        let _ = tell.send(work());
    });
    told
}
