//! Handlers that attach files, values and tables with the helpers, under our worker.

use crate::program::{Place, json, text};
use serde_json::{Value, json};
use std::fs;

/// A handler that knows only `breyta` and the `BREYTA_…` variables.
const REVIEW: &str = r##"set -eu
printf '# Review\n\nfine\n' > "$BREYTA_JOB_DIR/report.md"
breyta jobs worker progress --status running --message reviewing >/dev/null
uri=$(breyta jobs worker attach-file --file "$BREYTA_JOB_DIR/report.md" --label report --resource-label "Review report" --print-uri)
breyta jobs worker attach-kv --label totals --field files=3 --field branch=main --field note='"x"' >/dev/null
breyta jobs worker attach-table --label findings --write-mode upsert --key-field id --index-field severity \
    --rows '[{"id": 1, "severity": "low"}, {"id": 2, "severity": "high"}]' >/dev/null
breyta jobs worker attach-table --label findings --write-mode upsert --key-field id \
    --rows '[{"id": 1, "severity": "high", "file": "a.rs"}]' >/dev/null
"$BREYTA_CLI_BIN" jobs show "$BREYTA_JOB_ID" > during.json
breyta jobs worker finish --summary "report at $uri" --output report="$uri" >/dev/null
"##;

fn artifact<'a>(job: &'a Value, label: &str) -> &'a Value {
    let all = job["result"]["artifacts"].as_array().unwrap();
    all.iter().find(|artifact| artifact["label"] == label).unwrap_or_else(|| panic!("{label}: {job}"))
}

#[test]
fn a_script_that_knows_only_the_breyta_names_attaches_everything() {
    let place = Place::new();
    let job = place.handled(REVIEW);
    assert_eq!(job["status"], "succeeded", "{job}");
    let during = json(&fs::read(place.path("during.json")).unwrap());
    let during = &during["data"]["job"];
    assert_eq!(during["status"], "running");
    let recorded = during["result"]["artifacts"].as_array().unwrap();
    assert_eq!(recorded.len(), 2, "values and tables are recorded at once: {during}");
    assert_eq!(job["result"]["artifacts"].as_array().unwrap().len(), 3, "and only once: {job}");

    let report = artifact(&job, "report");
    let uri = report["resourceUri"].as_str().unwrap();
    let expected = json!({"kind": "file", "label": "report", "contentType": "text/markdown; charset=utf-8",
        "resourceUri": uri, "filename": "report.md", "sizeBytes": 15, "resourceLabel": "Review report"});
    assert_eq!(report, &expected);
    assert_eq!(job["result"]["outputs"]["report"], uri);
    let read = place.ask(&["jobs", "resources", "read", uri]);
    assert_eq!(read["content"], "# Review\n\nfine\n");
    assert_eq!(place.ask(&["jobs", "resources", "show", uri])["resource"]["jobId"], job["jobId"]);

    let totals = artifact(&job, "totals");
    let read = place.ask(&["jobs", "resources", "read", totals["resourceUri"].as_str().unwrap()]);
    assert_eq!(read["content"], json!({"files": 3, "branch": "main", "note": "x"}));

    let findings = artifact(&job, "findings");
    assert_eq!((&findings["rowCount"], &findings["rowsWritten"]), (&json!(2), &json!(1)));
    let args = ["jobs", "resources", "query", findings["resourceUri"].as_str().unwrap()];
    let found = place
        .ask(&[&args[..], &["--where", r#"[["severity", "=", "high"]]"#, "--sort", r#"[["id", "desc"]]"#]].concat());
    assert_eq!(found["rows"], json!([{"id": 2, "severity": "high"}, {"id": 1, "severity": "high", "file": "a.rs"}]));
    assert!(job["result"].get("_breytaPersisted").is_none() && !job.to_string().contains("Persisted"));
}

#[test]
fn a_failed_job_keeps_the_files_that_were_attached() {
    let job =
        Place::new().handled("echo log > out.txt; errand jobs worker attach-file --file out.txt >/dev/null; exit 3");
    assert_eq!((&job["status"], &artifact(&job, "out.txt")["sizeBytes"]), (&json!("failed"), &json!(4)), "{job}");
}

#[test]
fn rows_come_from_lines_and_values_from_files() {
    let job = Place::new().handled(
        r#"set -e
printf '{"a": 1}\n\n{"a": 2}\n' > rows.jsonl; echo '[1, 2]' > value.json
errand jobs worker attach-table --label t --rows-file rows.jsonl >/dev/null
errand jobs worker attach-kv --label v --value-file value.json --ttl-seconds 60 >/dev/null
errand jobs worker attach-kv --label w --value plain >/dev/null"#,
    );
    assert_eq!(artifact(&job, "t")["rowCount"], 2, "{job}");
    assert_eq!((&artifact(&job, "v")["kind"], &artifact(&job, "w")["sizeBytes"]), (&json!("kv"), &json!(7)));
}

#[test]
fn what_cannot_be_attached_is_told() {
    let place = Place::new();
    let job = place.handled(
        r#"cli() { errand jobs worker "$@" >> said.txt; echo "$?" >> said.txt; }
cli attach-file --file missing.txt; cli attach-file --file /; cli attach-kv --label x --value '{'
cli attach-table --label x --rows '[1]'; cli attach-table --label x --write-mode upsert --rows '[{"a": 1}]'; exit 0"#,
    );
    assert_eq!(job["status"], "succeeded");
    assert!(job["result"].get("artifacts").is_none(), "{job}");
    let said = text(&fs::read(place.path("said.txt")).unwrap());
    assert_eq!(said.lines().filter(|line| *line == "2").count(), 5, "{said}");
    for words in ["missing.txt", "cannot be attached", "malformed JSON", "rows 0 is a number", "no key fields"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn a_label_with_the_words_of_a_path_is_only_a_label() {
    let place = Place::new();
    let job = place.handled(
        r#"set -e
echo x > 'a;b.txt'
errand jobs worker attach-file --file 'a;b.txt' --label '../../etc/passwd' >/dev/null
errand jobs worker attach-kv --label '../../../up' --key '/etc/x' --value 1 >/dev/null
errand jobs worker attach-table --label t --table '../../t' --rows '[{"../x": 1}]' >/dev/null"#,
    );
    assert_eq!(job["status"], "succeeded", "{job}");
    let mut names = Vec::new();
    let mut folders = vec![place.path("")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            names.push(entry.file_name().to_string_lossy().into_owned());
            if entry.path().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    assert!(names.iter().all(|name| !["up", "t", "x", "passwd"].contains(&name.as_str())), "{names:?}");
}

#[test]
fn the_same_script_runs_unchanged_over_http() {
    let place = Place::new();
    let host = errand::api::open_host(&place.store(), &errand::api::OpenOptions::default()).unwrap();
    let options = errand::http::ServeOptions {
        listen: "127.0.0.1:0".into(),
        drain_time: std::time::Duration::ZERO,
        ..errand::http::ServeOptions::default()
    };
    let server = errand::http::Server::start(host, options).unwrap();
    let id = place.create(&[]);
    let mut worker = place.bare();
    worker.env("ERRAND_API_URL", server.url()).env("ERRAND_API_KEY", server.token().unwrap());
    let handler = place.script("handler.sh", REVIEW);
    worker.args(["jobs", "worker", "run", "--type", "t", "--once", "--handler", &handler]);
    crate::program::succeeded(worker);
    let job = place.job(&id);
    assert_eq!(job["status"], "succeeded", "{job}");
    assert_eq!(job["result"]["artifacts"].as_array().unwrap().len(), 3, "{job}");
    let uri = artifact(&job, "report")["resourceUri"].as_str().unwrap();
    assert_eq!(place.ask(&["jobs", "resources", "read", uri])["content"], "# Review\n\nfine\n");
    let options = errand::api::RemoteOptions {
        api_key: server.token().map(str::to_owned),
        ..errand::api::RemoteOptions::default()
    };
    let client = errand::http::connect(server.url(), options).unwrap();
    let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n % 253) as u8).collect();
    let new = errand::api::NewFile { filename: "a.bin".into(), ..errand::api::NewFile::default() };
    let files = client.files().unwrap();
    let stored = files.put(new, &mut std::io::Cursor::new(bytes.clone())).unwrap();
    let mut reader = files.get(stored.get("uri").unwrap().as_str().unwrap()).unwrap();
    let mut back = Vec::new();
    loop {
        let part = reader.chunk().unwrap();
        if part.is_empty() {
            break;
        }
        back.extend(part);
    }
    assert!(back == bytes);
    client.close();
}
