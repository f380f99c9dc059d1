//! The command line's worker: claims jobs, runs a handler process for each in a private directory, keeps the lease
//! alive, and reports how it ended. It speaks to a client in the names of JSON, as handlers do.
//! It does not know argv, nor the rules about jobs: what it may do is what the client answers.

mod attach;
mod attempt;
mod calls;
mod claim;
mod environment;
mod folder;
mod helpers;
mod job;
mod lease;
mod process;
mod program;
mod result;
mod run;
mod say;
mod settle;
mod verdict;
mod watch;

pub use attach::AttachFile;
pub use helpers::{Finish, HandlerSide, pairs_over};
pub use program::{Program, own_path};
pub use run::{Outcome, Setup, run};
pub use say::{Log, heard, say};
pub use settle::reported;

/// What this machine calls itself.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Host name and process id: who a worker is when nobody named it.
pub fn default_worker_id() -> String {
    const HOST_MAX: usize = 100;
    let host: String = host().chars().filter(|c| !c.is_control()).take(HOST_MAX).collect();
    format!("{host}-{}", std::process::id())
}
