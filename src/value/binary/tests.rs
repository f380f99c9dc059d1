//! The bytes that both halves agree on, and bytes that are wrong.

use crate::value::{Value, binary, edn};

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn written(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    binary::write(value, &mut bytes);
    bytes
}

#[test]
fn the_golden_bytes_are_read_and_written() {
    let golden = include_str!("../../../tests/golden/binary.txt");
    for line in golden.lines().filter(|line| !line.starts_with(';')) {
        let (hex, text) = line.split_once(' ').unwrap();
        let read = binary::read(&bytes_of(hex), &[]).unwrap();
        assert_eq!(edn::write(&read), text, "{hex}");
        assert_eq!(written(&edn::read(text).unwrap()), bytes_of(hex), "{text}");
    }
}

#[test]
fn a_kept_text_that_is_no_edn_is_shown_as_a_string() {
    let value = Value::Vector(vec![Value::Text("[1 {:a [2".into()), Value::Int(3)]);
    let read = binary::read(&written(&value), &[]).unwrap();
    assert_eq!(read, Value::Vector(vec![Value::str("[1 {:a [2"), Value::Int(3)]));
}

#[test]
fn wrong_bytes_are_faults_with_a_path() {
    for hex in [
        "",
        "02 00",
        "01",
        "01 00 00",
        "01 14",
        "01 03 80",
        "01 03 ff ff ff ff ff ff ff ff ff 02",
        "01 0c ff ff ff ff",
        "01 0e 00 00 00 01 00",
        "01 c2 c3 28",
        "01 08 80 b0 03",
        "01 08 ff ff 3f",
        "01 0a 00",
        "01 0a 02 61 20",
        "01 0b 01 31",
        "01 0b 03 6e 69 6c",
        "01 05 02 30 31",
        "01 05 00",
        "01 06 01 31 01 30",
        "01 07 01 78",
        "01 10 7f ff ff ff ff ff ff ff",
        "01 12 04 69 6e 73 74 00",
        "01 12 01 31 00",
        "01 13 ff",
        "01 0f 00 00 00 02 21 21",
        "01 e2 40 00 40 00",
        "01 f2 00",
        "01 0f 00 00 00 02 f1 21 0c 00 00 00 01 21",
    ] {
        assert!(binary::read(&bytes_of(&hex.replace(' ', "")), &[]).is_err(), "{hex}");
    }
    let fault = binary::read(&bytes_of("01e143f200e1c16114"), &[]).unwrap_err();
    assert_eq!(edn::write(&Value::Vector(fault.path)), "[:payload 1 \"a\"]");
}

#[test]
fn a_ratio_is_brought_to_lowest_terms() {
    assert_eq!(
        binary::read(&bytes_of("01060132 0134".replace(' ', "").as_str()), &[]).unwrap(),
        edn::read("1/2").unwrap()
    );
}

#[test]
fn deep_bytes_are_a_fault() {
    for item in ["f1", "0c00000001", "0f00000001", "e120", "120174"] {
        let nested = |depth: usize| bytes_of(&format!("01{}20", item.repeat(depth)));
        assert!(binary::read(&nested(100), &[]).is_ok(), "{item}");
        for depth in [101, 100_000] {
            assert_eq!(
                binary::read(&nested(depth), &[]).unwrap_err().message,
                "nesting is deeper than 100 levels",
                "{item}"
            );
        }
    }
}
