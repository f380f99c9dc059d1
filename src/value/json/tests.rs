//! The projections between EDN and JSON, and what is no JSON.

use crate::value::{Value, edn, json};

fn from_json(text: &str) -> String {
    match json::read_text(text.as_bytes()) {
        Ok(value) => edn::write(&value),
        Err(fault) => format!("{} at {}", fault.message, edn::write(&Value::Vector(fault.path))),
    }
}

#[test]
fn a_callers_edn_becomes_json_with_its_own_keys() {
    for (text, expected) in [
        ("{:a-b 1, :ns/c? true, sym nil, \"s\" \"t\"}", r#"{"a-b":1,"ns/c?":true,"sym":null,"s":"t"}"#),
        ("{1 2, [1 :k] 3, nil 4, \\a 5, #{} 6, #t 1 7}", r##"{"1":2,"[1 :k]":3,"nil":4,"\\a":5,"#{}":6,"#t 1":7}"##),
        ("[:k ns/s #{1} (2) \\a]", r#"["k","ns/s",[1],[2],"a"]"#),
        (
            "[1/2 -22/7 12345678901234567890N 1.50M 1E+3M 1.0 1.0E300]",
            "[0.5,-3.142857142857143,12345678901234567890,1.50,1E+3,1.0,1e300]",
        ),
        ("[##NaN ##Inf ##-Inf]", r#"["NaN","Infinity","-Infinity"]"#),
        ("#inst \"2026-11-23T15:00:00.123-00:00\"", r#""2026-11-23T15:00:00.123Z""#),
        ("#uuid \"f81d4fae-7dec-11d0-a765-00a0c91e6bf6\"", r#""f81d4fae-7dec-11d0-a765-00a0c91e6bf6""#),
        ("#t [#u {:a #v 1}]", r#"[{"a":1}]"#),
        ("\"\\\"\\\\\\n\\t\\r\\b\\f\u{1}é😀\"", r#""\"\\\n\t\r\u0008\u000c\u0001é😀""#),
        ("{}", "{}"),
        ("[]", "[]"),
        ("nil", "null"),
    ] {
        assert_eq!(json::write(&Value::Text(text.into())), expected, "{text}");
        let tree = Value::Map(vec![
            (Value::key("job-id"), Value::str("x")),
            (Value::key("payload"), Value::Text(text.into())),
        ]);
        assert_eq!(json::write(&tree), format!(r#"{{"jobId":"x","payload":{expected}}}"#));
    }
}

#[test]
fn a_ratio_of_huge_numbers_is_a_double() {
    let huge = "7".repeat(400);
    assert_eq!(json::write(&edn::read(&format!("{huge}/3")).unwrap()), "\"Infinity\"");
    assert_eq!(json::write(&edn::read(&format!("{huge}1/{huge}2")).unwrap()), "1.0");
}

#[test]
fn our_own_keys_become_camel_case() {
    let tree = edn::read("{:cancel-requested? true :job-id {:a-b :c-d} \"own-key\" 1}").unwrap();
    assert_eq!(json::write(&tree), r#"{"cancelRequested":true,"jobId":{"aB":"c-d"},"own-key":1}"#);
}

#[test]
fn pretty_json_is_indented_by_two_spaces() {
    let tree = Value::Map(vec![(Value::key("a-b"), Value::Text("[1 {:c-d #t []} {}]".into()))]);
    assert_eq!(json::write_pretty(&tree), "{\n  \"aB\": [\n    1,\n    {\n      \"c-d\": []\n    },\n    {}\n  ]\n}");
}

#[test]
fn what_a_worker_reports_becomes_edn() {
    for (text, expected) in [
        (r#"{"a":1,"a-b_c?":2,"a.b":3,"*":4}"#, "{:a 1, :a-b_c? 2, :a.b 3, :* 4}"),
        (
            r#"{"a/b":1,"":2,"1a":3,"a b":4,".a":5,"é":6,"a:b":7}"#,
            r#"{"a/b" 1, "" 2, "1a" 3, "a b" 4, ".a" 5, "é" 6, "a:b" 7}"#,
        ),
        ("[0, -0, 9223372036854775807, 9223372036854775808, -1]", "[0 0 9223372036854775807 9223372036854775808N -1]"),
        ("[1.0, 1e2, -0.0, 1E-2, 0.1]", "[1.0 100.0 -0.0 0.01 0.1]"),
        (r#" [ null , true,false ,{} , [ ] ] "#, "[nil true false {} []]"),
        (r#""\u00e9\ud83d\ude00\/\"\\\b\f\n\r\t""#, "\"é😀/\\\"\\\\\\b\\f\\n\\r\\t\""),
        ("{\"a\":{\"b\":[{\"c\":[]}]}}", "{:a {:b [{:c []}]}}"),
    ] {
        assert_eq!(from_json(text), expected, "{text}");
        let args =
            json::read(format!(r#"{{"jobId":"x","workerInfo":{text},"k":{{"a":1}}}}"#).as_bytes(), &["worker-info"])
                .unwrap();
        assert_eq!(edn::write(&args), format!("{{\"jobId\" \"x\", \"workerInfo\" {expected}, \"k\" {{\"a\" 1}}}}"));
    }
}

#[test]
fn what_is_no_json_is_a_fault() {
    for text in [
        "",
        " ",
        "nul",
        "tru",
        "nullx",
        "1 2",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:2}",
        "{\"a\":1 \"b\":2}",
        "[",
        "{",
        "[1",
        "{\"a\":1",
        "]",
        "}",
        "[}",
        "{]",
        "01",
        "-",
        "+1",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x1",
        "1_0",
        "NaN",
        "Infinity",
        "1e999",
        "-1e999",
        "\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\udc00\\ud800\"",
        "\"a\nb\"",
        "\"\u{1f}\"",
        "'a'",
        "/*c*/1",
        "\u{feff}1",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"\\u0061\":2}",
        "{\"a b\":1,\"a b\":2}",
    ] {
        assert!(json::read(text.as_bytes(), &[]).is_err(), "{text}");
        assert!(json::read_text(text.as_bytes()).is_err(), "{text}");
    }
    assert_eq!(json::read(b"[\"\xff\"]", &[]).unwrap_err().message, "JSON is not UTF-8 at byte 2");
}

#[test]
fn a_fault_in_json_has_its_path() {
    assert_eq!(from_json(r#"{"a":[1,{"b c":[01]}]}"#), "JSON number \"01\" is malformed at [\"a\" 1 \"b c\" 0]");
    assert_eq!(from_json(r#"{"a":[1,{"b":1,"b":2}]}"#), "map has the key :b twice at [\"a\" 1]");
    assert_eq!(from_json(r#"{"a":1,"b""#), "JSON ends too early at []");
}

#[test]
fn deep_json_is_a_fault() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        assert!(json::read(nested(100).as_bytes(), &[]).is_ok());
        assert!(json::read_text(nested(100).as_bytes()).is_ok());
        for depth in [101, 100_000] {
            assert_eq!(
                json::read(nested(depth).as_bytes(), &[]).unwrap_err().message,
                "nesting is deeper than 100 levels"
            );
            assert!(json::read_text(nested(depth).as_bytes()).is_err());
        }
    }
}

#[test]
fn a_kept_text_that_is_no_edn_is_shown_as_a_string() {
    let value = Value::Vector(vec![Value::Text("[1 {:a [2".into()), Value::Int(3)]);
    assert_eq!(json::write(&value), r#"["[1 {:a [2",3]"#);
}
