//! Numbers of EDN text, as `EdnReader.matchNumber` reads them, in their canonical forms.
//! It does not compute with them beyond lowest terms.

use crate::value::stream::{Scalar, Wrong};
use num_bigint::BigInt;
use num_integer::Integer;

/// Digits up to which numbers that need arithmetic to be read (ratios, radix notation) are taken.
const ARITHMETIC_DIGITS_MAX: usize = 100_000;

/// A number and the text that it keeps.
#[derive(Debug, PartialEq)]
pub(in crate::value) enum Number {
    Int(i64),
    BigInt(String),
    Ratio(String, String),
    Double(f64),
    Decimal(String),
}

impl Number {
    pub fn scalar(&self) -> Scalar<'_> {
        match self {
            Number::Int(v) => Scalar::Int(*v),
            Number::BigInt(v) => Scalar::BigInt(v),
            Number::Ratio(n, d) => Scalar::Ratio(n, d),
            Number::Double(v) => Scalar::Double(*v),
            Number::Decimal(v) => Scalar::Decimal(v),
        }
    }
}

/// Reads a number token.
pub(super) fn read(token: &str) -> Result<Number, Wrong> {
    let wrong = || Wrong::new(format!("number \"{}\" is malformed", crate::value::keys::clip(token)));
    let digits = token.strip_prefix(['+', '-']).unwrap_or(token);
    if token.len() <= 18 && !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()) {
        return token.parse().map(Number::Int).map_err(|_| wrong());
    }
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(wrong());
    }
    if let Some((numerator, denominator)) = token.split_once('/') {
        return ratio(numerator, denominator)?.ok_or_else(wrong);
    }
    match integer(token, digits)? {
        Some(number) => Ok(number),
        None => float(token, digits).ok_or_else(wrong),
    }
}

/// `[-+]?(0|[1-9][0-9]*|0[xX]hex|0[0-7]+|radix[rR]digits)N?`; nothing where the token has another form.
fn integer(token: &str, digits: &str) -> Result<Option<Number>, Wrong> {
    let negative = token.starts_with('-');
    let (body, big) = match digits.strip_suffix('N') {
        Some(body) => (body, true),
        None => (digits, false),
    };
    if is_digits(body) && (body == "0" || !body.starts_with('0')) {
        return Ok(Some(decimal_integer(negative, body, big)));
    }
    if let Some(hex) = body.strip_prefix("0x").or_else(|| body.strip_prefix("0X")) {
        return radix_integer(negative, hex, 16, big);
    }
    if is_digits(body) {
        return radix_integer(negative, &body[1..], 8, big);
    }
    // Here an N is a digit of the radix.
    if let Some((radix, rest)) = digits.split_once(['r', 'R']) {
        let radix: u32 = if radix.len() <= 2 && !radix.starts_with('0') { radix.parse().unwrap_or(0) } else { 0 };
        return if (2..=36).contains(&radix) { radix_integer(negative, rest, radix, false) } else { Ok(None) };
    }
    Ok(None)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn signed(negative: bool, digits: &str) -> String {
    if negative && digits != "0" { format!("-{digits}") } else { digits.to_owned() }
}

fn decimal_integer(negative: bool, digits: &str, big: bool) -> Number {
    let text = signed(negative, digits);
    match text.parse() {
        Ok(value) if !big => Number::Int(value),
        _ => Number::BigInt(text),
    }
}

fn radix_integer(negative: bool, digits: &str, radix: u32, big: bool) -> Result<Option<Number>, Wrong> {
    bounded(digits)?;
    if !digits.bytes().all(|b| (b as char).is_digit(radix)) {
        return Ok(None);
    }
    let value = BigInt::parse_bytes(digits.as_bytes(), radix);
    Ok(value.map(|value| decimal_integer(negative, &value.to_string(), big)))
}

fn bounded(digits: &str) -> Result<(), Wrong> {
    if digits.len() <= ARITHMETIC_DIGITS_MAX {
        return Ok(());
    }
    Err(Wrong::too_large(format!(
        "number has {} digits, in ratios and radix notation at most {ARITHMETIC_DIGITS_MAX} are allowed",
        digits.len()
    )))
}

/// The ratio in lowest terms, or the whole number that it is; nothing where it is malformed or divides by zero.
pub(in crate::value) fn ratio(numerator: &str, denominator: &str) -> Result<Option<Number>, Wrong> {
    let digits = numerator.strip_prefix(['+', '-']).unwrap_or(numerator);
    if !is_digits(digits) || !is_digits(denominator) {
        return Ok(None);
    }
    bounded(digits)?;
    bounded(denominator)?;
    let (Ok(n), Ok(d)) = (numerator.parse::<BigInt>(), denominator.parse::<BigInt>()) else { return Ok(None) };
    if d == BigInt::ZERO {
        return Ok(None);
    }
    let small = i64::try_from(&n).is_ok() && i64::try_from(&d).is_ok();
    let gcd = n.gcd(&d);
    let (n, d) = ((&n / &gcd).to_string(), (&d / &gcd).to_string());
    Ok(Some(match (&*d, n.parse()) {
        ("1", Ok(value)) if small => Number::Int(value),
        ("1", _) => Number::BigInt(n),
        _ => Number::Ratio(n, d),
    }))
}

/// `[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?M?`.
fn float(token: &str, digits: &str) -> Option<Number> {
    if let Some(body) = token.strip_suffix('M') {
        return decimal(body).map(Number::Decimal);
    }
    // The octal form was tried before: digits alone that begin with a zero and are not octal are no number.
    if is_digits(digits) {
        return None;
    }
    parts(token)?;
    token.parse().ok().map(Number::Double)
}

struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

fn parts(token: &str) -> Option<Parts<'_>> {
    let negative = token.starts_with('-');
    let body = token.strip_prefix(['+', '-']).unwrap_or(token);
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            is_digits(digits).then_some(())?;
            // An exponent beyond a long is as far out of range as any.
            let clipped =
                exponent.parse().unwrap_or(if exponent.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 });
            (mantissa, clipped)
        }
        None => (body, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    (is_digits(whole) && (fraction.is_empty() || is_digits(fraction))).then_some(Parts {
        negative,
        whole,
        fraction,
        exponent,
    })
}

/// A decimal as `BigDecimal.toString` writes it; nothing where it is malformed, or its scale or the exponent that it is
/// written with is no 32-bit number: `BigDecimal` can hold the latter but not read it again.
pub(in crate::value) fn decimal(text: &str) -> Option<String> {
    let parts = parts(text)?;
    let scale = (parts.fraction.len() as i64).checked_sub(parts.exponent)?;
    i32::try_from(scale).ok()?;
    let digits = [parts.whole, parts.fraction].concat();
    let digits = match digits.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    i32::try_from(adjusted(digits, scale)).ok()?;
    Some(decimal_text(parts.negative && digits != "0", digits, scale))
}

/// The exponent of the first digit.
fn adjusted(digits: &str, scale: i64) -> i64 {
    digits.len() as i64 - 1 - scale
}

fn decimal_text(negative: bool, digits: &str, scale: i64) -> String {
    let sign = if negative { "-" } else { "" };
    let adjusted = adjusted(digits, scale);
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    if scale > 0 && adjusted >= -6 {
        let scale = scale as usize;
        return match digits.len().checked_sub(scale) {
            Some(point) if point > 0 => format!("{sign}{}.{}", &digits[..point], &digits[point..]),
            _ => format!("{sign}0.{}{digits}", "0".repeat(scale - digits.len())),
        };
    }
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    match adjusted {
        0 => format!("{sign}{first}{point}{rest}"),
        _ => format!("{sign}{first}{point}{rest}E{adjusted:+}"),
    }
}

/// The decimal without the zeros at its end, as equal decimals have it.
pub(super) fn stripped_decimal(text: &str) -> Option<String> {
    let parts = parts(text)?;
    let digits = [parts.whole, parts.fraction].concat();
    let kept = digits.trim_end_matches('0');
    let scale = parts.fraction.len() as i64 - parts.exponent - (digits.len() - kept.len()) as i64;
    match kept.trim_start_matches('0') {
        "" => Some("0".to_owned()),
        kept => Some(decimal_text(parts.negative, kept, scale)),
    }
}

/// Whether this is the canonical text of a whole number.
pub(in crate::value) fn big_int(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    text == "0" || (is_digits(digits) && !digits.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(token: &str) -> String {
        match read(token) {
            Ok(Number::Int(v)) => v.to_string(),
            Ok(Number::BigInt(v)) => format!("{v}N"),
            Ok(Number::Ratio(n, d)) => format!("{n}/{d}"),
            Ok(Number::Double(v)) => format!("{v:?}"),
            Ok(Number::Decimal(v)) => format!("{v}M"),
            Err(_) => "fault".to_owned(),
        }
    }

    #[test]
    fn numbers_are_read_as_clojure_reads_them() {
        for (token, expected) in [
            ("0", "0"),
            ("-0", "0"),
            ("+5", "5"),
            ("-0N", "0N"),
            ("00", "0"),
            ("-00", "0"),
            ("010", "8"),
            ("08", "fault"),
            ("0x1F", "31"),
            ("0X1fN", "31N"),
            ("-0xff", "-255"),
            ("2r101", "5"),
            ("36rZN", "1283"),
            ("2r101N", "fault"),
            ("1r0", "fault"),
            ("37r1", "fault"),
            ("9223372036854775807", "9223372036854775807"),
            ("9223372036854775808", "9223372036854775808N"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("0x8000000000000000", "9223372036854775808N"),
            ("7N", "7N"),
            ("1/2", "1/2"),
            ("-3/6", "-1/2"),
            ("4/2", "2"),
            ("+1/2", "1/2"),
            ("0/5", "0"),
            ("1/0", "fault"),
            ("1/-2", "fault"),
            ("18446744073709551616/2", "9223372036854775808N"),
            ("18446744073709551616/18446744073709551616", "1N"),
            ("1.5", "1.5"),
            ("1.", "1.0"),
            ("1.e5", "100000.0"),
            ("1e5", "100000.0"),
            ("1e400", "inf"),
            ("-0.0", "-0.0"),
            ("1.5M", "1.5M"),
            ("1M", "1M"),
            ("1.M", "1M"),
            ("01M", "1M"),
            ("-0.0M", "0.0M"),
            ("1e3M", "1E+3M"),
            ("1.23e-10M", "1.23E-10M"),
            ("0.000001M", "0.000001M"),
            ("0.0000001M", "1E-7M"),
            ("0e3M", "0E+3M"),
            ("0.00M", "0.00M"),
            ("120e-1M", "12.0M"),
            ("1e2147483647M", "1E+2147483647M"),
            ("1e2147483649M", "fault"),
            ("12e2147483646M", "1.2E+2147483647M"),
            ("12e2147483647M", "fault"),
            ("0.012e-2147483644M", "1.2E-2147483646M"),
            ("1e99999999999999999999M", "fault"),
            ("1a", "fault"),
            ("1_000", "fault"),
            ("1.5N", "fault"),
            ("1e", "fault"),
            ("0x", "fault"),
            ("1.2.3", "fault"),
            ("089.5", "89.5"),
            ("+", "fault"),
        ] {
            assert_eq!(text(token), expected, "{token}");
        }
    }

    #[test]
    fn equal_decimals_have_one_stripped_text() {
        for (one, other) in [("1.0", "1.00"), ("100", "1E+2"), ("0", "0.000"), ("-10.50", "-10.5"), ("0", "0E+9")] {
            assert_eq!(stripped_decimal(one), stripped_decimal(other), "{one} {other}");
        }
        assert_ne!(stripped_decimal("1.1"), stripped_decimal("11"));
    }

    #[test]
    fn numbers_that_would_take_long_to_read_are_refused() {
        assert!(read(&format!("0x{}", "f".repeat(ARITHMETIC_DIGITS_MAX + 1))).is_err());
        assert!(read(&"9".repeat(ARITHMETIC_DIGITS_MAX * 2)).is_ok());
    }
}
