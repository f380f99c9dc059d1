//! `errand keys`: the verbs of service accounts and keys, and the first key of all.
//! It does not know what a key opens.

use super::output::{Format, Screen, note};
use super::place::{self, Missing, Uses};
use super::source::wrong;
use super::{Ended, help, verbs};
use crate::api::{self, Client, Error, Names};
use crate::value::Value;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// `errand keys` with all its verbs.
pub fn command() -> Command {
    let accounts = Command::new("accounts").about("Who keys are made for, and what their keys open");
    Command::new("keys")
        .about("Make, list and revoke the keys of the control plane")
        .long_about(help::KEYS)
        .subcommand(Uses::StoreAndWorkspace.shown(bootstrap_command()))
        .subcommands(verbs::below(&["keys"]))
        .subcommand(accounts.subcommands(verbs::below(&["keys", "accounts"])))
}

fn bootstrap_command() -> Command {
    Command::new("bootstrap")
        .about("Make the first administrator's key of a workspace and print it, this once")
        .arg(Arg::new("name").long("name").value_name("TEXT").default_value("administrator").help("whose it is"))
        .arg(
            Arg::new("another")
                .long("another")
                .action(ArgAction::SetTrue)
                .help("make one although the workspace has an administrator: the key of the first was lost"),
        )
        .after_help("Examples:\n  errand keys bootstrap\n  errand keys bootstrap --workspace reviews --format json | jq -r .data.key.secret")
}

/// Makes an administrator and a key, in the store itself.
pub fn bootstrap(matches: &ArgMatches, screen: &Screen) -> Ended {
    let client = place::connect_store(matches, Missing::Make)?;
    let made = make(&*client, matches);
    client.close();
    let made = made?;
    screen.reply(&made, client.workspace(), false)?;
    if screen.format == Format::People {
        note("keep the secret: it is not shown again");
    }
    Ok(())
}

fn make(client: &dyn Client, matches: &ArgMatches) -> Result<Value, Error> {
    if !matches.get_flag("another") && administrator(client)? {
        let text = "workspace has an administrator already; with --another it gets one more".into();
        return Err(Error { code: api::Code::Refused, ..wrong(text) });
    }
    let name = matches.get_one::<String>("name").map_or("administrator", String::as_str);
    let scopes = Value::Vector(vec![api::Scope::WorkspaceFull.name().into()]);
    let account = ask(client, "service_accounts.create", &[("name", name.into()), ("capabilities", scopes)])?;
    let id = account.get("service-account").and_then(|account| account.get("service-account-id")).cloned();
    let id = id.unwrap_or_else(|| unreachable!("a service account has an id"));
    ask(client, "service_accounts.keys.create", &[("service-account-id", id), ("name", name.into())])
}

/// Whether an active service account of the workspace may do everything.
fn administrator(client: &dyn Client) -> Result<bool, Error> {
    let full = Value::from(api::Scope::WorkspaceFull.name());
    let mut cursor: Option<Value> = None;
    loop {
        let args: Vec<_> = cursor.take().map(|cursor| ("cursor", cursor)).into_iter().collect();
        let page = ask(client, "service_accounts.list", &args)?;
        let found = matches!(page.get("items"), Some(Value::Vector(items)) if items.iter().any(|account| {
            account.get("status").and_then(Value::as_str) == Some("active")
                && matches!(account.get("capabilities"), Some(Value::Vector(scopes)) if scopes.contains(&full))
        }));
        cursor = page.get("next-cursor").cloned();
        if found || cursor.is_none() {
            return Ok(found);
        }
    }
}

fn ask(client: &dyn Client, command: &str, args: &[(&'static str, Value)]) -> Result<Value, Error> {
    let args = args.iter().map(|(name, value)| (Value::key(name), value.clone())).collect();
    api::ask(client, command, Value::Map(args), Names::Clojure)
}
