//! What the EDN text reader takes and refuses, as `clojure.edn` does.

use crate::value::{Value, edn};

fn round(text: &str) -> String {
    match edn::read(text) {
        Ok(value) => edn::write(&value),
        Err(fault) => format!("fault: {fault}"),
    }
}

fn fault(text: &str) -> (String, String) {
    let fault = edn::read_open(text, &["payload"]).expect_err(text);
    (edn::write(&Value::Vector(fault.path)), fault.message)
}

#[test]
fn texts_are_read_as_clojure_reads_them() {
    for (text, expected) in [
        (" nil ;c", "nil"),
        (",,true", "true"),
        ("1 #_2 ; 3", "1"),
        ("#_1 2", "2"),
        ("#_ #_ 1 2 3", "3"),
        ("[#_1]", "[]"),
        ("{:a #_b 1}", "{:a 1}"),
        ("[1;c\n2]", "[1 2]"),
        ("[1;c\r2]", "[1 2]"),
        ("#inst #_1 \"2020\"", "#inst \"2020-01-01T00:00:00.000-00:00\""),
        ("^:a [1]", "[1]"),
        ("#^{:a 1} x", "x"),
        ("^a ^\"b\" {}", "{}"),
        ("#_ ^:a [1] 2", "2"),
        ("#: a{:b 1}", "{:a/b 1}"),
        ("#:a {:b 1 :_/c 2 d 3 :x/y 4 \"s\" {:e 5}}", "{:a/b 1, :c 2, a/d 3, :x/y 4, \"s\" {:e 5}}"),
        (":1", ":1"),
        (":1/a", ":1/a"),
        (":/", ":/"),
        ("a//", "a//"),
        ("a/b/c", "a/b/c"),
        ("##  Inf", "##Inf"),
        ("##-Inf", "##-Inf"),
        ("##NaN", "##NaN"),
        ("a'b", "a'b"),
        ("'a", "'a"),
        ("a#b", "a#b"),
        ("a:b", "a:b"),
        ("%", "%"),
        ("\\ ", "\\space"),
        ("\\,", "\\,"),
        ("\\(", "\\("),
        ("[\\(\\)]", "[\\( \\)]"),
        ("\\u00e9", "\\é"),
        ("\\o101", "\\A"),
        ("\\u", "\\u"),
        ("\\o", "\\o"),
        ("\\formfeed", "\\formfeed"),
        ("\\u2028", "\\u2028"),
        ("\"\\12\"", "\"\\n\""),
        ("\"\\u00e9\\ud83d\\ude00\"", "\"é😀\""),
        ("\"a\nb\"", "\"a\\nb\""),
        ("#foo/bar 1", "#foo/bar 1"),
        ("#foo #bar ()", "#foo #bar ()"),
        ("1e400", "##Inf"),
        ("1.0", "1.0"),
        ("1e7", "1.0E7"),
        ("0.0001", "1.0E-4"),
        ("123456.789", "123456.789"),
        ("1e-7M", "1E-7M"),
        ("+1.5", "1.5"),
        ("-", "-"),
        ("+a", "+a"),
        ("-a", "-a"),
        ("#uuid \"1-1-1-1-1\"", "#uuid \"00000001-0001-0001-0001-000000000001\""),
        ("\u{a0}", "\u{a0}"),
        ("[1\u{2003}2]", "[1 2]"),
        ("#{1 2}", "#{1 2}"),
        ("{[1] (2)}", "{[1] (2)}"),
        ("/", "/"),
        ("(a\"b\"c)", "(a \"b\" c)"),
        ("[1\"a\"]", "[1 \"a\"]"),
        ("[1#{}]", "[1 #{}]"),
        ("a^b", "fault: text goes on after its value, exactly one value is allowed"),
    ] {
        assert_eq!(round(text), expected, "{text}");
    }
}

#[test]
fn what_clojure_refuses_is_refused() {
    for text in [
        "",
        " ",
        ";a",
        "#_1",
        "#_",
        "1 2",
        "(",
        "[1",
        "{1 2",
        "#{",
        ")",
        "[)",
        "(]",
        "{1}",
        "{1 2 3}",
        "\"a",
        "\"\\q\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\1z\"",
        "\"\\8\"",
        "\"\\777\"",
        "\"\\ud800\"",
        "\"\\ude00\\ud83d\"",
        "\\",
        "\\ab",
        "\\o777",
        "\\ud800",
        "\\u12345",
        "\\😀",
        ":",
        "::a",
        "a::b",
        "a:",
        "a:/b",
        ":a/1",
        "foo/",
        "/foo",
        "a@b",
        "~a",
        "`a",
        "@a",
        "1@",
        "1a",
        "08",
        "1/0",
        "٣",
        "-٣",
        "##",
        "##Foo",
        "##nan",
        "#",
        "#!a\n1",
        "#1",
        "#(a)",
        "#\"a\"",
        "#'a",
        "#<a>",
        "#nil 1",
        "#true 1",
        "#a",
        "[#a]",
        "#inst",
        "#inst 1",
        "#inst \"x\"",
        "#inst \"2019-02-29\"",
        "#uuid \"x\"",
        "#uuid \"1-1-1-1-\"",
        "#:a 1",
        "#:a/b {}",
        "#::a{}",
        "#:1{}",
        "#:nil{}",
        "^:a",
        "^:a 1",
        "^:a #t [1]",
        "^:a #inst \"2020\"",
        "^1 []",
        "^[a] []",
        "^:a :b",
        "^:a \"s\"",
        "[^:a]",
        "[#_]",
        "{:a #_1}",
        "#{##NaN ##NaN}",
        "#{0.0 -0.0}",
        "#{1 1N}",
        "#{[1] (1)}",
        "{1.0M 1 1.00M 2}",
        "{:a 1 :a 2}",
        "#:a{:b 1 :a/b 2}",
        "#{{1 2} {1N 2}}",
        "#{#{1 [2]} #{(2) 1}}",
        "{\"a\" 1 \"\\u0061\" 2}",
    ] {
        assert!(edn::read(text).is_err(), "{text} was read as {}", round(text));
        // A backslash before the line feed would be a character.
        if text != "\\" {
            assert!(edn::read_open(&format!("{{:payload {text}\n}}"), &["payload"]).is_err(), "{text} was kept");
        }
    }
}

#[test]
fn distinct_values_are_not_taken_for_one() {
    for text in [
        "#{1 1.0 1M \"1\" \\1}",
        "#{:a a \"a\"}",
        "#{[] {} #{}}",
        "#{nil false}",
        "#{1/2 0.5}",
        "#{#a 1 #b 1}",
        "#{#a 1 #a 1N #a 0.0 #a -0.0}",
    ] {
        assert!(edn::read(text).is_ok(), "{text}: {}", round(text));
    }
}

#[test]
fn a_fault_has_the_path_from_the_outermost_value() {
    for (text, path) in [
        ("{:payload {:a [1 2 #{3} 1/0]}}", "[:payload :a 3]"),
        ("{:payload {:a 1 \"a\" 2}}", "[:payload]"),
        ("{:jobs [{} {:payload [{:a {:b 1 :b 2}}]}]}", "[:jobs 1 :payload 0 :a]"),
        ("[#:x{:a [1 1/0]}]", "[0 :x/a 1]"),
        ("{[1 2] {\"k\" 08}}", "[[1 2] \"k\"]"),
        ("{#_:z :a #foo {:b #_[1] 08}}", "[:a :b]"),
        ("(1 (2 \"\\ud800\"))", "[1 1]"),
        ("[1] 2", "[]"),
        ("{:a", "[:a]"),
        ("{:a 1 08 2}", "[]"),
    ] {
        assert_eq!(fault(text).0, path, "{text}: {}", fault(text).1);
    }
}

#[test]
fn faults_say_what_is_wrong() {
    for (text, message) in [
        ("{:payload {:a 1 \"a\" 2}}", "keys :a and \"a\" would be one key as JSON, give one another name"),
        ("{:payload {1 1 \"1\" 2}}", "keys 1 and \"1\" would be one key as JSON, give one another name"),
        ("{:payload {a 1 :a 2}}", "keys a and :a would be one key as JSON, give one another name"),
        ("{:payload {:a 1 :a 2}}", "map has the key :a twice"),
        ("#{1 1N}", "set has the element 1N twice"),
        ("\"\\ud800\"", "string has an unpaired surrogate \"\\ud800\""),
        ("[1}", "delimiter \"}\" closes nothing that is open here"),
        ("[1", "text ends too early: vector is not closed by \"]\""),
    ] {
        assert_eq!(fault(text).1, message, "{text}");
    }
    assert!(edn::read("{:a 1 \"a\" 2}").is_ok(), "keys may collide as JSON where nothing is kept");
}

#[test]
fn a_hundred_levels_are_taken_and_no_more() {
    for (open, close) in [("[", "]"), ("(", ")"), ("{:a ", "}"), ("#{", "}"), ("#t ", "")] {
        let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        assert!(edn::read(&nested(100)).is_ok(), "{open}");
        assert!(edn::canonical(&nested(100)).is_ok(), "{open}");
        assert_eq!(fault(&nested(101)).1, "nesting is deeper than 100 levels", "{open}");
        assert!(edn::read_open(&format!("{{:payload {}}}", nested(100)), &["payload"]).is_ok());
        assert_eq!(fault(&format!("{{:payload {}}}", nested(101))).1, "nesting is deeper than 100 levels", "{open}");
    }
    for open in ["[", "(", "{", "#{", "{[", "#_", "#_[", "^", "^{", "#t ", "#inst ", "#:a{", "{:a ", "\\(", "[[[{:a #_"]
    {
        assert!(edn::read(&open.repeat(100_000)).is_err(), "{open}");
    }
}

#[test]
fn what_stands_under_an_open_key_is_kept_as_canonical_text() {
    let read = edn::read_open(
        "{:payload {:b  1,\n:a [0x10 #_2 ^:m {}]} \"metadata\" nil :jobs [{:payload #{}}] :other {:x 1}}",
        &["payload", "metadata"],
    )
    .unwrap();
    assert_eq!(read.get("payload"), Some(&Value::Text("{:b 1, :a [16 {}]}".into())));
    assert_eq!(
        edn::write(&read),
        "{:payload {:b 1, :a [16 {}]}, \"metadata\" nil, :jobs [{:payload #{}}], :other {:x 1}}"
    );
    let Some(Value::Vector(jobs)) = read.get("jobs") else { panic!("jobs are a tree") };
    assert_eq!(jobs[0].get("payload"), Some(&Value::Text("#{}".into())));
    assert_eq!(
        edn::read_open("{:payload {:payload 1}}", &["payload"]).unwrap().get("payload"),
        Some(&Value::Text("{:payload 1}".into()))
    );
}

#[test]
fn equal_texts_are_canonically_one() {
    for (one, other) in [
        ("{:a 1 :b [1 (2)]}", "{:b (1 [2]), :a 1N}"),
        ("#{1 2 {:x 1.50M}}", "#{{:x 1.5M} 2 1}"),
        ("[-0.0 #t ()]", "(0.0 #t [])"),
        ("100M", "1E+2M"),
    ] {
        assert_eq!(edn::canonical(one).unwrap(), edn::canonical(other).unwrap());
    }
    for (one, other) in [
        ("1", "1.0"),
        ("1.0", "1.0M"),
        (":a", "a"),
        ("[]", "#{}"),
        ("{}", "[]"),
        ("[1 2]", "[2 1]"),
        ("\"a\"", "\\a"),
        ("nil", "false"),
    ] {
        assert_ne!(edn::canonical(one).unwrap(), edn::canonical(other).unwrap());
    }
}

#[test]
fn texts_are_read_as_clojure_edn_read_them() {
    for line in include_str!("../../../tests/golden/clojure_edn.txt").lines().filter(|line| !line.starts_with(';')) {
        let Value::Vector(pair) = edn::read(line).unwrap() else { panic!("{line} is no pair") };
        let text = pair[0].as_str().unwrap();
        match pair[1].as_str() {
            None => assert!(edn::read(&format!("[{text}\n]")).is_err(), "{text:?}"),
            Some(printed) => assert_eq!(round(&format!("[{text}\n]")), round(printed), "{text:?}"),
        }
    }
}

#[test]
fn a_key_that_its_maps_namespace_makes_unreadable_is_refused() {
    for text in ["#:a{:1 2}", "#:a{_/1 2}", "#:a{_/nil 2}", "#:a{:_/b/ 2}"] {
        assert!(edn::read(text).is_err(), "{text}");
        assert!(edn::read_open(&format!("{{:payload {text}}}"), &["payload"]).is_err(), "{text}");
    }
    assert_eq!(edn::write(&edn::read("#:a{:b 1 :_/c 2 d 3 :e/f 4}").unwrap()), "{:a/b 1, :c 2, a/d 3, :e/f 4}");
}

#[test]
fn sets_in_sets_are_compared_within_bounds() {
    let nested = format!(
        "{}{}{}",
        "#{#{} ".repeat(95),
        (0..2000).map(|i| format!("[{i}] ")).collect::<String>(),
        "}".repeat(95)
    );
    assert!(edn::read_open(&format!("{{:payload {nested}}}"), &["payload"]).is_ok());
}
