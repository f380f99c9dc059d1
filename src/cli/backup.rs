//! `errand backup` and `errand restore`: a store to a copy of it, and back.
//! It does not know how stores are copied.

use super::output::{Format, Screen, print};
use super::{Ended, help, people, place};
use crate::api::{self, BackupOptions, BytesTo, RestoreOptions};
use crate::value::Value;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::path::PathBuf;
use std::time::Duration;

const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

fn file(name: &'static str, value: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).value_parser(value_parser!(PathBuf))
}

fn switch(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

pub fn command() -> Command {
    Command::new("backup")
        .about("Copy a store while it is used")
        .long_about(help::BACKUP)
        .arg(file("to", "FILE").required(true).help("the copy; mode 0600"))
        .arg(
            file("resources-to", "DIR")
                .help("where the bytes of files are copied to; FILE-files when absent, unless they are in a bucket"),
        )
        .arg(switch("no-resources").conflicts_with("resources-to").help("leave the bytes of files where they are"))
        .arg(switch("force").help("take the place of an earlier copy"))
        .arg(switch("unchecked").help("keep the copy without having looked whether it is whole"))
        .after_help(
            "Examples:\n  errand backup --db jobs.db --to /backup/jobs.db --force\n  \
             errand backup --db jobs.db --to \"/backup/jobs-$(date +%F).db\" --resources-to /backup/files",
        )
}

pub fn restore_command() -> Command {
    Command::new("restore")
        .about("Make a backup a store again")
        .long_about(help::RESTORE)
        .arg(file("from", "FILE").required(true).help("the backup"))
        .arg(file("to", "FILE").required(true).help("the store"))
        .arg(
            file("resources-from", "DIR").help("where the bytes of its files are; the backup's FILE-files when absent"),
        )
        .arg(
            switch("force")
                .help("move a store that is there aside, to FILE-replaced, or the first such name that is free"),
        )
        .arg(
            switch("take-files").help(
                "take over the place of files that was named for the store that was backed up, which must not go on",
            ),
        )
        .arg(switch("unchecked").help("take the backup without having looked whether it is whole"))
        .after_help("Example:\n  errand restore --from /backup/jobs.db --to jobs.db")
}

fn path(matches: &ArgMatches, name: &str) -> PathBuf {
    matches.get_one::<PathBuf>(name).cloned().unwrap_or_default()
}

pub fn run(matches: &ArgMatches, screen: &Screen) -> Ended {
    let bytes = match matches.get_one::<PathBuf>("resources-to") {
        Some(folder) => BytesTo::Folder(folder.clone()),
        None if matches.get_flag("no-resources") => BytesTo::Leave,
        None => BytesTo::Beside,
    };
    let options = BackupOptions {
        to: path(matches, "to"),
        bytes,
        force: matches.get_flag("force"),
        unchecked: matches.get_flag("unchecked"),
        busy_timeout: BUSY_TIMEOUT,
    };
    tell(&api::backup(&place::own_store(matches)?, &options)?, "backup", screen)
}

pub fn run_restore(matches: &ArgMatches, screen: &Screen) -> Ended {
    let options = RestoreOptions {
        from: path(matches, "from"),
        to: path(matches, "to"),
        bytes: matches.get_one::<PathBuf>("resources-from").cloned(),
        force: matches.get_flag("force"),
        take_files: matches.get_flag("take-files"),
        unchecked: matches.get_flag("unchecked"),
        busy_timeout: BUSY_TIMEOUT,
    };
    tell(&api::restore(&options)?, "restored", screen)
}

fn tell(data: &Value, what: &str, screen: &Screen) -> Ended {
    if screen.format != Format::People {
        return screen.found(true, data);
    }
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(people::plain).unwrap_or_default();
    let number = |of: &Value, name: &str| match of.get(name) {
        Some(Value::Int(number)) => *number,
        _ => 0,
    };
    let (path, size) = (text(data, "path"), number(data, "size-bytes"));
    let mut out = match data.get("checked?") {
        Some(Value::Bool(true)) => {
            let (jobs, batches) = (number(data, "jobs"), number(data, "batches"));
            format!("{what} {path}: {size} bytes, whole: {jobs} jobs, {batches} batches\n")
        }
        _ => format!("{what} {path}: {size} bytes, not checked\n"),
    };
    if let Some(files) = data.get("files") {
        let (copied, present) = (number(files, "copied"), number(files, "present"));
        if copied + present > 0 {
            out.push_str(&format!("files in {}: {copied} copied, {present} were there\n", text(files, "path")));
        }
    }
    if data.get("files-stay-in").is_some() {
        out.push_str(&format!("files stay in {}\n", text(data, "files-stay-in")));
    }
    if data.get("replaced").is_some() {
        out.push_str(&format!("the store that was there is now {}\n", text(data, "replaced")));
    }
    print(&out)
}
