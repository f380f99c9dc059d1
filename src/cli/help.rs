//! The texts that teach, the version, and completions for shells.
//! It does not repeat what the command table says of a command.

use super::Ended;
use super::output::print;
use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

pub const ABOUT: &str = "A durable job engine: submit work, have workers do it, get the result";

pub const LONG_ABOUT: &str = "\
A durable job engine: submit work, have workers do it, get the result.

Jobs are kept in one SQLite file, which programs (a Clojure flow, this command) and workers on this machine share. A \
worker claims a job under a lease, runs a handler for it, and reports the result; a job whose worker is lost goes to \
another one. Nothing has to be started first: the file is made by the first submission or worker.";

pub const EXAMPLES: &str = "\
A first job, in two terminals:

  errand jobs worker run --type greet -- sh -c 'errand jobs worker finish --summary hello'
  errand jobs create --type greet --payload '{\"name\": \"Ada\"}'

then

  errand jobs list
  errand jobs await <job-id>

Exit status: 0 done; 1 a store that 'check' finds not whole; 2 bad arguments; 3 not allowed; 4 not found; 5 the job's state or lease forbids it; 6 the wait was \
over first; 70 a fault of ours; 75 busy, try again.";

pub const JOBS: &str = "\
Submit, watch and work on jobs.

To submit: create, batches create. To watch: show, list, await, stats. To intervene: cancel, retry. \
To work: 'worker run' does all of it for a handler program; claim, heartbeat, progress, complete, fail and release are \
its single steps, for workers of another make.";

pub const CHECK: &str = "\
Look at a whole store: the file as SQLite sees it, its tables, what must hold of its rows, and the bytes of its files.

It reads one state and changes nothing, also while programs and workers use the store; the store's log (-wal) grows \
meanwhile. Exit status: 0 whole; 1 something contradicts something, told with table, row, what was found and what was \
expected; others as everywhere. Bytes that belong to nothing are noted only: they go away by themselves.";

pub const BACKUP: &str = "\
Copy a store as it is at one moment, while programs and workers go on using it.

The copy is one SQLite file without files beside it, looked at as 'errand check' does, and put in its place whole or not at \
all. The bytes of its files are copied to the folder FILE-files, or to --resources-to; those that are there already are \
not copied again, so the copies of one store can share a folder. Bytes in a bucket stay there unless a folder is named. In the copy \
every running lease counts as renewed once, when it is first opened.";

pub const RESTORE: &str = "\
Make a backup the store at a path: looked at first, put in its place whole or not at all.

Nobody may have the store at that path open. With --force a store that is there is moved to FILE-replaced, and what stands \
in that file's log with it; a plain copy over it would leave the old log, which SQLite would take for the copy's own. Ids, \
idempotency keys and lease tokens are those of the backup; every lease in it counts as renewed once, so workers that still \
run go on with their jobs, and the jobs of others are claimed again when their leases are over.

Its files are put beside it. A folder or bucket that was named for the files of the store that was backed up is that store's: \
the restored one gets it where it takes that one's place, or with --take-files. A copy whose files are in a bucket is refused otherwise.";

pub const SERVE: &str = "\
Serve the store to programs on other machines, over HTTP.

Callers need a key: 'errand keys bootstrap' makes the first, an administrator's, and 'errand keys' makes others, each for \
what it is used for. As long as there are none the server listens on loopback addresses only and prints a token that is \
made for this run. SIGTERM drains: workers go on and claim nothing more, long polls end, requests are finished; jobs and \
leases are in the store, so a server that is started again goes on where this one ended.";

pub const SERVE_EXAMPLES: &str = "\
Examples:
  errand serve
  errand keys bootstrap && errand serve --listen 0.0.0.0:8383 --tls-cert cert.pem --tls-key key.pem
  errand serve --db /var/lib/errand/jobs.db --public-url https://jobs.example.com

Elsewhere:
  ERRAND_API_URL=http://127.0.0.1:8383 ERRAND_API_KEY=… errand jobs list
  curl -H \"Authorization: Bearer $KEY\" -H 'Content-Type: application/json' \\
    -d '{\"command\": \"jobs.list\"}' http://127.0.0.1:8383/api/commands

Watch it: /healthz, /readyz, /metrics";

pub const KEYS: &str = "\
Make, list and revoke the keys of the control plane.

A key belongs to a service account of one workspace; the account says what its keys are for: scopes, and perhaps the only \
job types. Keys are shown once, when they are made; the store has only their hashes. Disabling an account or revoking a \
key is felt at once.

Scopes: jobs.submit, jobs.read, jobs.worker, jobs.manage, resources.read, resources.write, workspace.full (everything).";

pub const WORKER: &str = "\
Run handlers for jobs; and what a handler may call while it runs.

'errand jobs worker run --type T --handler CMD' claims jobs of type T one after the other and starts CMD for each, with \
the job's facts in the environment:

  $ERRAND_JOB_PAYLOAD_FILE   the payload, as JSON
  $ERRAND_JOB_RESULT_FILE    where the result goes, as JSON; the helpers below write it
  $ERRAND_JOB_ID, _TYPE, _ATTEMPT, _BATCH_ID, … and the same under BREYTA_

Exit status 0 completes the job, any other fails it for good; 75 asks for another attempt. The other commands here are \
helpers for the handler: progress, attach-file, attach-kv, attach-table, finish, fail, state. They need no arguments to \
know the job.";

pub const WORKER_EXAMPLES: &str = "\
A handler in shell:

  #!/bin/sh
  set -e
  dir=$(jq -r .directory \"$ERRAND_JOB_PAYLOAD_FILE\")
  errand jobs worker progress --status running --message \"counting in $dir\"
  errand jobs worker finish --summary counted --output files=$(find \"$dir\" -type f | wc -l)

Run it:

  errand jobs worker run --type count --handler ./count.sh";

pub const RUN_EXAMPLES: &str = "\
Examples:
  errand jobs worker run --type agent-review --handler ./review.sh
  errand jobs worker run --type agent-review --concurrency 4 --label gpu=no -- python3 review.py --fast
  errand jobs worker run --type agent-review --handler ./review.sh --once --keep-job-dirs

SIGINT or SIGTERM drains: no new job, running handlers have the grace to finish, then get SIGTERM, then SIGKILL; what is \
unfinished goes back to the queue. A second signal skips the first grace, a third one kills at once.";

/// The version, and which SQLite is inside.
pub fn version() -> String {
    format!("{} (SQLite {})", env!("CARGO_PKG_VERSION"), rusqlite::version())
}

/// Prints the help of a group of commands.
pub fn print_group(mut whole: Command, path: &[&str]) -> Ended {
    whole.build();
    let mut at = &mut whole;
    for name in path {
        let Some(below) = at.find_subcommand_mut(name) else { unreachable!("a parsed command is a command") };
        at = below;
    }
    print(&at.render_long_help().to_string())
}

pub fn completions_command() -> Command {
    Command::new("completions")
        .about("Print a script that completes commands and flags in a shell")
        .arg(Arg::new("shell").value_name("SHELL").required(true).value_parser(value_parser!(Shell)))
        .after_help("Examples:\n  errand completions bash > ~/.local/share/bash-completion/completions/errand\n  errand completions fish | source")
}

pub fn print_completions(matches: &ArgMatches, mut whole: Command) -> Ended {
    let Some(shell) = matches.get_one::<Shell>("shell") else { unreachable!("the shell is required") };
    let mut script = Vec::new();
    clap_complete::generate(*shell, &mut whole, "errand", &mut script);
    print(&String::from_utf8_lossy(&script))
}
