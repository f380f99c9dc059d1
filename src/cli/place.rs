//! Where the jobs are: a store or a control plane, chosen by flags, then `ERRAND_…`, then `BREYTA_…`.
//! It does not ask anything of them.

use super::source;
use crate::api::{self, Client, Code, Error, Host, OpenOptions, RemoteOptions};
use crate::http;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, value_parser};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DEFAULT_STORE: &str = "errand.db";
/// Set inside a handler.
pub const JOB_DIR: [&str; 2] = ["ERRAND_JOB_DIR", "BREYTA_JOB_DIR"];
/// Bytes of a workspace's name.
const WORKSPACE_MAX: usize = 128;
const HANDLER_RETRY_MS: u64 = 30_000;
const DEFAULT_WORKSPACE: &str = "default";

/// The flags of every command that say where the jobs are.
pub fn args() -> Vec<Arg> {
    let arg = |name: &'static str| Arg::new(name).long(name).global(true).help_heading("Where the jobs are");
    vec![
        arg("db")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help("SQLite file with the jobs; else $ERRAND_DB, else ./errand.db"),
        arg("api").value_name("URL").help("control plane; else $ERRAND_API_URL, else $BREYTA_API_URL"),
        arg("api-key").value_name("KEY").help("key of the control plane; better from $ERRAND_API_KEY or a file"),
        arg("api-key-file").value_name("FILE").value_parser(value_parser!(PathBuf)).help("file that holds the key"),
        arg("workspace").value_name("NAME").help("else $ERRAND_WORKSPACE, else $BREYTA_WORKSPACE, else \"default\""),
    ]
}

/// What of these flags a command uses that is about a store as a whole, or about none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uses {
    Nothing,
    Store,
    StoreAndWorkspace,
}

impl Uses {
    fn ignores(self, flag: &str) -> bool {
        match self {
            Uses::Nothing => true,
            Uses::Store => flag != "db",
            Uses::StoreAndWorkspace => !["db", "workspace"].contains(&flag),
        }
    }

    /// The command without the flags that it would ignore in its help.
    pub fn shown(self, command: Command) -> Command {
        let ignored = args().into_iter().filter(|arg| self.ignores(arg.get_id().as_str()));
        command.args(ignored.map(|arg| arg.global(false).hide(true)))
    }

    /// Refuses what the command would ignore.
    pub fn refuse(self, matches: &ArgMatches) -> Result<(), Error> {
        let is_given = |flag: &str| matches.value_source(flag) == Some(ValueSource::CommandLine);
        let given = args().into_iter().find(|arg| {
            let flag = arg.get_id().as_str();
            self.ignores(flag) && is_given(flag)
        });
        let Some(given) = given else { return Ok(()) };
        let allowed = match self {
            Uses::Nothing => "this command uses neither the store nor the control plane of the others",
            Uses::Store => "this command is about a store; allowed: --db",
            Uses::StoreAndWorkspace => "this command is about a store; allowed: --db, --workspace",
        };
        Err(source::wrong(format!("--{} has no meaning here: {allowed}", given.get_id())))
    }
}

/// Whether a missing store is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Make,
    Fail,
}

#[derive(Debug, PartialEq)]
enum Choice {
    Store(PathBuf),
    Url(String),
}

/// A variable that is set to something.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The workspace that is spoken for.
pub fn workspace(matches: &ArgMatches) -> Result<String, Error> {
    let flag = matches.get_one::<String>("workspace").cloned();
    let named = flag.or_else(|| variable("ERRAND_WORKSPACE")).or_else(|| variable("BREYTA_WORKSPACE"));
    match named {
        None => Ok(DEFAULT_WORKSPACE.into()),
        Some(name) if (1..=WORKSPACE_MAX).contains(&name.len()) => Ok(name),
        Some(name) => {
            let text = format!("workspace is text of {} bytes; allowed: 1 to {WORKSPACE_MAX}", name.len());
            Err(Error::new(Code::InvalidArgument, text))
        }
    }
}

/// The key for a control plane, where one was given.
pub fn api_key(matches: &ArgMatches) -> Result<Option<String>, Error> {
    let names = ["ERRAND_API_KEY", "BREYTA_API_KEY", "BREYTA_TOKEN"];
    source::secret(matches, "api-key", &names)
}

/// Opens what the flags and the environment name.
pub fn connect(matches: &ArgMatches, missing: Missing) -> Result<Arc<dyn Client>, Error> {
    let flags = (matches.get_one::<PathBuf>("db").cloned(), matches.get_one::<String>("api").cloned());
    let errand = (variable("ERRAND_DB").map(PathBuf::from), variable("ERRAND_API_URL"));
    match choose(flags, errand, variable("BREYTA_API_URL"))? {
        Choice::Store(path) => open_store(&path, workspace(matches)?, missing),
        Choice::Url(url) => {
            // Inside a handler a restart is ridden out, as its worker does.
            let retry_for_ms = JOB_DIR.iter().find_map(|name| variable(name)).map(|_| HANDLER_RETRY_MS);
            let api_key = api_key(matches)?;
            http::connect(&url, RemoteOptions { workspace: workspace(matches)?, api_key, retry_for_ms })
        }
    }
}

/// Opens the store that the flags and the environment name, for what is done to the store itself.
pub fn connect_store(matches: &ArgMatches, missing: Missing) -> Result<Arc<dyn Client>, Error> {
    open_store(&store(matches)?, workspace(matches)?, missing)
}

/// The store that is named. A URL in the environment says where other commands ask.
pub fn store(matches: &ArgMatches) -> Result<PathBuf, Error> {
    let flags = (matches.get_one::<PathBuf>("db").cloned(), matches.get_one::<String>("api").cloned());
    match choose(flags, (variable("ERRAND_DB").map(PathBuf::from), None), None)? {
        Choice::Store(path) => Ok(path),
        Choice::Url(url) => {
            let url = http::without_secret(&url);
            let text = format!("control plane \"{url}\" is no store: name one with --db");
            Err(Error::new(Code::InvalidArgument, text))
        }
    }
}

/// As `store`, where the jobs of a control plane may be meant: then no other store is taken for its.
pub fn own_store(matches: &ArgMatches) -> Result<PathBuf, Error> {
    let named = matches.get_one::<PathBuf>("db").is_some() || variable("ERRAND_DB").is_some();
    match variable("ERRAND_API_URL").or_else(|| variable("BREYTA_API_URL")) {
        Some(url) if !named => {
            let url = http::without_secret(&url);
            let text = format!("control plane \"{url}\" of the environment is no store: name one with --db");
            Err(Error::new(Code::InvalidArgument, text))
        }
        Some(_) | None => store(matches),
    }
}

/// Opens the store that the flags and the environment name, to serve it to others.
pub fn serve(matches: &ArgMatches, missing: Missing, options: OpenOptions) -> Result<Arc<Host>, Error> {
    let path = absolute(&store(matches)?)?;
    let made = missing == Missing::Make && !path.exists();
    let create = missing == Missing::Make;
    let host = api::open_host(&path, &OpenOptions { create, workspace: workspace(matches)?, ..options })?;
    tell_made(made, &path);
    Ok(host)
}

fn choose(
    flags: (Option<PathBuf>, Option<String>),
    errand: (Option<PathBuf>, Option<String>),
    breyta: Option<String>,
) -> Result<Choice, Error> {
    if [&flags.0, &errand.0].into_iter().flatten().any(|path| has_scheme(path, &["postgres://", "postgresql://"])) {
        // The address is not shown: it may hold a password.
        let text = "stores on PostgreSQL cannot be used yet: they follow later; name a SQLite file";
        return Err(Error::new(Code::InvalidArgument, text));
    }
    let levels = [("--db and --api", flags), ("ERRAND_DB and ERRAND_API_URL", errand), ("", (None, breyta))];
    for (names, level) in levels {
        match level {
            (Some(_), Some(_)) => {
                let text = format!("{names} are both given: jobs are in a store or behind a control plane, name one");
                return Err(Error::new(Code::InvalidArgument, text));
            }
            (Some(path), None) if http::is_url(&path.to_string_lossy()) => {
                return Ok(Choice::Url(path.to_string_lossy().into_owned()));
            }
            (Some(path), None) => return Ok(Choice::Store(path)),
            (None, Some(url)) => return Ok(Choice::Url(url)),
            (None, None) => {}
        }
    }
    Ok(Choice::Store(DEFAULT_STORE.into()))
}

fn has_scheme(path: &Path, schemes: &[&str]) -> bool {
    let path = path.to_string_lossy();
    schemes.iter().any(|scheme| path.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}

fn open_store(path: &Path, workspace: String, missing: Missing) -> Result<Arc<dyn Client>, Error> {
    let path = absolute(path)?;
    let made = missing == Missing::Make && !path.exists();
    let options = OpenOptions { workspace, create: missing == Missing::Make, ..OpenOptions::default() };
    let client = api::open(&path, options)?;
    tell_made(made, &path);
    Ok(client)
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    let wrong = |e| format!("store \"{}\" cannot be resolved: {e}", path.display());
    std::path::absolute(path).map_err(|e| Error::new(Code::InvalidArgument, wrong(e)))
}

fn tell_made(made: bool, path: &Path) {
    if made {
        super::output::note(&format!("made the store {}", path.display()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(path: &str) -> Option<PathBuf> {
        Some(path.into())
    }

    #[test]
    fn flags_win_over_errand_names_and_those_over_breyta_names() {
        let url = || Some("http://x".to_owned());
        assert_eq!(choose((store("a"), None), (None, url()), url()), Ok(Choice::Store("a".into())));
        assert_eq!(choose((None, None), (store("b"), None), url()), Ok(Choice::Store("b".into())));
        assert_eq!(choose((None, None), (None, None), url()), Ok(Choice::Url("http://x".into())));
        assert_eq!(choose((None, None), (None, None), None), Ok(Choice::Store("errand.db".into())));
    }

    #[test]
    fn a_store_and_a_url_at_one_level_are_an_error() {
        let url = || Some("http://x".to_owned());
        for (flags, errand) in [((store("a"), url()), (None, None)), ((None, None), (store("a"), url()))] {
            assert_eq!(choose(flags, errand, None).unwrap_err().code, Code::InvalidArgument);
        }
    }
}
