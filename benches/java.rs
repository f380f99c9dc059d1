//! The Clojure half of the benchmark: one JVM that runs a phase for each line it is sent, and answers with a line.

use errand::value::{Value, edn};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A JVM with `benches/clj/bench.clj` in it.
pub struct Java {
    program: String,
    class_path: String,
    native: Option<&'static str>,
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Java {
    pub fn start(java: &str, class_path: &str) -> Java {
        Java::start_with(java, class_path, &["-Xmx3g"])
    }

    /// Another one, with options of its own.
    pub fn another(&self, options: &[&str]) -> Java {
        Java::start_with(&self.program, &self.class_path, options)
    }

    fn start_with(java: &str, class_path: &str, options: &[&str]) -> Java {
        let mut command = Command::new(java);
        let native = "--enable-native-access=ALL-UNNAMED";
        let known = Command::new(java).args([native, "-version"]).output().is_ok_and(|output| output.status.success());
        let native = known.then_some(native);
        command.args(native);
        let mut child = command
            .args(options)
            .args(["-cp", class_path, "clojure.main", "benches/clj/bench.clj"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{java}: {error}"));
        let (to, from) = (child.stdin.take(), child.stdout.take());
        let (program, class_path) = (java.to_string(), class_path.to_string());
        Java { program, class_path, native, child, to, from: BufReader::new(from.expect("a pipe was asked for")) }
    }

    /// A JVM of its own that is still to be told what to run.
    pub fn fresh(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(self.native).args(["-cp", &self.class_path]);
        command
    }

    /// Runs one phase; `task` is an EDN map.
    pub fn run(&mut self, task: &str) -> Value {
        let to = self.to.as_mut().expect("the JVM runs");
        writeln!(to, "{task}").and_then(|()| to.flush()).unwrap_or_else(|error| panic!("the JVM is gone: {error}"));
        let mut line = String::new();
        self.from.read_line(&mut line).expect("the JVM answers");
        let reply = edn::read(&line).unwrap_or_else(|fault| panic!("the JVM answered {line:?}: {fault}"));
        if let Some(error) = reply.get("error") {
            panic!("{task}: {}", edn::write(error));
        }
        reply
    }
}

/// A number of a reply.
pub fn number(reply: &Value, key: &str) -> f64 {
    match reply.get(key) {
        Some(Value::Double(number)) => *number,
        Some(Value::Int(number)) => *number as f64,
        other => panic!("{key} is {other:?}"),
    }
}

impl Drop for Java {
    fn drop(&mut self) {
        drop(self.to.take());
        let _ = self.child.wait();
    }
}
