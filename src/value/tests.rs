//! What holds between the forms: whatever goes from one to another and back is unchanged. The tests of one form
//! stand beside it.

use super::*;
use proptest::prelude::*;

fn name() -> impl Strategy<Value = String> {
    let part = "[a-zA-Z*!_?$%&=<>+][a-zA-Z0-9*!_?$%&=<>+.#é世-]{0,8}";
    prop_oneof![3 => part, 1 => (part, part).prop_map(|(ns, name)| format!("{ns}/{name}")), 2 => Just("job-id".to_owned())]
        .prop_filter("a readable name", |name| edn::is_symbol(name))
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-40i64..40).prop_map(Value::Int),
        "-?[1-9][0-9]{0,40}".prop_map(|v| Value::BigInt(v.into())),
        (any::<i64>(), 2i64..1000).prop_map(|(n, d)| edn::read(&format!("{n}/{d}")).unwrap()),
        any::<f64>().prop_map(|v| Value::Double(if v.is_nan() { 0.5 } else { v })),
        prop_oneof![Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(-0.0), Just(f64::MIN_POSITIVE)]
            .prop_map(Value::Double),
        "-?[0-9]{1,12}(\\.[0-9]{1,12})?([eE][+-]?[0-9]{1,3})?".prop_map(|v| edn::read(&format!("{v}M")).unwrap()),
        any::<char>().prop_filter("one UTF-16 unit", |c| *c as u32 <= 0xffff).prop_map(Value::Char),
        any::<String>().prop_map(Value::str),
        "[\\PC\\n\\t\"\\\\]{0,80}".prop_map(Value::str),
        name().prop_map(|v| Value::Keyword(v.into())),
        name().prop_map(|v| Value::Symbol(v.into())),
        (-62_000_000_000_000i64..253_000_000_000_000).prop_map(Value::Inst),
        any::<u128>().prop_map(Value::Uuid),
    ]
}

/// Values whose map keys and set elements are distinct, as JSON too.
pub(super) fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(5, 60, 8, |inner| {
        let items = || prop::collection::vec(inner.clone(), 0..20);
        let pairs = prop::collection::vec((inner.clone(), inner.clone()), 0..20);
        prop_oneof![
            items().prop_map(Value::List),
            items().prop_map(Value::Vector),
            items().prop_map(|items| Value::Set(distinct(items, |item| item))),
            pairs.prop_map(|entries| Value::Map(distinct(entries, |(key, _)| key))),
            (name(), inner.clone())
                .prop_filter("a tag that is not ours", |(tag, _)| edn::is_tag(tag) && tag != "inst" && tag != "uuid")
                .prop_map(|(tag, value)| Value::Tagged(tag.into(), Box::new(value))),
        ]
    })
}

fn distinct<T>(items: Vec<T>, key: impl Fn(&T) -> &Value) -> Vec<T> {
    let mut seen = std::collections::HashSet::new();
    let is_new = |item: &T| {
        let text = edn::canonical(&edn::write(key(item))).unwrap();
        seen.insert(format!("json {}", json_name(key(item)))) && seen.insert(text)
    };
    items
        .into_iter()
        .filter({
            let mut is_new = is_new;
            move |item| is_new(item)
        })
        .collect()
}

fn json_name(key: &Value) -> String {
    match key {
        Value::Keyword(name) | Value::Symbol(name) => name.to_string(),
        Value::Str(text) => text.to_string(),
        other => edn::write(other),
    }
}

fn to_binary(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    binary::write(value, &mut bytes);
    bytes
}

fn keep(value: &Value) -> Value {
    Value::Map(vec![(Value::key("payload"), Value::Text(edn::write(value).into()))])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_value_survives_text(value in value()) {
        let text = edn::write(&value);
        prop_assert_eq!(edn::read(&text).unwrap(), value, "{}", text);
    }

    #[test]
    fn every_value_survives_the_binary_form(value in value()) {
        let bytes = to_binary(&value);
        prop_assert_eq!(binary::read(&bytes, &[]).unwrap(), value);
    }

    #[test]
    fn a_kept_text_survives_the_binary_form_and_text(value in value()) {
        let kept = keep(&value);
        let bytes = to_binary(&kept);
        prop_assert_eq!(&binary::read(&bytes, &["payload"]).unwrap(), &kept);
        prop_assert_eq!(&edn::read_open(&edn::write(&kept), &["payload"]).unwrap(), &kept);
        let tree = binary::read(&bytes, &[]).unwrap();
        prop_assert_eq!(tree.get("payload").unwrap(), &value);
    }

    #[test]
    fn equal_values_have_one_canonical_text(value in value()) {
        let text = edn::write(&value);
        let canonical = edn::canonical(&text).unwrap();
        prop_assert_eq!(edn::canonical(&canonical).unwrap(), canonical.clone());
        if let Value::Map(mut entries) = value {
            entries.reverse();
            prop_assert_eq!(edn::canonical(&edn::write(&Value::Map(entries))).unwrap(), canonical);
        }
    }

    #[test]
    fn every_value_has_json_that_another_reader_accepts(value in value()) {
        let value = keep(&value);
        serde_json::from_str::<serde_json::Value>(&json::write(&value)).unwrap();
        let pretty: serde_json::Value = serde_json::from_str(&json::write_pretty(&value)).unwrap();
        prop_assert_eq!(pretty, serde_json::from_str::<serde_json::Value>(&json::write(&value)).unwrap());
        if let Err(fault) = json::read(json::write(&value).as_bytes(), &[]) {
            prop_assert!(fault.message.ends_with("beyond a double"), "{}", fault);
        }
    }

    #[test]
    fn no_bytes_break_a_reader(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = edn::read_open(&String::from_utf8_lossy(&bytes), &["a"]);
        let _ = json::read(&bytes, &["a"]);
        let _ = binary::read(&[&[binary::VERSION], &bytes[..]].concat(), &["payload"]);
    }

    #[test]
    fn no_text_of_edn_marks_breaks_a_reader(text in "[\\[\\](){}#^_:/\\\\\"a1Nr+;\n ,.-]{0,40}") {
        if let Ok(value) = edn::read(&text) {
            prop_assert_eq!(edn::read(&edn::write(&value)).unwrap(), value, "{}", text);
        }
        let _ = edn::read_open(&text, &["a"]);
        let _ = edn::canonical(&text);
    }

    #[test]
    fn no_damaged_message_breaks_a_reader(value in value(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = to_binary(&keep(&value));
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = binary::read(&bytes, &["payload"]) {
            prop_assert!(edn::read(&edn::write(&read)).is_ok());
        }
        let _ = binary::read(&bytes[..at], &[]);
    }
}
