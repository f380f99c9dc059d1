//! The real program in a place of its own: a store, a folder for handlers and temporary files, workers that end with
//! the test. Waiting is done by the program's own awaits, by pipes, or by reading a state until it is so.

use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a store in it, and the program that works on it.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tmp")).unwrap();
        Place { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn store(&self) -> PathBuf {
        self.path("jobs.db")
    }

    /// The program, run in this place's folder without anything of ours in its environment.
    pub fn bare(&self) -> Command {
        let mut command = Command::new(program());
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("ERRAND_") || name.starts_with("BREYTA_") {
                command.env_remove(name.as_ref());
            }
        }
        command.current_dir(self.folder.path()).env("TMPDIR", self.path("tmp")).stdin(Stdio::null());
        command
    }

    /// The program on this place's store.
    pub fn errand<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = self.bare();
        command.env("ERRAND_DB", self.store()).args(args);
        command
    }

    /// Runs the program, which has to succeed, and gives the data of its JSON answer.
    #[track_caller]
    pub fn ask(&self, args: &[&str]) -> Value {
        let answer = json(&succeeded(self.errand(args)).stdout);
        assert_eq!(answer["ok"], true, "{args:?}: {answer}");
        answer["data"].clone()
    }

    /// Runs the program, which has to end with this status, and gives the error of its JSON answer.
    #[track_caller]
    pub fn refusal(&self, status: i32, args: &[&str]) -> Value {
        let output = self.errand(args).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{args:?}: {}", text(&output.stdout));
        let answer = json(&output.stdout);
        assert_eq!(answer["ok"], false, "{args:?}: {answer}");
        answer["error"].clone()
    }

    /// Submits a job of type `t` and gives its id.
    #[track_caller]
    pub fn create(&self, more: &[&str]) -> String {
        let data = self.ask(&[&["jobs", "create", "--type", "t"], more].concat());
        data["job"]["jobId"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn job(&self, id: &str) -> Value {
        self.ask(&["jobs", "show", id])["job"].clone()
    }

    /// The job once it is terminal.
    #[track_caller]
    pub fn ended(&self, id: &str) -> Value {
        self.ask(&["jobs", "await", id, "--timeout", "60s"])["job"].clone()
    }

    /// Writes a handler script in shell.
    pub fn script(&self, name: &str, body: &str) -> String {
        self.program(name, &format!("#!/bin/sh\n{body}\n"))
    }

    /// Writes an executable file.
    pub fn program(&self, name: &str, content: &str) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        format!("./{name}")
    }

    /// Makes a pipe through which a handler says something.
    pub fn pipe(&self, name: &str) -> Pipe {
        let path = self.path(name);
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        Pipe { path }
    }

    /// One look for a job of type `t` with this handler; gives the worker's summary.
    #[track_caller]
    pub fn work_once(&self, handler: &str, more: &[&str]) -> Value {
        let args = [&["jobs", "worker", "run", "--type", "t", "--once", "--handler", handler], more].concat();
        json(&succeeded(self.errand(&args)).stdout)
    }

    /// A worker for jobs of type `t` that goes on until it is told to end.
    pub fn worker(&self, handler: &str, more: &[&str]) -> Worker {
        let args = [&["jobs", "worker", "run", "--type", "t", "--handler", handler], more].concat();
        let mut command = self.errand(&args);
        command.stdout(Stdio::piped());
        Worker(Some(command.spawn().unwrap()))
    }

    /// Submits a job, runs the script for it, and gives what became of it.
    #[track_caller]
    pub fn handled(&self, script: &str) -> Value {
        let id = self.create(&["--payload", "{\"a\": 1}"]);
        let handler = self.script("handler.sh", script);
        self.work_once(&handler, &[]);
        self.job(&id)
    }
}

/// The program: the one that was built with the tests; storms are of the one that is released.
pub fn program() -> PathBuf {
    std::env::var_os("ERRAND_STORM_PROGRAM").map_or_else(|| env!("CARGO_BIN_EXE_errand").into(), PathBuf::from)
}

/// A worker process, killed with its test.
pub struct Worker(Option<Child>);

impl Worker {
    pub fn of(child: Child) -> Worker {
        Worker(Some(child))
    }

    pub fn pid(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits until the worker has ended by itself and gives its summary.
    #[track_caller]
    pub fn ended(mut self) -> Value {
        let child = self.0.take().unwrap();
        let output = within(move || child.wait_with_output().unwrap());
        assert!(output.status.success(), "{:?}", output.status);
        json(&output.stdout)
    }

    /// Asks the worker to drain and gives its summary.
    #[track_caller]
    pub fn drained(self) -> Value {
        self.signal(rustix::process::Signal::TERM);
        self.ended()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A named pipe.
pub struct Pipe {
    path: PathBuf,
}

impl Pipe {
    /// Waits until someone has written to the pipe and closed it, and gives what was written.
    #[track_caller]
    pub fn hear(&self) -> String {
        let path = self.path.clone();
        within(move || fs::read_to_string(path).unwrap()).trim().to_owned()
    }

    /// Waits until someone reads the pipe, and lets it go on.
    #[track_caller]
    pub fn tell(&self) {
        let path = self.path.clone();
        within(move || fs::OpenOptions::new().write(true).mode(0o600).open(path).map(drop).unwrap());
    }
}

/// The result of what must not take for ever.
#[track_caller]
pub fn within<T: Send + 'static>(wait: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(wait()));
    told.recv_timeout(PATIENCE).expect("what was waited for has not happened")
}

/// Looks again until it is so.
#[track_caller]
pub fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "it is not so: {what}");
        thread::park_timeout(Duration::from_millis(10));
    }
}

/// Whether a process with this id runs; a zombie does not.
pub fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[track_caller]
pub fn succeeded(mut command: Command) -> Output {
    let output = command.output().unwrap();
    let said = || format!("{command:?}\n{}\n{}", text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{}", said());
    output
}

#[track_caller]
pub fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|e| panic!("{e}: {}", text(bytes)))
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// How many files and folders stand in a folder.
pub fn entries(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}
