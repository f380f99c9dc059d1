//! The surfaces through which a scenario can be run, each with a place of its own for every scenario.

use crate::program::Place as Folder;
use crate::support::Store;
use errand::api::{
    self, Answer, Call, Client, Done, Error, Field, Kind, Names, OpenOptions, RemoteOptions, Reply, command,
};
use errand::http::{self, ServeOptions, Server};
use errand::value::{Value, binary, edn, json as json_form};
use std::cell::Cell;
use std::fs;
use std::sync::Arc;

/// Data, or why not.
pub type Outcome = Result<Value, Told>;

/// A refusal, as far as a surface tells it.
#[derive(Debug)]
pub struct Told {
    pub code: String,
    pub message: Option<String>,
    pub details: Option<Value>,
}

pub trait Surface {
    fn names(&self) -> Names;

    /// Whether a flow's steps can be run here.
    fn has_steps(&self) -> bool;

    /// A pattern as this surface shows what it fits.
    fn seen(&self, pattern: &Value) -> Value {
        pattern.clone()
    }

    /// Somewhere for one scenario, without any job.
    fn place(&self, workspace: &str) -> Box<dyn Asked>;
}

/// Where a scenario is run. Nothing is given back for what cannot be said there.
pub trait Asked {
    fn ask(&self, command: &str, args: &Value) -> Option<Outcome>;

    fn step(&self, id: &Value, _config: &Value) -> Option<Outcome> {
        unreachable!("steps such as {id:?} are not run here")
    }
}

/// The caller's own data as it crosses surfaces.
fn sent(args: &Value) -> Value {
    edn::read_open(&edn::write(args), api::open_fields()).expect("the scenario's own EDN")
}

/// A reply with the caller's own data as a tree.
fn received(reply: Reply) -> Outcome {
    reply.map(|data| opened(&data)).map_err(|error| Told {
        code: error.code.row().name.to_owned(),
        message: Some(error.message),
        details: Some(Value::Map(
            error.details.into_iter().map(|(name, value)| (Value::Keyword(name), opened(&value))).collect(),
        )),
    })
}

fn opened(value: &Value) -> Value {
    edn::read(&edn::write(value)).expect("a reply is EDN")
}

/// A client of any make.
pub struct Through {
    pub client: Arc<dyn Client>,
    /// What the client's store stands in, if that is to go with it.
    pub _store: Option<Store>,
}

impl Asked for Through {
    fn ask(&self, command: &str, args: &Value) -> Option<Outcome> {
        Some(received(api::ask(&*self.client, command, sent(args), Names::Clojure)))
    }

    fn step(&self, id: &Value, config: &Value) -> Option<Outcome> {
        let (Value::Keyword(id) | Value::Symbol(id)) = id else { panic!("a step's id is a keyword") };
        let (tell, told) = std::sync::mpsc::channel();
        let done = Box::new(move |reply| drop(tell.send(reply)));
        Some(received(match api::step(&*self.client, id, sent(config), done) {
            Answer::Now(reply) => reply,
            Answer::Later(_) => told.recv().expect("a call is answered"),
        }))
    }
}

/// An engine in this process.
pub struct Direct;

impl Surface for Direct {
    fn names(&self) -> Names {
        Names::Clojure
    }

    fn has_steps(&self) -> bool {
        true
    }

    fn place(&self, _workspace: &str) -> Box<dyn Asked> {
        let store = Store::new();
        Box::new(Through { client: store.open(), _store: Some(store) })
    }
}

/// An engine in this process, every argument and reply through the form that crosses JNI.
pub struct Binary;

struct Crossing(Arc<dyn Client>);

fn crossed(value: &Value, open: &[&str]) -> Value {
    let mut bytes = Vec::new();
    binary::write(value, &mut bytes);
    binary::read(&bytes, open).expect("what was written is readable")
}

impl Client for Crossing {
    fn call(&self, call: Call, done: Done) -> Answer {
        let args = crossed(&call.args, api::open_fields());
        let back = |reply: Reply| -> Reply {
            match reply {
                Ok(data) => Ok(crossed(&data, &[])),
                Err(error) => {
                    let told = crossed(&error.to_value(), &[]);
                    assert_eq!(told.get("message").and_then(Value::as_str), Some(&*error.message));
                    Err(Error { path: Vec::new(), ..error })
                }
            }
        };
        match self.0.call(Call { args, ..call }, Box::new(move |reply| done(back(reply)))) {
            Answer::Now(reply) => Answer::Now(back(reply)),
            later => later,
        }
    }

    fn place(&self) -> &api::Place {
        self.0.place()
    }

    fn workspace(&self) -> &str {
        self.0.workspace()
    }

    fn close(&self) {
        self.0.close();
    }
}

impl Surface for Binary {
    fn names(&self) -> Names {
        Names::Clojure
    }

    fn has_steps(&self) -> bool {
        true
    }

    fn place(&self, _workspace: &str) -> Box<dyn Asked> {
        let store = Store::new();
        Box::new(Through { client: Arc::new(Crossing(store.open())), _store: Some(store) })
    }
}

/// The real program on a store.
pub struct CommandLine;

impl Surface for CommandLine {
    fn names(&self) -> Names {
        Names::Flag
    }

    fn has_steps(&self) -> bool {
        false
    }

    fn place(&self, _workspace: &str) -> Box<dyn Asked> {
        Box::new(Shell { folder: Folder::new(), more: Vec::new(), files: Cell::new(0) })
    }
}

/// A folder in which the program is run.
pub struct Shell {
    pub folder: Folder,
    /// Flags besides the command's own.
    pub more: Vec<String>,
    pub files: Cell<u32>,
}

impl Shell {
    fn argv(&self, name: &str, args: &Value) -> Option<Vec<String>> {
        let row = command(name).expect("a scenario asks for commands of the table");
        let mut words: Vec<String> =
            name.split('.').map(|word| if word == "get" { "show" } else { word }.into()).collect();
        let subject = subject(name);
        let Value::Map(entries) = args else { panic!("arguments are a map") };
        for (key, value) in entries {
            let Value::Keyword(key) = key else { return None };
            let field = row.fields.iter().find(|field| field.name == key);
            match (field, value) {
                (Some(field), Value::Nil) if field.name != "payload" => {}
                (Some(field), Value::Str(id)) if Some(field.name) == subject => words.push(id.to_string()),
                (Some(field), value) => words.extend(self.flags(field, value)?),
                (None, value) => words.extend([format!("--{key}"), edn::write(value)]),
            }
        }
        words.extend(self.more.iter().cloned());
        words.extend(["--format".into(), "edn".into()]);
        Some(words)
    }

    fn flags(&self, field: &Field, value: &Value) -> Option<Vec<String>> {
        let flag = format!("--{}", field.name.trim_end_matches('?'));
        Some(match (field.kind, value) {
            (Kind::Open(_) | Kind::Artifacts | Kind::Jobs, value) => {
                self.files.set(self.files.get() + 1);
                let path = self.folder.path(&format!("{}.edn", self.files.get()));
                fs::write(&path, edn::write(value)).unwrap();
                vec![format!("{flag}-file"), path.to_string_lossy().into_owned()]
            }
            (Kind::Labels(_), Value::Map(labels)) => {
                let pair = |(name, value): &(Value, Value)| match (name, value) {
                    (Value::Keyword(name), Value::Str(value)) => Some(["--label".into(), format!("{name}={value}")]),
                    _ => None,
                };
                labels.iter().map(pair).collect::<Option<Vec<_>>>()?.concat()
            }
            (Kind::Labels(_), _) => return None,
            (Kind::Bool, value) => vec![format!("{flag}={}", edn::write(value))],
            (Kind::Backoff, value @ Value::Map(_)) => vec![flag, json_form::write(value)],
            (_, Value::Str(text)) => vec![flag, text.to_string()],
            (_, Value::Keyword(word)) => vec![flag, word.to_string()],
            (_, value) => vec![flag, edn::write(value)],
        })
    }
}

/// What a verb takes without a flag.
fn subject(name: &str) -> Option<&'static str> {
    match name.rsplit_once('.').expect("a command has a group") {
        (_, "create" | "list" | "claim" | "stats") => None,
        ("jobs.batches", _) => Some("batch-id"),
        _ => Some("job-id"),
    }
}

impl Asked for Shell {
    fn ask(&self, name: &str, args: &Value) -> Option<Outcome> {
        let argv = self.argv(name, args)?;
        let output = self.folder.errand(&argv).output().expect("the program runs");
        let text = String::from_utf8(output.stdout).expect("it prints text");
        let envelope = edn::read(&text).unwrap_or_else(|fault| panic!("{argv:?}: {fault}: {text}"));
        if let Some(data) = envelope.get("data") {
            assert!(output.status.success(), "{argv:?}");
            return Some(Ok(data.clone()));
        }
        let error = envelope.get("error").expect("an envelope holds data or an error");
        let code = error.get("code").and_then(Value::as_str).expect("an error has a code").to_owned();
        let exit = api::CODES.iter().find(|row| row.name == code).map(|row| i32::from(row.exit));
        assert_eq!(output.status.code(), exit, "{argv:?}");
        let details = error.get("details").cloned();
        if code == "invalid-argument" && details.as_ref().is_some_and(|details| details.get("usage").is_some()) {
            // What the flags themselves rule out is told in words of their parser.
            return Some(Err(Told { code, message: None, details: None }));
        }
        if let ("await-timeout", Some(Value::Map(mut state))) = (&*code, details.clone()) {
            // To people an await that ended too early is an error; to programs it says so.
            state.push((Value::key("terminal"), Value::Bool(false)));
            return Some(Ok(Value::Map(state)));
        }
        let message = error.get("message").and_then(Value::as_str).map(str::to_owned);
        Some(Err(Told { code, message, details: Some(details.unwrap_or(Value::Map(Vec::new()))) }))
    }
}

/// A control plane on a store of its own, which goes away with it; any token opens it.
pub struct ControlPlane {
    server: Server,
    _store: Store,
}

impl ControlPlane {
    pub fn new() -> ControlPlane {
        let store = Store::new();
        let host = api::open_host(&store.path(), &OpenOptions::default()).expect("the store opens");
        let options = ServeOptions { listen: "127.0.0.1:0".into(), no_auth: true, ..ServeOptions::default() };
        ControlPlane { server: Server::start(host, options).expect("the server starts"), _store: store }
    }

    pub fn client(&self, workspace: &str) -> Arc<dyn Client> {
        let options = RemoteOptions { workspace: workspace.into(), ..RemoteOptions::default() };
        http::connect(self.server.url(), options).expect("the address is one")
    }
}

/// The client of a control plane.
pub struct Remote(pub ControlPlane);

impl Surface for Remote {
    fn names(&self) -> Names {
        Names::Clojure
    }

    fn has_steps(&self) -> bool {
        true
    }

    fn place(&self, workspace: &str) -> Box<dyn Asked> {
        Box::new(Through { client: self.0.client(workspace), _store: None })
    }
}

/// The real program, asking a control plane.
pub struct RemoteCommandLine(pub ControlPlane);

impl Surface for RemoteCommandLine {
    fn names(&self) -> Names {
        Names::Flag
    }

    fn has_steps(&self) -> bool {
        false
    }

    fn place(&self, workspace: &str) -> Box<dyn Asked> {
        let more = ["--api", self.0.server.url(), "--workspace", workspace].map(String::from);
        Box::new(Shell { folder: Folder::new(), more: more.into(), files: Cell::new(0) })
    }
}

/// JSON over HTTP, as programs in other languages speak it.
pub struct Json(pub ControlPlane);

struct JsonPlace {
    http: reqwest::blocking::Client,
    url: String,
    workspace: String,
}

impl Surface for Json {
    fn names(&self) -> Names {
        Names::Json
    }

    fn has_steps(&self) -> bool {
        false
    }

    fn seen(&self, pattern: &Value) -> Value {
        in_json(&edn::read_open(&edn::write(pattern), &REPLY_DATA).expect("a pattern is EDN"))
    }

    fn place(&self, workspace: &str) -> Box<dyn Asked> {
        let url = format!("{}/api/commands", self.0.server.url());
        Box::new(JsonPlace { http: reqwest::blocking::Client::new(), url, workspace: workspace.into() })
    }
}

/// Where the caller's own data stands in a reply.
const REPLY_DATA: [&str; 8] =
    ["payload", "metadata", "worker-labels", "details", "metrics", "outputs", "error", "worker-info"];

/// The value as JSON shows it.
fn in_json(value: &Value) -> Value {
    json_form::read(json_form::write(value).as_bytes(), &[]).expect("what was written is readable")
}

impl Asked for JsonPlace {
    fn ask(&self, command: &str, args: &Value) -> Option<Outcome> {
        let body = format!("{{\"command\": \"{command}\", \"args\": {}}}", json_form::write(&sent(args)));
        let request = self.http.post(&self.url).header("Content-Type", "application/json");
        let response = request.header("X-Breyta-Workspace", &self.workspace).body(body).send().expect("it is sent");
        let status = response.status().as_u16();
        let text = response.text().expect("an answer is text");
        let envelope = json_form::read(text.as_bytes(), &[]).unwrap_or_else(|fault| panic!("{fault}: {text}"));
        if status == 200 {
            assert_eq!(under(&envelope, "workspaceId").and_then(Value::as_str), Some(&*self.workspace));
            return Some(Ok(under(&envelope, "data").expect("a success has data").clone()));
        }
        let error = under(&envelope, "error").expect("a failure has an error");
        let code = under(error, "code").and_then(Value::as_str).expect("an error has a code").to_owned();
        let expected = api::CODES.iter().find(|row| row.name == code).and_then(|row| row.http);
        assert_eq!(Some(status), expected, "{text}");
        let message = under(error, "message").and_then(Value::as_str).map(str::to_owned);
        let details = under(error, "details").cloned().unwrap_or(Value::Map(Vec::new()));
        Some(Err(Told { code, message, details: Some(details) }))
    }
}

fn under<'a>(map: &'a Value, name: &str) -> Option<&'a Value> {
    let Value::Map(entries) = map else { return None };
    entries.iter().find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value)
}
