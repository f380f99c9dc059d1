//! A control plane as a process of its own, which can be ended and started again at the same address.

use crate::program::{Place, within};
use errand::api::{self, Client, RemoteOptions};
use errand::http;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// `errand serve` on a place's store.
pub struct Plane {
    pub place: Place,
    more: Vec<String>,
    running: Option<Child>,
    /// What it said of itself when it last started.
    pub said: Value,
}

impl Plane {
    /// One that lets everybody in.
    pub fn open() -> Plane {
        Plane::with(Place::new(), &["--no-auth"])
    }

    pub fn with(place: Place, more: &[&str]) -> Plane {
        let more = more.iter().map(|flag| (*flag).to_owned()).collect();
        let mut plane = Plane { place, more, running: None, said: Value::Null };
        plane.start("127.0.0.1:0");
        plane
    }

    fn start(&mut self, address: &str) {
        let mut command = self.place.errand(&["serve", "--listen", address, "--format", "json", "--drain-time", "1s"]);
        let mut child = command.args(&self.more).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        self.running = Some(child);
        let line = within(move || {
            let mut line = String::new();
            out.read_line(&mut line).unwrap();
            line
        });
        self.said = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
    }

    pub fn url(&self) -> String {
        self.said["url"].as_str().unwrap().to_owned()
    }

    /// Ends it as a service manager does, and waits until it has ended.
    pub fn end(&mut self) {
        let mut child = self.running.take().unwrap();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let status = within(move || child.wait().unwrap());
        assert!(status.success(), "{status}");
    }

    /// Ends it without any warning.
    pub fn kill(&mut self) {
        let mut child = self.running.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts it again where it was.
    pub fn again(&mut self) {
        let address = self.said["address"].as_str().unwrap().to_owned();
        self.start(&address);
    }

    pub fn client(&self) -> Arc<dyn Client> {
        http::connect(&self.url(), RemoteOptions::default()).unwrap()
    }

    /// A client of the store itself.
    pub fn direct(&self) -> Arc<dyn Client> {
        api::open(&self.place.store(), api::OpenOptions::default()).unwrap()
    }

    /// A metric of the server.
    pub fn metric(&self, name: &str) -> f64 {
        let text = reqwest::blocking::get(format!("{}/metrics", self.url())).unwrap().text().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// The program, told of this control plane as a `breyta` client is.
    pub fn errand(&self, args: &[&str]) -> Command {
        let mut command = self.place.bare();
        command.env("BREYTA_API_URL", self.url()).env("BREYTA_TOKEN", "any").args(args);
        command
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
