//! What others on the machine may not see: the files that are made, and secrets in arguments, environments, logs and
//! errors.

use super::program::Serving;
use crate::program::{Place, eventually, json, succeeded, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The same command under a umask.
fn under(umask: &str, command: Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask \"$0\"; exec \"$@\"", umask]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.current_dir(command.get_current_dir().expect("a place has a folder")).stdin(Stdio::null());
    shell
}

/// Every file and folder below a folder, with its mode; links are what they point to.
fn below(folder: &Path) -> Vec<(PathBuf, u32, bool)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is readable").flatten() {
        let found = entry.path().symlink_metadata().expect("it is there");
        if found.is_symlink() {
            continue;
        }
        all.push((entry.path(), found.permissions().mode() & 0o777, found.is_dir()));
        if found.is_dir() {
            all.extend(below(&entry.path()));
        }
    }
    all
}

fn post(serving: &Serving, path: &str, body: Value) -> Value {
    let request = super::client().post(format!("{}{path}", serving.url)).header("Content-Type", "application/json");
    let key = serving.token.as_deref().expect("there are no keys");
    let answer = request.bearer_auth(key).body(body.to_string()).send().expect("an answer").text().expect("text");
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// Begins an upload whose bytes do not all come.
fn half_an_upload(serving: &Serving) -> TcpStream {
    let begun = post(serving, "/api/files/uploads/init", json!({"filename": "half", "content-type": "text/plain"}));
    let url = begun["upload-url"].as_str().unwrap_or_else(|| panic!("{begun}"));
    let (host, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("a URL");
    let mut stream = TcpStream::connect(host).expect("the server listens");
    write!(
        stream,
        "PUT /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\nhalf"
    )
    .expect("the server reads");
    stream
}

#[test]
fn every_file_is_its_owners_alone_whatever_the_umask() {
    for umask in ["000", "022"] {
        let place = Place::new();
        let errand = |args: &[&str]| under(umask, place.errand(args));
        let serving = Serving::spawn(errand(&["serve", "--listen", "127.0.0.1:0", "--drain-time", "0s"]));
        succeeded(errand(&["jobs", "create", "--type", "t", "--payload", "{\"a\": 1}"]));
        let handler = place.script(
            "h.sh",
            "errand jobs worker attach-file --file h.sh --label script
             errand jobs worker attach-kv --label k --value 1
             errand jobs worker finish --summary done",
        );
        succeeded(errand(&[
            "jobs",
            "worker",
            "run",
            "--type",
            "t",
            "--once",
            "--keep-job-dirs",
            "--handler",
            &handler,
        ]));
        let upload = half_an_upload(&serving);
        let files = place.path("jobs.db-files");
        eventually("bytes of the upload are there", || below(&files.join("tmp")).iter().any(|(.., folder)| !folder));

        let ours: BTreeSet<PathBuf> = ["h.sh", "tmp"].map(|name| place.path(name)).into();
        let made: Vec<_> = below(&place.path("")).into_iter().filter(|(path, ..)| !ours.contains(path)).collect();
        for (path, mode, is_folder) in &made {
            assert_eq!(*mode, if *is_folder { 0o700 } else { 0o600 }, "{} under umask {umask}", path.display());
        }
        let names: BTreeSet<String> =
            made.iter().filter_map(|(path, ..)| Some(path.file_name()?.to_string_lossy().into_owned())).collect();
        for name in ["jobs.db", "jobs.db-wal", "jobs.db-shm", "jobs.db-lock", "jobs.db-wake", "jobs.db-files", "sha256"]
        {
            assert!(names.contains(name), "{name} is not among {names:?}");
        }
        for name in ["job.json", "payload.json", "result.json", "worker-context.json"] {
            assert!(names.contains(name), "{name} is not among {names:?}");
        }
        drop(upload);
        serving.terminate();
        serving.ended();
    }
}

/// What must be seen nowhere.
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    #[track_caller]
    fn are_not_in(&self, what: &str, text: &str) {
        for (name, secret) in &self.0 {
            assert!(!text.contains(secret), "the {name} is in {what}: {text}");
        }
    }
}

/// What a program says when it is refused.
fn said(output: &Output) -> String {
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_handler_is_told_its_key_and_no_other_secret_and_none_is_in_arguments_or_logs() {
    let place = Place::new();
    let made = place.ask(&["keys", "bootstrap"]);
    let key = made["key"]["secret"].as_str().expect("a secret").to_owned();
    let serving = Serving::start(&place, &["--listen", "127.0.0.1:0", "--log-level", "debug", "--drain-time", "0s"]);
    let errand = |args: &[&str]| {
        let mut command = place.bare();
        command.env("ERRAND_API_URL", &serving.url).env("ERRAND_API_KEY", &key).args(args);
        command
    };
    succeeded(errand(&["jobs", "create", "--type", "t", "--payload", "\"payload-is-private\""]));
    // The arguments of the handler, of its worker, and of a helper, as every user of the machine can see them.
    let handler = place.script(
        "h.sh",
        "env > env.txt
         cp \"$BREYTA_JOB_CONTEXT_FILE\" context.json
         cat /proc/$$/cmdline /proc/$PPID/cmdline > args.txt
         breyta jobs worker attach-file --file h.sh --label script
         breyta jobs worker finish --summary done",
    );
    let worker = errand(&["jobs", "worker", "run", "--type", "t", "--once", "--handler", &handler]);
    let names_before: BTreeSet<String> =
        worker.get_envs().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    let output = succeeded(worker);
    let context = json(&fs::read(place.path("context.json")).expect("the context"));
    let lease_token = context["leaseToken"].as_str().expect("a token").to_owned();

    let env = fs::read_to_string(place.path("env.txt")).expect("the environment");
    let private = Secrets(vec![("lease token", lease_token.clone()), ("payload", "payload-is-private".into())]);
    private.are_not_in("the handler's environment", &env);
    let with_key: Vec<&str> = env
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(_, value)| value.contains(&key))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(BTreeSet::from_iter(with_key), BTreeSet::from(["BREYTA_API_KEY", "ERRAND_API_KEY"]));
    let contract = [
        "JOB_DIR",
        "JOB_FILE",
        "JOB_PAYLOAD_FILE",
        "JOB_RESULT_FILE",
        "JOB_CONTEXT_FILE",
        "JOB_ID",
        "JOB_TYPE",
        "JOB_BATCH_ID",
        "JOB_ATTEMPT",
        "JOB_WORKSPACE_ID",
        "JOB_ROOT_WORKFLOW_ID",
        "JOB_PARENT_STEP_ID",
        "JOB_FANOUT_PARENT_STEP_ID",
        "JOB_FANOUT_MAX_CONCURRENCY",
        "WORKER_ID",
        "API_URL",
        "WORKSPACE",
        "API_KEY",
        "CLI_BIN",
    ];
    for (name, _) in env.lines().filter_map(|line| line.split_once('=')) {
        let known =
            name.strip_prefix("BREYTA_").or(name.strip_prefix("ERRAND_")).is_none_or(|name| contract.contains(&name));
        assert!(known || names_before.contains(name), "{name} is not in the contract");
    }

    let secrets = Secrets([private.0, vec![("key", key.clone())]].concat());
    secrets.are_not_in("the arguments", &fs::read_to_string(place.path("args.txt")).unwrap_or_default());
    secrets.are_not_in("the worker's log", &text(&output.stderr));
    // Its summary shows its last job, as it is told.
    let tokens = Secrets(secrets.0.iter().filter(|(name, _)| *name != "payload").cloned().collect());
    tokens.are_not_in("the worker's summary", &text(&output.stdout));

    // Errors name what is wrong, and not with what secret it was asked.
    let wrong_token = format!("{lease_token}-and-more");
    let job = context["jobId"].as_str().expect("an id");
    let mut refused = errand(&["jobs", "heartbeat", job]);
    secrets.are_not_in("an error", &said(&refused.env("ERRAND_LEASE_TOKEN", &wrong_token).output().expect("it runs")));
    let mut refused = errand(&["jobs", "list"]);
    secrets.are_not_in("an error", &said(&refused.env("ERRAND_API_KEY", format!("{key}x")).output().expect("it runs")));
    let upload = format!("{}/api/files/uploads/", serving.url);
    let put = super::client().put(format!("{upload}{lease_token}?token={key}")).body("x").send().expect("an answer");
    assert!(put.status().is_client_error());

    let operation = "2f1c0a3e-58a8-4d9a-9d1f-0c2b7f6f8a11";
    for payload in ["payload-is-private", "payload-is-private, too"] {
        let body = json!({"command": "jobs.create", "args": {"jobType": "t", "payload": payload}}).to_string();
        let request = super::client().post(format!("{}/api/commands", serving.url)).bearer_auth(&key);
        let request = request.header("Content-Type", "application/json").header("X-Errand-Operation-ID", operation);
        let (status, answer) = super::answer(request.body(body));
        if status != 200 {
            secrets.are_not_in("an error", &answer.to_string());
        }
    }
    serving.terminate();
    let log = serving.ended();
    assert!(log.contains("jobs.heartbeat") && log.contains("\"status\":401"), "{log}");
    secrets.are_not_in("the log of the server", &log);
    Secrets(vec![("operation id", operation.into())]).are_not_in("the log of the server", &log);
}

#[test]
fn the_token_of_an_upload_is_in_no_log_and_no_error() {
    let place = Place::new();
    let serving = Serving::start(&place, &["--listen", "127.0.0.1:0", "--log-level", "debug", "--drain-time", "0s"]);
    let begun = post(&serving, "/api/files/uploads/init", json!({"filename": "f", "content-type": "text/plain"}));
    let url = begun["upload-url"].as_str().expect("a URL").to_owned();
    let token = url.rsplit(['/', '=']).next().expect("a token").to_owned();
    assert!(token.len() >= 20, "{url}");
    let put =
        || super::client().put(&url).header("Content-Type", "text/plain").body("bytes").send().expect("an answer");
    assert_eq!(put().status().as_u16(), 200);
    post(&serving, "/api/files/uploads/complete", json!({"uri": begun["uri"]}));
    let again = put();
    assert!(again.status().is_client_error());
    let answer = again.text().expect("text");
    let key = serving.token.clone().expect("there are no keys");
    serving.terminate();
    let log = serving.ended();
    let secrets = Secrets(vec![("token of the upload", token), ("token of the run", key)]);
    secrets.are_not_in("an error", &answer);
    secrets.are_not_in("the log of the server", &log);
}

#[test]
fn a_panic_tells_where_it_was_and_no_secret() {
    let place = Place::new();
    let key = place.ask(&["keys", "bootstrap"])["key"]["secret"].as_str().expect("a secret").to_owned();
    let mut command = place.errand(&["serve", "--listen", "127.0.0.1:0", "--log-level", "debug", "--drain-time", "0s"]);
    // The first request panics with all of its headers, the first heartbeat with its lease token.
    command.env("ERRAND_PANIC", "request,heartbeat");
    let serving = Serving::spawn(command);
    let ask = |command: &str, args: Value| serving.ask(&key, command, args);
    let faulty = |(status, answer): (u16, Value)| {
        assert_eq!((status, &answer["error"]["code"]), (500, &"internal".into()), "{answer}");
        answer.to_string()
    };
    let mut said = faulty(ask("jobs.list", json!({})));
    assert_eq!(ask("jobs.create", json!({"jobType": "t"})).0, 200);
    let job = ask("jobs.claim", json!({"jobType": "t", "workerId": "w"})).1["data"]["job"].clone();
    let lease = json!({"jobId": job["jobId"], "leaseToken": job["leaseToken"]});
    said += &faulty(ask("jobs.heartbeat", lease.clone()));
    assert_eq!(ask("jobs.heartbeat", lease).0, 200, "the server goes on");

    // A worker whose task panics with the lease token and the key in its hands.
    ask("jobs.create", json!({"jobType": "u"}));
    let mut worker = place.bare();
    worker.env("ERRAND_API_URL", &serving.url).env("ERRAND_API_KEY", &key).env("ERRAND_PANIC", "handle");
    worker.args(["jobs", "worker", "run", "--type", "u", "--once", "--handler", "/bin/true"]);
    let output = succeeded(worker);
    assert!(text(&output.stderr).contains("panic at handle"), "{}", text(&output.stderr));
    serving.terminate();
    let log = serving.ended();
    for part in ["src/api/trip.rs:", "panic at request", "panic at heartbeat", "Bearer …", "authorization"] {
        assert!(log.contains(part), "{part} is not in {log}");
    }
    let held = rusqlite::Connection::open(place.store()).expect("the store opens");
    let mut tokens = held.prepare("SELECT lease_token FROM job_attempt").expect("a query");
    let tokens: Vec<String> =
        tokens.query_map([], |row| row.get(0)).expect("rows").map(|row| row.expect("a token")).collect();
    assert_eq!(tokens.len(), 2);
    let mut secrets = Secrets(tokens.into_iter().map(|token| ("lease token", token)).collect());
    secrets.0.push(("key", key.rsplit('_').next().expect("its end").to_owned()));
    for (what, text) in
        [("an answer", &said), ("the log of the server", &log), ("the worker's log", &self::said(&output))]
    {
        secrets.are_not_in(what, text);
    }
}

#[test]
fn an_address_with_a_password_is_shown_without_it() {
    let place = Place::new();
    let list = |name: &str, url: &str| place.bare().args(["jobs", "list"]).env(name, url).output().expect("it runs");
    let secrets = Secrets(vec![("password", "hidden".into())]);
    for url in [
        "http://me:hidden@host",
        "https://me:hidden@host/errand",
        "ftp://me:hidden@host",
        "http://me:hidden@host:99999",
        "http://me:hidden@ho st",
        "me:hidden@host",
        "http://:hidden@",
    ] {
        for name in ["ERRAND_API_URL", "BREYTA_API_URL"] {
            let output = list(name, url);
            assert_eq!(output.status.code(), Some(2), "{url}: {}", said(&output));
            secrets.are_not_in("an error", &said(&output));
        }
    }
    let url = "http://me:hidden@host";
    for command in [["check"].as_slice(), &["keys", "bootstrap"], &["serve", "--listen", "127.0.0.1:0"]] {
        let output = place.bare().args(command).args(["--db", url]).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{command:?}: {}", said(&output));
        secrets.are_not_in("an error", &said(&output));
    }
    let output = place.bare().args(["check"]).env("ERRAND_API_URL", url).output().expect("it runs");
    secrets.are_not_in("an error", &said(&output));
    for url in ["POSTGRES://me:hidden@host/x", "postgresql://me:hidden@host/x"] {
        let output = place.bare().args(["jobs", "list", "--db", url]).output().expect("it runs");
        secrets.are_not_in("an error", &said(&output));
    }
    let key =
        place.bare().args(["jobs", "list", "--api", "http://127.0.0.1:1", "--api-key", "hidden\n\u{1}x"]).output();
    secrets.are_not_in("an error", &said(&key.expect("it runs")));
}
