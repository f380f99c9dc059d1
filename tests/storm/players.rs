//! Who takes part in a storm: how each is started, and what each says, as it comes out of its pipes.

use super::roles;
use crate::program::Place;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// The command that starts a JVM in its role, where there is one: `java -cp … clojure.main -m errand.storm`.
const JVM: &str = "ERRAND_STORM_JVM";

/// What a worker's handler does: what the payload says. Its outputs and artifacts follow from the payload.
const HANDLER: &str = r#"echo "$ERRAND_JOB_ID $ERRAND_JOB_ATTEMPT" >>runs.txt
word() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" "$ERRAND_JOB_PAYLOAD_FILE"; }
n=$(word n)
# What is attached renews the lease, also when the worker is dead: a file says when. One that failed may have done so.
attempt=$ERRAND_JOB_ID.$ERRAND_JOB_ATTEMPT
attach() { errand jobs worker "$@" >/dev/null || { : >"tried/$attempt"; exit 75; }; : >"renewed/$attempt"; }
case $(word do) in
artifacts)
    echo "report of $n" >"$ERRAND_JOB_DIR/report.txt"
    attach attach-file --file "$ERRAND_JOB_DIR/report.txt" --label report
    attach attach-kv --label value --field n="$n"
    attach attach-table --label rows --write-mode upsert --key-field id --rows "[{\"id\": 1, \"n\": \"$n\"}, {\"id\": 2, \"n\": \"$n\"}]" ;;
retry) [ "$ERRAND_JOB_ATTEMPT" -gt 1 ] || exit 75 ;;
fail) exit 3 ;;
cancel) sleep 0.3 ;;
*) sleep 0.0$(($$ % 5)) ;;
esac
exec errand jobs worker finish --output n="$n""#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `errand serve`.
    Server,
    /// `errand jobs worker run`, on the store or over HTTP.
    Worker(Way),
    /// Submits, cancels and awaits.
    Submitter(Way),
    /// Submits and awaits, and works on jobs, from Clojure.
    Jvm(Way),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Store,
    Http,
}

/// One process of the storm, killed with it.
pub struct Player {
    pub role: Role,
    pub name: String,
    child: Child,
    /// Whether it has said anything yet.
    spoke: Arc<AtomicBool>,
}

impl Player {
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it was not waited for");
    }

    /// Stops it, and waits until it stands still: a thread that is in a call to the system goes on to the call's end,
    /// and may have the store's lock by then.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
        // One that has ended by itself stands still too; it is not reaped here.
        let ways = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        rustix::io::retry_on_intr(|| waitid(WaitId::Pid(self.pid()), ways)).expect("it is a child");
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn is_ready(&self) -> bool {
        self.spoke.load(Ordering::Relaxed)
    }

    /// Whether it has ended by itself, which none should.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is a child").is_some()
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts players, and hears them.
pub struct Stage {
    pub place: Place,
    handler: String,
    url: String,
    started: usize,
    hears: Sender<String>,
    pub heard: Receiver<String>,
}

impl Stage {
    pub fn new() -> Stage {
        let place = Place::new();
        let handler = place.script("handler.sh", HANDLER);
        std::fs::write(place.path("runs.txt"), "").expect("the folder is ours");
        for folder in ["renewed", "tried"] {
            std::fs::create_dir(place.path(folder)).expect("the folder is ours");
        }
        let (hears, heard) = channel();
        Stage { place, handler, url: String::new(), started: 0, hears, heard }
    }

    /// Everybody: JVMs only where it is said how to start one.
    pub fn roles() -> Vec<Role> {
        let both = [Way::Store, Way::Http];
        let mut roles = vec![Role::Server, Role::Worker(Way::Store)];
        roles.extend(both.map(Role::Worker));
        roles.extend(both.map(Role::Submitter));
        if std::env::var_os(JVM).is_some() {
            roles.extend(both.map(Role::Jvm));
        }
        roles
    }

    /// Starts one. The server comes first: the others need its address, which stays.
    pub fn start(&mut self, role: Role) -> Player {
        self.started += 1;
        let name = format!("player-{}", self.started);
        let mut child = match role {
            Role::Server => self.server(),
            Role::Worker(way) => self.worker(way, &name),
            Role::Submitter(way) => roles::command("submit", &self.address(way), &name),
            Role::Jvm(way) => self.jvm(way, &name),
        };
        let mut child = child.spawn().unwrap_or_else(|error| panic!("{role:?} cannot be started: {error}"));
        let spoke = Arc::new(AtomicBool::new(false));
        if role == Role::Server && self.url.is_empty() {
            self.url = first_url(&mut child);
            spoke.store(true, Ordering::Relaxed);
        }
        self.hear(child.stdout.take(), &spoke);
        self.hear(child.stderr.take(), &spoke);
        Player { role, name, child, spoke }
    }

    /// Keeps what is said, line by line: what a kill cut off was not said.
    fn hear(&self, pipe: Option<impl Read + Send + 'static>, spoke: &Arc<AtomicBool>) {
        let Some(pipe) = pipe else { return };
        let (hears, spoke) = (self.hears.clone(), spoke.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                spoke.store(true, Ordering::Relaxed);
                let line = String::from_utf8_lossy(&line);
                if line.contains("said ") || line.starts_with("errand: ") {
                    hears.send(line.into_owned()).ok();
                }
            }
        });
    }

    /// When the handler of an attempt last renewed its lease, if it did.
    pub fn renewed_at(&self, attempt: &str) -> i64 {
        let touched = self.place.path("renewed").join(attempt).metadata().and_then(|found| found.modified());
        touched.map_or(0, super::ms_of)
    }

    pub fn address(&self, way: Way) -> String {
        match way {
            Way::Store => self.place.store().display().to_string(),
            Way::Http => self.url.clone(),
        }
    }

    fn server(&self) -> Command {
        let listen = self.url.strip_prefix("http://").unwrap_or("127.0.0.1:0");
        let mut command = self.place.errand(&["serve", "--listen", listen, "--no-auth", "--format", "json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }

    fn worker(&self, way: Way, name: &str) -> Command {
        let mut command = self.place.bare();
        match way {
            Way::Store => command.env("ERRAND_DB", self.place.store()),
            Way::Http => command.env("ERRAND_API_URL", &self.url),
        };
        command.args(["jobs", "worker", "run", "--type", "t", "--handler", &self.handler]);
        command.args(["--worker-id", name, "--lease-duration", "1s", "--concurrency", "2"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    fn jvm(&self, way: Way, name: &str) -> Command {
        let words = std::env::var(JVM).expect("a JVM takes part only where this is there");
        let mut words = words.split_whitespace();
        let mut command = Command::new(words.next().expect("it names a program"));
        command.args(words).args([&self.address(way), name]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }
}

fn first_url(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("it is a pipe")).read_line(&mut line).expect("it is text");
    let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    said["url"].as_str().expect("it says where it is").to_owned()
}
