//! The verbs of `errand jobs` and `errand keys` and the commands that they run: one table.
//! It does not know what the commands do.

use super::place::Missing;
use super::verb::{Manner, Verb, command};
use clap::Command;

const JOB: Option<&str> = Some("job-id");
const BATCH: Option<&str> = Some("batch-id");
const URI: Option<&str> = Some("uri");
const ACCOUNT: Option<&str> = Some("service-account-id");

const fn verb(
    words: &'static [&'static str],
    command: &'static str,
    subject: Option<&'static str>,
    examples: &'static [&'static str],
) -> Verb {
    Verb { words, alias: None, command, subject, missing: Missing::Fail, manner: Manner::Ask, examples, note: "" }
}

/// Every verb, in the order of the help.
pub static VERBS: &[Verb] = &[
    Verb {
        alias: Some("submit"),
        missing: Missing::Make,
        ..verb(
            &["jobs", "create"],
            "jobs.create",
            None,
            &[
                "errand jobs create --type agent-review --payload '{\"surface\": \"flows-api\"}'",
                "errand jobs create --type agent-review --payload-file review.edn --max-attempts 5",
                "jq .review all.json | errand jobs create --type agent-review --payload-file -",
            ],
        )
    },
    Verb {
        alias: Some("ls"),
        ..verb(
            &["jobs", "list"],
            "jobs.list",
            None,
            &[
                "errand jobs list --type agent-review --status failed",
                "errand jobs list --batch-id 0197… --limit 1000 --full --format json",
            ],
        )
    },
    Verb {
        alias: Some("get"),
        ..verb(
            &["jobs", "show"],
            "jobs.get",
            JOB,
            &["errand jobs show 0197…", "errand jobs show 0197… --format json | jq .data.job.result"],
        )
    },
    Verb {
        note: "Most workers need none of this: 'errand jobs worker run' claims, keeps the lease and reports.",
        ..verb(
            &["jobs", "claim"],
            "jobs.claim",
            None,
            &[
                "errand jobs claim --type agent-review --worker-id me --lease-duration 2m --label host=a1",
                "errand jobs claim --type agent-review --worker-id me --wait 30s",
            ],
        )
    },
    verb(
        &["jobs", "heartbeat"],
        "jobs.heartbeat",
        JOB,
        &["ERRAND_LEASE_TOKEN=… errand jobs heartbeat 0197… --lease-duration 5m"],
    ),
    verb(
        &["jobs", "progress"],
        "jobs.progress",
        JOB,
        &["errand jobs progress 0197… --lease-token-file token --status running --metric done=50"],
    ),
    verb(
        &["jobs", "complete"],
        "jobs.complete",
        JOB,
        &["errand jobs complete 0197… --lease-token-file token --summary reviewed --output findings=3"],
    ),
    Verb {
        note: "A failure is final, whatever --max-attempts was, unless it is marked --retryable.",
        ..verb(
            &["jobs", "fail"],
            "jobs.fail",
            JOB,
            &[
                "errand jobs fail 0197… --lease-token-file token --message 'no such branch' --code bad-input",
                "errand jobs fail 0197… --lease-token-file token --retryable --retry-after 1m",
            ],
        )
    },
    verb(
        &["jobs", "release"],
        "jobs.release",
        JOB,
        &["errand jobs release 0197… --lease-token-file token --reason 'host goes down'"],
    ),
    verb(&["jobs", "cancel"], "jobs.cancel", JOB, &["errand jobs cancel 0197… --reason 'no longer needed'"]),
    verb(&["jobs", "retry"], "jobs.retry", JOB, &["errand jobs retry 0197…"]),
    Verb {
        manner: Manner::Wait,
        note: WAIT_NOTE,
        ..verb(&["jobs", "await"], "jobs.await", JOB, &["errand jobs await 0197… --timeout 45m"])
    },
    verb(&["jobs", "stats"], "jobs.stats", None, &["errand jobs stats", "errand jobs stats --type agent-review"]),
    Verb {
        alias: Some("submit"),
        missing: Missing::Make,
        ..verb(
            &["jobs", "batches", "create"],
            "jobs.batches.create",
            None,
            &[
                "errand jobs batches create --type review --job '{\"payload\": 1}' --job '{\"payload\": 2}'",
                "errand jobs batches create --type review --jobs-file jobs.json",
            ],
        )
    },
    Verb {
        alias: Some("get"),
        manner: Manner::Show,
        ..verb(
            &["jobs", "batches", "show"],
            "jobs.batches.get",
            BATCH,
            &["errand jobs batches show 0197… --limit 1000", "errand jobs batches show 0197… --include-jobs=false"],
        )
    },
    Verb {
        manner: Manner::Wait,
        note: WAIT_NOTE,
        ..verb(
            &["jobs", "batches", "await"],
            "jobs.batches.await",
            BATCH,
            &["errand jobs batches await 0197… --timeout 45m --include-jobs"],
        )
    },
    verb(
        &["jobs", "batches", "cancel"],
        "jobs.batches.cancel",
        BATCH,
        &["errand jobs batches cancel 0197… --reason superseded"],
    ),
    Verb {
        alias: Some("ls"),
        ..verb(&["jobs", "batches", "list"], "jobs.batches.list", None, &["errand jobs batches list --status running"])
    },
    verb(
        &["jobs", "prune"],
        "jobs.prune",
        None,
        &["errand jobs prune", "errand jobs prune --older-than 7d --type agent-review"],
    ),
    verb(
        &["jobs", "retention"],
        "jobs.retention",
        None,
        &["errand jobs retention", "errand jobs retention --keep 30d --by-type '{\"agent-review\": \"1d\"}'"],
    ),
    Verb {
        note: HANDLER_NOTE,
        ..verb(
            &["jobs", "attach-kv"],
            "jobs.attach_kv",
            JOB,
            &["errand jobs attach-kv 0197… --lease-token-file token --label report --value '{\"findings\": 3}'"],
        )
    },
    Verb {
        note: HANDLER_NOTE,
        ..verb(
            &["jobs", "attach-table"],
            "jobs.attach_table",
            JOB,
            &["errand jobs attach-table 0197… --lease-token-file token --label findings --rows-file rows.json"],
        )
    },
    Verb {
        alias: Some("ls"),
        ..verb(
            &["jobs", "resources", "list"],
            "resources.list",
            None,
            &["errand jobs resources list --job-id 0197…", "errand jobs resources list --type table"],
        )
    },
    verb(
        &["jobs", "resources", "show"],
        "resources.get",
        URI,
        &["errand jobs resources show res://v1/ws/default/file/0197…"],
    ),
    verb(
        &["jobs", "resources", "read"],
        "resources.read",
        URI,
        &["errand jobs resources read res://…", "errand jobs resources read res://… --offset 1048576 --view base64"],
    ),
    verb(
        &["jobs", "resources", "query"],
        "resources.table_query",
        URI,
        &["errand jobs resources query res://… --where '[[\"severity\", \">=\", 3]]' --sort '[[\"file\", \"asc\"]]'"],
    ),
    verb(&["jobs", "resources", "delete"], "resources.delete", URI, &["errand jobs resources delete res://…"]),
    Verb {
        missing: Missing::Make,
        ..verb(
            &["keys", "accounts", "create"],
            "service_accounts.create",
            None,
            &["errand keys accounts create --name reviewers --scope jobs.worker --allowed-type agent-review"],
        )
    },
    Verb {
        alias: Some("ls"),
        ..verb(&["keys", "accounts", "list"], "service_accounts.list", None, &["errand keys accounts list"])
    },
    verb(&["keys", "accounts", "show"], "service_accounts.get", ACCOUNT, &["errand keys accounts show 0197…"]),
    verb(
        &["keys", "accounts", "update"],
        "service_accounts.update",
        ACCOUNT,
        &["errand keys accounts update 0197… --status disabled"],
    ),
    verb(
        &["keys", "create"],
        "service_accounts.keys.create",
        None,
        &["errand keys create --account 0197… --name ci --expires-at 2027-01-01T00:00:00Z"],
    ),
    Verb {
        alias: Some("ls"),
        ..verb(&["keys", "list"], "service_accounts.keys.list", None, &["errand keys list --account 0197…"])
    },
    verb(&["keys", "revoke"], "service_accounts.keys.revoke", Some("key-id"), &["errand keys revoke 0197…"]),
];

const HANDLER_NOTE: &str =
    "Inside a handler 'errand jobs worker attach-…' does this with nothing to know about the job.";

const WAIT_NOTE: &str =
    "Exit status 0: it is terminal, its status says how it ended. Exit status 6: the wait was over first, it goes on.";

/// The verb of these words.
pub fn find(words: &[&str]) -> Option<&'static Verb> {
    VERBS.iter().find(|verb| verb.words == words)
}

/// `errand jobs` with all its verbs.
pub fn jobs() -> Command {
    let mut jobs = Command::new("jobs").about("Submit, watch and work on jobs").long_about(super::help::JOBS);
    let mut batches = Command::new("batches").about("Many jobs that are submitted, awaited and cancelled as one");
    let mut resources = Command::new("resources").about("What jobs produced: files, values and tables");
    for verb in VERBS {
        match verb.words {
            ["jobs", "batches", _] => batches = batches.subcommand(command(verb)),
            ["jobs", "resources", _] => resources = resources.subcommand(command(verb)),
            ["jobs", ..] => jobs = jobs.subcommand(command(verb)),
            _ => {}
        }
    }
    jobs.subcommand(batches).subcommand(resources)
}

/// The verbs below these words.
pub fn below(words: &[&str]) -> impl Iterator<Item = Command> {
    VERBS.iter().filter(move |verb| verb.words.split_last().is_some_and(|(_, group)| group == words)).map(command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api;

    #[test]
    fn every_command_of_the_table_has_one_verb_and_every_subject_is_a_field() {
        for row in api::COMMANDS {
            assert_eq!(VERBS.iter().filter(|verb| verb.command == row.name).count(), 1, "{}", row.name);
        }
        for verb in VERBS {
            let row = api::command(verb.command).unwrap();
            assert!(
                verb.subject.is_none_or(|name| row.fields.iter().any(|field| field.name == name)),
                "{:?}",
                verb.words
            );
            assert_eq!(find(verb.words).unwrap().command, verb.command);
        }
    }
}
