//! Bounds that no single field has: of a job's artifacts and of a table together, of queries, files, steps and options.

use super::{World, assert_refused, cases};
use crate::support::{Store, ask, get, text};
use errand::api::{self, Answer, Code, NewFile, OpenOptions, RemoteOptions};
use errand::http::ServeOptions;
use errand::job::limits;
use errand::value::{MapBuilder, Value, edn};
use std::io::Cursor;

impl World {
    /// A table of a new job's, for whose rows the arguments are given.
    fn attach(&self, held: &(String, String), args: &str) -> Result<Value, api::Error> {
        let (job, token) = held;
        let args = format!("{{:job-id {job:?} :lease-token {token:?} :label \"rows\" {args}}}");
        ask(&*self.client, "jobs.attach_table", &args)
    }

    /// As `attach`, for rows that are taken; gives the URI.
    fn table(&self, held: &(String, String), args: &str) -> String {
        let reply = self.attach(held, args).unwrap_or_else(|error| panic!("{args:.200}: {error}"));
        text(&reply, &["artifact", "resource-uri"]).into()
    }

    fn query(&self, uri: &str, args: &str) -> Result<Value, api::Error> {
        ask(&*self.client, "resources.table_query", &format!("{{:uri {uri:?} {args}}}"))
    }

    /// Runs SQL beside the engine, for what would take too long through it.
    fn sql(&self, sql: &str) {
        let store = rusqlite::Connection::open(self.store.path()).expect("the store opens");
        store.execute_batch(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    /// That the request is refused and changes nothing.
    #[track_caller]
    fn refuses(&self, what: &str, code: Code, words: &[&str], reply: impl FnOnce() -> Result<Value, api::Error>) {
        let before = self.rows();
        assert_refused(what, reply(), code, words);
        assert!(self.rows() == before, "{what}: something was written");
    }
}

/// Maps or names for `count` numbers.
fn many(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_jobs_artifacts_have_their_bound_whoever_brings_them() {
    let world = World::new();
    let (job, token) = world.held();
    let held = format!(":job-id {job:?} :lease-token {token:?}");
    let labels = |from: usize, count| many(count, |n| format!("{{:label \"l{}\"}}", from + n));
    let progress =
        |artifacts: &str| ask(&*world.client, "jobs.progress", &format!("{{{held} :artifacts [{artifacts}]}}"));
    progress(&labels(0, 400)).expect("there is room");
    let words = ["1001", "1000"];
    world.refuses("progress", Code::InvalidArgument, &words, || progress(&labels(400, 601)));
    progress(&labels(400, 600)).expect("a thousand are allowed");
    progress(&labels(0, 1)).expect("one of the same label is replaced");
    for (command, args) in [
        ("jobs.progress", ":artifacts {:label \"more\"}"),
        ("jobs.complete", ":artifacts {:label \"more\"}"),
        ("jobs.fail", ":artifacts {:label \"more\"}"),
        ("jobs.attach_kv", ":label \"more\" :value 1"),
        ("jobs.attach_table", ":label \"more\" :rows [{:a 1}]"),
    ] {
        let ask = || ask(&*world.client, command, &format!("{{{held} {args}}}"));
        world.refuses(command, Code::InvalidArgument, &words, ask);
    }
}

#[test]
fn the_payloads_of_a_batch_have_their_bound_together() {
    let world = World::new();
    // The mistake after it is told only where the batch itself was taken.
    let batch = |jobs| {
        let args = MapBuilder::new().put("job-type", "t").put("jobs", jobs).put("max-attempts", 0).build();
        api::ask(&*world.client, "jobs.batches.create", args, api::Names::Clojure)
    };
    world.refuses("at the bound", Code::InvalidArgument, &[":max-attempts"], || batch(cases::full_batch(0)));
    let words = [":jobs", "134217729", "at most 134217728"];
    world.refuses("over the bound", Code::PayloadTooLarge, &words, || batch(cases::full_batch(1)));
}

#[test]
fn the_fields_of_a_table_have_bounds() {
    let world = World::new();
    let held = world.held();
    let row = |from: usize, count| format!(":rows [{{{}}}]", many(count, |n| format!(":f{} 1", from + n)));
    let too_many = ["1001 fields", "at most 1000"];
    world.refuses("in one row", Code::PayloadTooLarge, &too_many, || world.attach(&held, &row(0, 1001)));
    world.table(&held, &row(0, 999));
    world.refuses("in two rows", Code::PayloadTooLarge, &too_many, || world.attach(&held, &row(999, 2)));
    world.table(&held, &row(999, 1));

    let named = |count| format!(":table \"named\" :rows [{{{:?} 1}}]", "n".repeat(count));
    let words = ["rows 0", "513 bytes", "at most 512"];
    world.refuses("a name", Code::PayloadTooLarge, &words, || world.attach(&held, &named(513)));
    world.table(&held, &named(512));

    let fields = |keys, indexes| {
        let (keys, indexes) = (many(keys, |n| format!(":k{n}")), many(indexes, |n| format!(":i{n}")));
        format!(":table \"indexed\" :rows [{{:a 1}}] :key-fields [{keys}] :index-fields [{indexes}]")
    };
    let words = ["17 key and index fields", "at most 16"];
    world.refuses("indexes", Code::InvalidArgument, &words, || world.attach(&held, &fields(1, 16)));
    world.table(&held, &fields(1, 15));

    let value = |count| format!(":table \"values\" :rows [{{:a {:?}}}] :index-fields [:a]", "v".repeat(count));
    // One byte says that it is a text.
    let words = ["rows 0 \"a\" is 1025 bytes", "at most 1024"];
    world.refuses("a value", Code::PayloadTooLarge, &words, || world.attach(&held, &value(1024)));
    world.table(&held, &value(1023));
}

#[test]
fn the_rows_of_a_table_have_bounds() {
    let world = World::new();
    let held = world.held();
    let uri = world.table(&held, ":rows [{:id 1}] :key-fields [:id]");
    let count =
        |rows: i64| world.sql(&format!("UPDATE resource_table SET row_count = {rows} WHERE key_fields LIKE '%id%'"));
    count(limits::TABLE_REINDEX_MAX + 1);
    let words = ["10001 rows", "up to 10000"];
    let index = || world.attach(&held, ":rows [{:id 2}] :index-fields [:a]");
    world.refuses("an index field", Code::InvalidArgument, &words, index);
    count(limits::TABLE_REINDEX_MAX);
    index().expect("so many rows are gone through");
    count(limits::TABLE_ROWS_MAX - 1);
    let words = ["1000001 rows", "at most 1000000"];
    world.refuses("rows", Code::PayloadTooLarge, &words, || world.attach(&held, ":rows [{:id 3} {:id 4}]"));
    world.table(&held, ":rows [{:id 3}]");
    // What an upsert makes of a row is bounded as the row is.
    let half = |field: &str| format!(":write-mode :upsert :rows [{{:id 3 {field} {:?}}}]", "x".repeat(200_000));
    world.table(&held, &half(":x"));
    let words = ["rows 0", "at most 262144"];
    world.refuses("a grown row", Code::PayloadTooLarge, &words, || world.attach(&held, &half(":y")));
    assert!(world.query(&uri, ":limit 10000").is_ok());
}

#[test]
fn a_query_has_bounds() {
    let world = World::new();
    let uri = world.table(&world.held(), ":rows [{:a 1}]");
    let filters = |count| format!(":where [{}]", many(count, |n| format!("[:f{n} := 1]")));
    assert_refused("where", world.query(&uri, &filters(33)), Code::InvalidArgument, &["33 conditions", "at most 32"]);
    world.query(&uri, &filters(32)).expect("so many conditions are allowed");
    let sort = |count| format!(":sort [{}]", many(count, |n| format!("[:f{n}]")));
    assert_refused("sort", world.query(&uri, &sort(17)), Code::InvalidArgument, &["17 fields", "at most 16"]);
    world.query(&uri, &sort(16)).expect("so many fields are allowed");
}

#[test]
fn what_is_sorted_without_an_index_has_bounds() {
    let world = World::new();
    let fill = |uri: &str, rows: usize, value: &str| {
        let id = uri.rsplit('/').next().expect("an id");
        world.sql(&format!(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {rows})
             INSERT INTO resource_row (resource_seq, row) SELECT seq, {value} FROM n, resource WHERE id = '{id}'"
        ));
    };
    let sorted = |uri: &str| world.query(uri, ":sort [[:a]] :limit 1");
    let uri = world.table(&world.held(), ":rows [{:a 1}]");
    fill(&uri, limits::QUERY_SORTED_MAX - 1, "'{:a 1}'");
    sorted(&uri).expect("so many rows are sorted");
    fill(&uri, 1, "'{:a 1}'");
    assert_refused("rows", sorted(&uri), Code::InvalidArgument, &["more than 200000 rows", "an index field"]);

    let uri = world.table(&world.held(), ":rows [{:a 1}]");
    // One byte says that it is a text; a number has 17.
    let value = (256 << 10) - 1;
    let row = |bytes: usize| format!("'{{:a \"' || printf('%.*c', {bytes}, 'x') || '\"}}'");
    fill(&uri, limits::QUERY_SORTED_BYTES_MAX / (value + 1) - 1, &row(value));
    fill(&uri, 1, &row(value - 17));
    sorted(&uri).expect("so many bytes are sorted");
    fill(&uri, 1, "'{:a nil}'");
    assert_refused("bytes", sorted(&uri), Code::InvalidArgument, &["more than 67108864 bytes", "an index field"]);
}

#[test]
fn what_is_told_of_a_file_has_bounds() {
    let world = World::new();
    let file = |name: usize| NewFile { filename: "f".repeat(name), ..NewFile::default() };
    let folder = |bytes: usize| {
        let folders = [bytes - 511, 254, 255].map(|bytes| "d".repeat(bytes));
        NewFile { folder: Some(folders.join("/")), ..file(1) }
    };
    let content_type =
        |bytes: usize| NewFile { content_type: Some(format!("text/{}", "x".repeat(bytes - 5))), ..file(1) };
    let label = |bytes| NewFile { label: Some("l".repeat(bytes)), ..file(1) };
    for (what, fits, over, words) in [
        ("filename", file(255), file(256), "1 to 255 bytes"),
        ("folder", folder(512), folder(513), "relative path of plain names"),
        ("content type", content_type(128), content_type(129), "allowed: such as text/plain"),
        ("label", label(512), label(513), "is 513 bytes; at most 512 are allowed"),
    ] {
        let put = |new| world.client.files().expect("files are here").put(new, &mut Cursor::new(b"bytes"));
        world.refuses(what, Code::InvalidArgument, &[what, words], || put(over));
        put(fits).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

#[test]
fn a_step_has_bounds() {
    let world = World::new();
    let step = |id: usize, config: &str| {
        let (tell, told) = std::sync::mpsc::channel();
        let config = edn::read(config).expect("the test's own EDN");
        match api::step(&*world.client, &"s".repeat(id), config, Box::new(move |reply| drop(tell.send(reply)))) {
            Answer::Now(reply) => reply,
            Answer::Later(_) => told.recv().expect("it is told"),
        }
    };
    let submit = "{:op :submit :job-type \"t\"}";
    world.refuses("a step id", Code::InvalidArgument, &[":step-id", "513 bytes", "at most 512"], || step(513, submit));
    step(512, submit).expect("so long an id is allowed");
    let wait = |more: &str| format!("{{:op :await :job-id {:?} {more}}}", world.ended_job);
    for (what, fits, over, words) in [
        (":timeout", limits::WAIT_MAX_MS, limits::WAIT_MAX_MS + 1, "\"1ms\" to \"366d\""),
        (":interval", limits::WAIT_MAX_MS, limits::WAIT_MAX_MS + 1, "\"1ms\" to \"366d\""),
        (":max-attempts", limits::CHECKS_MAX, limits::CHECKS_MAX + 1, "1 to 1000000"),
        (":backoff :max", limits::WAIT_MAX_MS, limits::WAIT_MAX_MS + 1, "\"1ms\" to \"366d\""),
        (":backoff :factor", 1000, 1001, "1 to 1000"),
    ] {
        let asked = |value: i64| match what.strip_prefix(":backoff ") {
            Some(name) => step(1, &wait(&format!(":backoff {{:type :linear {name} {value}}}"))),
            None => step(1, &wait(&format!("{what} {value}"))),
        };
        world.refuses(what, Code::InvalidArgument, &[what, words], || asked(over));
        asked(fits).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

#[test]
fn the_options_have_bounds() {
    let name = |bytes: usize| format!("{:?}", "w".repeat(bytes));
    let ms = |ms: i64| ms.to_string();
    let (wait, keep) = (limits::WAIT_MAX_MS, limits::RETENTION_MAX_MS);
    let by_type = |ms: i64| format!("{{\"t\" {ms}}}");
    let types = |count| format!("{{{}}}", many(count, |n| format!("\"t{n}\" 1")));
    type Read = fn(&Value) -> Result<Value, api::Error>;
    let local: Read = |options| OpenOptions::from_value(options).map(|_| Value::Nil);
    let remote: Read = |options| RemoteOptions::from_value(options).map(|_| Value::Nil);
    let serve: Read = |options| ServeOptions::from_value(options).map(|_| Value::Nil);
    for (read, what, fits, over, words) in [
        (local, ":workspace", name(128), name(129), "129 bytes; allowed: at most 128"),
        (local, ":resources", name(512), name(513), "513 bytes; allowed: at most 512"),
        (local, ":fallback-poll", ms(wait), ms(wait + 1), "\"1ms\" to \"366d\""),
        (local, ":busy-timeout", ms(wait), ms(wait + 1), "\"1ms\" to \"366d\""),
        (local, ":prune-every", ms(wait), ms(wait + 1), "\"1ms\" to \"366d\""),
        (local, ":retention", ms(keep), ms(keep + 1), "\"1ms\" to \"3660d\""),
        (local, ":retention-by-type", by_type(keep), by_type(keep + 1), "\"1ms\" to \"3660d\""),
        (local, ":retention-by-type", types(1000), types(1001), "1001 entries; at most 1000"),
        (remote, ":workspace", name(128), name(129), "129 bytes; allowed: at most 128"),
        (remote, ":retry-for", ms(wait), ms(wait + 1), "\"1ms\" to \"366d\""),
        (serve, ":listen", name(256), name(257), "257 bytes; allowed: at most 256"),
        (serve, ":public-url", name(4096), name(4097), "4097 bytes; allowed: at most 4096"),
        (serve, ":drain-time", ms(3_600_000), ms(3_600_001), "\"0ms\" to \"1h\""),
    ] {
        let given = |value: &str| read(&edn::read(&format!("{{{what} {value}}}")).expect("the test's own EDN"));
        assert_refused(what, given(&over), Code::InvalidArgument, &[what, words]);
        given(&fits).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

#[test]
fn an_error_stays_short_whatever_was_given() {
    let store = Store::new();
    let client = store.open();
    let long = "x".repeat(8 << 20);
    let keyword = Value::Keyword(long.clone().into());
    let lone = |key: &Value, value: Value| Value::Map(vec![(key.clone(), value)]);
    let named = |name, value| MapBuilder::new().put("job-type", "t").put(name, value).build();
    for (command, args) in [
        (&*long, Value::Map(Vec::new())),
        ("jobs.create", lone(&keyword, Value::Nil)),
        ("jobs.create", lone(&Value::str(&*long), Value::Nil)),
        ("jobs.create", lone(&Value::Vector(vec![keyword.clone()]), Value::Nil)),
        ("jobs.create", named("max-attempts", keyword.clone())),
        ("jobs.create", named("idempotency-key", keyword.clone())),
        ("jobs.batches.create", named("jobs", Value::Vector(vec![lone(&keyword, Value::Nil)]))),
        ("jobs.claim", named("worker-id", keyword.clone())),
        ("jobs.claim", named("lease-duration", Value::str(&*long))),
        ("jobs.list", MapBuilder::new().put("status", &*long).build()),
        ("resources.get", MapBuilder::new().put("uri", &*long).build()),
    ] {
        assert_refused(command, api::ask(&*client, command, args, api::Names::Clojure), Code::InvalidArgument, &[]);
    }
    get(&*client, "jobs.list", "{}");
}
