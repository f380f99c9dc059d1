//! Lists of jobs and batches: every filter gives, page after page, what is there, newest first.

use crate::support::{Store, at, get, text};
use errand::api::{Client, OpenOptions};
use errand::value::Value;
use std::collections::BTreeMap;

fn pages(client: &dyn Client, command: &str, filter: &str, limit: usize) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(client, command, &format!("{{{filter} :limit {limit} {cursor}}}"));
        let Value::Vector(items) = at(&page, &["items"]) else { panic!("no items") };
        assert!(items.len() == limit || page.get("next-cursor").is_none(), "a page is whole where another follows");
        all.extend(items.iter().cloned());
        match page.get("next-cursor").and_then(Value::as_str) {
            Some(next) => cursor = format!(":cursor \"{next}\""),
            None => return all,
        }
    }
}

fn names(items: &[Value], key: &str) -> Vec<String> {
    items.iter().map(|item| text(item, &[key]).to_string()).collect()
}

/// Jobs of three types in most statuses: what is claimed ends, or stays as the claim left it.
fn fill(client: &dyn Client) {
    for n in 0..60 {
        let job_type = format!("t{}", n % 3);
        get(client, "jobs.create", &format!("{{:job-type \"{job_type}\"}}"));
        if n % 5 == 4 {
            let claimed = get(client, "jobs.claim", &format!("{{:job-type \"{job_type}\" :worker-id \"w\"}}"));
            let job = |key| text(&claimed, &["job", key]);
            let held = format!(":job-id \"{}\" :lease-token \"{}\"", job("job-id"), job("lease-token"));
            match n % 20 {
                4 => drop(get(client, "jobs.complete", &format!("{{{held}}}"))),
                9 => drop(get(client, "jobs.fail", &format!("{{{held}}}"))),
                14 => drop(get(client, "jobs.progress", &format!("{{{held} :status \"running\"}}"))),
                _ => {}
            }
        }
    }
    let batch = get(client, "jobs.batches.create", "{:job-type \"t0\" :jobs [{} {} {}]}");
    let id = text(&batch, &["batch", "batch-id"]);
    get(client, "jobs.batches.create", "{:job-type \"t1\" :jobs [{} {}]}");
    get(client, "jobs.batches.cancel", &format!("{{:batch-id \"{id}\"}}"));
}

#[test]
fn every_filter_gives_page_after_page_what_is_there_newest_first() {
    let store = Store::new();
    for (workspace, shared) in [("one", false), ("two", true)] {
        let client = store.open_with(OpenOptions { workspace: workspace.into(), ..OpenOptions::default() });
        fill(&*client);
        let all = pages(&*client, "jobs.list", "", 1000);
        assert_eq!(all.len(), 65, "shared: {shared}");
        let ids = names(&all, "job-id");
        assert!(ids.is_sorted_by(|newer, older| newer > older), "ids are in the order of submission");
        let mut groups: BTreeMap<(Option<String>, Option<String>), Vec<String>> = BTreeMap::new();
        for job in &all {
            let (job_type, status) = (text(job, &["job-type"]), text(job, &["status"]));
            for key in [(None, None), (Some(job_type), None), (None, Some(status)), (Some(job_type), Some(status))] {
                let key = (key.0.map(String::from), key.1.map(String::from));
                groups.entry(key).or_default().push(text(job, &["job-id"]).into());
            }
        }
        for job_type in [None, Some("t0"), Some("t1"), Some("t2"), Some("none")] {
            for status in [
                None,
                Some("queued"),
                Some("leased"),
                Some("running"),
                Some("succeeded"),
                Some("failed"),
                Some("cancelled"),
                Some("timed_out"),
            ] {
                let expected = groups.get(&(job_type.map(String::from), status.map(String::from)));
                let filter =
                    [job_type.map(|t| format!(":job-type \"{t}\"")), status.map(|s| format!(":status \"{s}\""))];
                let filter = filter.into_iter().flatten().collect::<Vec<_>>().join(" ");
                for limit in [1, 7, 100] {
                    let found = names(&pages(&*client, "jobs.list", &filter, limit), "job-id");
                    assert_eq!(Some(&found), expected.or(Some(&Vec::new())), "{workspace} {filter} {limit}");
                }
            }
        }
        for (filter, count) in [
            ("", 2),
            (":status \"cancelled\"", 1),
            (":status \"queued\"", 1),
            (":job-type \"t1\"", 1),
            (":job-type \"t1\" :status \"cancelled\"", 0),
        ] {
            assert_eq!(pages(&*client, "jobs.batches.list", filter, 1).len(), count, "{filter}");
        }
    }
}
