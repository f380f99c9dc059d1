//! A handler process: started in a group of its own, waited for, signalled, and ended with all its children.
//! It does not know why, nor what the exit means.

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tokio::signal::unix::{Signal as Arrivals, SignalKind, signal};

use super::program::Program;

const BUSY_TRIES: u32 = 20;
const BUSY_DELAY: Duration = Duration::from_millis(25);

/// A handler that was started. Dropped before it was waited for, it is killed with its group.
pub struct Handler {
    child: Child,
    group: Pid,
    children: Arrivals,
    over: bool,
}

impl Handler {
    /// Starts the program without a shell, with an empty standard input and its output on our standard error.
    pub async fn start(program: &Program, environment: &[(String, Option<OsString>)]) -> io::Result<Handler> {
        // Listening begins before there is a child, so that no exit is missed.
        let children = signal(SignalKind::child())?;
        let mut tries = 0;
        loop {
            match command(program, environment)?.spawn() {
                // Someone is just writing the file (a deploy, or a fork between open and exec elsewhere).
                Err(e) if e.kind() == io::ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES => tries += 1,
                Err(e) => return Err(e),
                Ok(child) => {
                    let group = Pid::from_child(&child);
                    return Ok(Handler { child, group, children, over: false });
                }
            }
            tokio::time::sleep(BUSY_DELAY).await;
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks the whole group to stop.
    pub fn terminate(&self) {
        self.tell(Signal::TERM);
    }

    /// Ends the whole group.
    pub fn kill(&self) {
        self.tell(Signal::KILL);
    }

    fn tell(&self, what: Signal) {
        if !self.over {
            // The group is gone only where the process is, and then there is no one to tell.
            let _ = kill_process_group(self.group, what);
        }
    }

    /// Waits until the process is over, then ends what it left behind in its group. Cancellation safe.
    pub async fn exit(&mut self) -> io::Result<ExitStatus> {
        // Not reaped yet: while the zombie stands, its id and its group's are nobody else's, so the kill cannot stray.
        while waitid(WaitId::Pid(self.group), WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT)?
            .is_none()
        {
            self.children.recv().await;
        }
        self.kill();
        self.over = true;
        self.child.wait()
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        if !self.over {
            self.kill();
            let _ = self.child.wait();
        }
    }
}

fn command(program: &Program, environment: &[(String, Option<OsString>)]) -> io::Result<Command> {
    let output = io::stderr().as_fd().try_clone_to_owned()?;
    let mut command = Command::new(&program.path);
    command.args(&program.args).process_group(0).stdin(Stdio::null()).stdout(Stdio::from(output));
    for (name, value) in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Ok(command)
}
