//! Values as bytes whose order is the order of values: nil, booleans, numbers, instants, texts, everything else.
//! Numbers compare as doubles, whole ones of 64 bits exactly; a keyword, symbol or character is its text.
//! It does not know tables.

use crate::value::{Value, edn};

const NIL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const NUMBER: u8 = 3;
const INSTANT: u8 = 4;
const TEXT: u8 = 5;
const OTHER: u8 = 9;

/// Beyond every key.
pub const LAST: &[u8] = &[0xff];

/// The key of a value. What is kept as EDN text is read first.
pub fn key(value: &Value) -> Vec<u8> {
    match value {
        Value::Nil => vec![NIL],
        Value::Bool(false) => vec![FALSE],
        Value::Bool(true) => vec![TRUE],
        Value::Int(int) => number(*int as f64, *int),
        // The cast is exact where a whole number of 64 bits can be equal to it.
        Value::Double(double) => number(*double, if double.fract() == 0.0 { *double as i64 } else { 0 }),
        Value::BigInt(text) | Value::Decimal(text) => parsed(text),
        Value::Ratio(parts) => ratio(&parts.0, &parts.1),
        Value::Inst(ms) => tagged(INSTANT, &ordered(*ms)),
        Value::Str(text) => tagged(TEXT, text.as_bytes()),
        Value::Keyword(name) | Value::Symbol(name) => tagged(TEXT, name.as_bytes()),
        Value::Char(c) => tagged(TEXT, c.encode_utf8(&mut [0; 4]).as_bytes()),
        Value::Text(text) => match edn::read(text) {
            Ok(value) => key(&value),
            Err(_) => tagged(OTHER, text.as_bytes()),
        },
        Value::List(items) => tagged(OTHER, edn::write(&Value::Vector(items.clone())).as_bytes()),
        Value::Vector(_) | Value::Map(_) | Value::Set(_) | Value::Uuid(_) | Value::Tagged(..) => {
            tagged(OTHER, edn::write(value).as_bytes())
        }
    }
}

/// The text of a key, if it is one's.
pub fn text(key: &[u8]) -> Option<&[u8]> {
    key.strip_prefix(&[TEXT])
}

/// Whether two keys are of values that can be compared with each other.
pub fn comparable(a: &[u8], b: &[u8]) -> bool {
    let class = |key: &[u8]| key.first().map(|tag| if *tag == TRUE { FALSE } else { *tag });
    class(a) == class(b)
}

/// The bounds of all keys that can be compared with this one.
pub fn class_bounds(key: &[u8]) -> (Vec<u8>, Vec<u8>) {
    match key.first() {
        Some(&(FALSE | TRUE)) => (vec![FALSE], vec![TRUE]),
        Some(tag) => (vec![*tag], vec![tag + 1]),
        None => (Vec::new(), LAST.to_vec()),
    }
}

/// One key of several values.
pub fn joined(keys: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for key in keys {
        out.extend((key.len() as u32).to_be_bytes());
        out.extend(key);
    }
    out
}

fn tagged(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(bytes.len() + 1);
    key.push(tag);
    key.extend(bytes);
    key
}

fn number(double: f64, whole: i64) -> Vec<u8> {
    // Zero has one key, and so has NaN.
    let double = if double == 0.0 { 0.0 } else { double };
    let bits = if double.is_nan() { f64::NAN.to_bits() & !(1 << 63) } else { double.to_bits() };
    let bits = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    let mut key = tagged(NUMBER, &bits.to_be_bytes());
    key.extend(ordered(whole));
    key
}

fn ordered(int: i64) -> [u8; 8] {
    ((int as u64) ^ (1 << 63)).to_be_bytes()
}

fn parsed(text: &str) -> Vec<u8> {
    let double = text.parse::<f64>().unwrap_or(f64::NAN);
    number(double, if double.fract() == 0.0 { double as i64 } else { 0 })
}

fn ratio(above: &str, below: &str) -> Vec<u8> {
    let (above, below) = (above.parse::<f64>().unwrap_or(f64::NAN), below.parse::<f64>().unwrap_or(f64::NAN));
    number(above / below, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> Vec<u8> {
        key(&edn::read(text).unwrap())
    }

    #[test]
    fn keys_order_as_values_do() {
        let ordered = [
            "nil",
            "false",
            "true",
            "##-Inf",
            "-1e300",
            "-2",
            "-1.5",
            "-1",
            "0",
            "0.5",
            "1/1000000000N",
            "1",
            "9007199254740992",
            "9007199254740993",
            "9223372036854775807",
            "1e300",
            "##Inf",
            "#inst \"1970-01-01\"",
            "#inst \"2020-01-01\"",
            "\"\"",
            "\"a\"",
            ":ab",
            "\"b\"",
            "[1]",
        ];
        let ordered: Vec<&str> = ordered.into_iter().filter(|text| edn::read(text).is_ok()).collect();
        for pair in ordered.windows(2) {
            assert!(of(pair[0]) < of(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn equal_numbers_have_equal_keys() {
        for (a, b) in [
            ("1", "1.0"),
            ("1", "1N"),
            ("0.5", "0.5M"),
            ("0.5", "1/2"),
            ("0.0", "-0.0"),
            ("1e18", "1000000000000000000"),
        ] {
            assert_eq!(of(a), of(b), "{a} {b}");
        }
    }

    proptest! {
        #[test]
        fn whole_numbers_and_doubles_order_as_numbers(a: i64, b: i64, c: f64) {
            prop_assert_eq!(key(&Value::Int(a)).cmp(&key(&Value::Int(b))), a.cmp(&b));
            if let Some(order) = (a as f64).partial_cmp(&c).filter(|order| order.is_ne()) {
                prop_assert_eq!(key(&Value::Int(a)).cmp(&key(&Value::Double(c))), order);
            }
        }
    }
}
