//! Tables: appended to, changed by key, growing, and queried by index and without one with the same answers.

use super::Claimed;
use crate::support::{ask, at, get};
use errand::value::{Value, edn};
use proptest::prelude::*;

impl Claimed {
    fn query(&self, uri: &str, args: &str) -> Vec<String> {
        let found = get(&*self.client, "resources.table_query", &format!("{{:uri {uri:?} {args}}}"));
        match at(&found, &["rows"]) {
            Value::Vector(rows) => rows.iter().map(edn::write).collect(),
            other => panic!("{}", edn::write(other)),
        }
    }
}

#[test]
fn an_upsert_changes_the_row_with_the_same_key_and_keeps_its_other_fields() {
    let claimed = Claimed::new();
    let upsert = |rows: &str| {
        claimed.attach("jobs.attach_table", &format!(":label \"t\" :write-mode :upsert :key-fields [:id] :rows {rows}"))
    };
    upsert("[{:id 1 :name \"a\"} {:id 2 :name \"b\"} {:id 1 :score 5}]");
    let uri = upsert("[{:id 2 :name \"c\" :later true} {:id 3}]");
    assert_eq!(
        claimed.query(&uri, ""),
        ["{:id 1, :name \"a\", :score 5}", "{:id 2, :name \"c\", :later true}", "{:id 3}"]
    );
    let info = get(&*claimed.client, "resources.get", &format!("{{:uri {uri:?}}}"));
    assert_eq!(at(&info, &["resource", "row-count"]), &Value::Int(3));
    assert_eq!(edn::write(at(&info, &["resource", "fields"])), r#"["id" "name" "score" "later"]"#);
    let changed = claimed.held(":label \"t\" :rows [{:id 1}] :key-fields [:name]");
    let error = ask(&*claimed.client, "jobs.attach_table", &changed).unwrap_err();
    assert!(error.message.contains("allowed: id"), "{}", error.message);
}

#[test]
fn an_index_field_that_is_added_later_covers_the_rows_before() {
    let claimed = Claimed::new();
    claimed.attach("jobs.attach_table", ":label \"t\" :rows [{:n 3} {:n 1} {:m 9}]");
    let uri = claimed.attach("jobs.attach_table", ":label \"t\" :rows [{:n 2}] :index-fields \"n\"");
    assert_eq!(claimed.query(&uri, ":sort [[\"n\" \"desc\"]]"), ["{:n 3}", "{:n 2}", "{:n 1}", "{:m 9}"]);
    assert_eq!(claimed.query(&uri, ":where [[\"n\" \">=\" 2]] :sort [:n]"), ["{:n 2}", "{:n 3}"]);
}

#[test]
fn pages_of_a_query_give_every_row_once() {
    let claimed = Claimed::new();
    let rows: Vec<String> = (0..1000).map(|n| format!("{{:n {n} :group \"g{}\"}}", n % 7)).collect();
    let rows = rows.join(" ");
    let uri = claimed.attach("jobs.attach_table", &format!(":label \"t\" :rows [{rows}] :index-fields [:group]"));
    for sort in ["", ":sort [[:group :desc]]", ":sort [[:n :asc] [:group :asc]]"] {
        let mut all = Vec::new();
        for offset in (0..1100).step_by(300) {
            all.extend(claimed.query(&uri, &format!("{sort} :limit 300 :offset {offset} :select [:n]")));
        }
        assert_eq!(all.len(), 1000, "{sort}");
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 1000, "{sort}");
    }
    let page = get(&*claimed.client, "resources.table_query", &format!("{{:uri {uri:?} :limit 10 :offset 990}}"));
    assert_eq!(at(&page, &["page", "has-more"]), &Value::Bool(false));
    let page = get(&*claimed.client, "resources.table_query", &format!("{{:uri {uri:?} :limit 10 :offset 989}}"));
    assert_eq!(at(&page, &["page", "has-more"]), &Value::Bool(true));
}

#[test]
fn a_query_that_is_malformed_says_where() {
    let claimed = Claimed::new();
    let uri = claimed.attach("jobs.attach_table", ":label \"t\" :rows [{:n 3}]");
    for (args, words) in [
        (":where 3", "where is not a vector"),
        (":where [[\"n\" \"~\" 3]]", "allowed: =, !="),
        (":where [[\"n\"]]", "where 0 is not a vector of field, operator and value"),
        (":sort [[\"n\" \"up\"]]", "\"asc\" or \"desc\""),
        (":where [[\"n\" \"in\" 3]]", "without a vector"),
        (":limit 0", "whole numbers from 1 to 10000"),
    ] {
        let error = ask(&*claimed.client, "resources.table_query", &format!("{{:uri {uri:?} {args}}}")).unwrap_err();
        assert!(error.message.contains(words), "{args}: {}", error.message);
    }
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("nil".to_string()),
        any::<bool>().prop_map(|b| b.to_string()),
        (-3i64..4).prop_map(|n| n.to_string()),
        prop_oneof![Just("0.5"), Just("-1.5"), Just("2.0"), Just("1e20")].prop_map(String::from),
        "[ab]{0,2}".prop_map(|s| format!("{s:?}")),
        "[ab]{1,2}".prop_map(|s| format!(":{s}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_query_answers_the_same_with_an_index_and_without(
        rows in prop::collection::vec((scalar(), scalar()), 1..40),
        condition in (prop::sample::select(vec!["=", "!=", "<", "<=", ">", ">="]), scalar()),
        down: bool,
        by_condition: bool,
    ) {
        let claimed = Claimed::new();
        let rows: Vec<String> =
            rows.iter().enumerate().map(|(i, (a, b))| format!("{{:i {i} :a {a} :b {b}}}")).collect();
        let rows = rows.join(" ");
        let plain = claimed.attach("jobs.attach_table", &format!(":label \"plain\" :rows [{rows}]"));
        let indexed =
            claimed.attach("jobs.attach_table", &format!(":label \"indexed\" :rows [{rows}] :index-fields [:a :b]"));
        let way = if down { "desc" } else { "asc" };
        let (op, value) = &condition;
        let conditions = if by_condition { format!(":where [[\"a\" {op:?} {value}]]") } else { String::new() };
        for sort in [format!(":sort [[\"a\" {way:?}]]"), format!(":sort [[\"b\" {way:?}]]")] {
            let query = format!("{conditions} {sort}");
            prop_assert_eq!(claimed.query(&plain, &query), claimed.query(&indexed, &query), "{}", query);
        }
    }
}
