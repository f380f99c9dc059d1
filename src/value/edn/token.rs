//! Characters and strings of EDN text, with their escapes, and the UUIDs in strings. It does not know what stands
//! around them.

use super::name::{Class, class, is_wide_space};
use crate::value::keys::clip;
use crate::value::stream::Wrong;

/// The character that a token without its backslash names.
pub(super) fn character(token: &str) -> Result<char, Wrong> {
    let mut chars = token.chars();
    if let (Some(c), None) = (chars.next(), chars.next())
        && c as u32 <= 0xffff
    {
        return Ok(c);
    }
    let named = match token {
        "newline" => Some('\n'),
        "space" => Some(' '),
        "tab" => Some('\t'),
        "backspace" => Some('\u{8}'),
        "formfeed" => Some('\u{c}'),
        "return" => Some('\r'),
        _ => match token.split_at_checked(1) {
            Some(("u", hex)) if hex.len() == 4 => number(hex, 16).and_then(char::from_u32),
            Some(("o", octal)) if (1..=3).contains(&octal.len()) => {
                number(octal, 8).filter(|&n| n <= 0o377).and_then(char::from_u32)
            }
            _ => None,
        },
    };
    named.ok_or_else(|| {
        Wrong::new(format!("character \"\\{}\" is unknown, \\a, \\newline, \\u0041 and \\o101 are such", clip(token)))
    })
}

fn number(digits: &str, radix: u32) -> Option<u32> {
    digits.bytes().try_fold(0, |sum, b| (b as char).to_digit(radix).map(|digit| sum * radix + digit))
}

/// What stands between the quotes, and where the text goes on after them; `scratch` is used where there are escapes.
pub(super) fn string<'s>(text: &'s str, start: usize, scratch: &'s mut String) -> Result<(&'s str, usize), Wrong> {
    let bytes = text.as_bytes();
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return Ok((&text[start..at], at + 1)),
            b'\\' => return escaped(text, start, at, scratch),
            _ => at += 1,
        }
    }
    Err(unended())
}

fn unended() -> Wrong {
    Wrong::new("string is not ended by a quote")
}

fn escaped<'s>(text: &'s str, start: usize, first: usize, out: &'s mut String) -> Result<(&'s str, usize), Wrong> {
    let bytes = text.as_bytes();
    out.clear();
    out.push_str(&text[start..first]);
    let mut at = first;
    let mut plain = at;
    loop {
        match bytes.get(at) {
            None => return Err(unended()),
            Some(b'"') => {
                out.push_str(&text[plain..at]);
                return Ok((out, at + 1));
            }
            Some(b'\\') => {
                out.push_str(&text[plain..at]);
                let (c, next) = escape(text, at + 1)?;
                out.push(c);
                (at, plain) = (next, next);
            }
            Some(_) => at += 1,
        }
    }
}

/// The character of the escape whose backslash stands before `at`, and where the text goes on.
fn escape(text: &str, at: usize) -> Result<(char, usize), Wrong> {
    let c = match text.as_bytes().get(at) {
        None => return Err(unended()),
        Some(b't') => '\t',
        Some(b'r') => '\r',
        Some(b'n') => '\n',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'\\') => '\\',
        Some(b'"') => '"',
        Some(b'u') => return unicode(text, at + 1),
        Some(b'0'..=b'9') => return octal(text, at),
        Some(_) => {
            let shown = text[at..].chars().next().unwrap_or(' ');
            return Err(Wrong::new(format!("escape \"\\{shown}\" in a string is unknown")));
        }
    };
    Ok((c, at + 1))
}

/// `u` escapes; two of them may be the halves of one character.
pub(in crate::value) fn unicode(text: &str, at: usize) -> Result<(char, usize), Wrong> {
    let unit = |at: usize| {
        text.as_bytes().get(at..at + 4).and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| number(hex, 16))
    };
    let Some(first) = unit(at) else {
        return Err(Wrong::new("escape \"\\u\" in a string needs four hexadecimal digits"));
    };
    if let Some(c) = char::from_u32(first) {
        return Ok((c, at + 4));
    }
    let second = if text.as_bytes().get(at + 4..at + 6) == Some(b"\\u") { unit(at + 6) } else { None };
    match second {
        Some(low @ 0xdc00..=0xdfff) if first < 0xdc00 => {
            let code = 0x10000 + ((first - 0xd800) << 10) + (low - 0xdc00);
            Ok((char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), at + 10))
        }
        _ => Err(Wrong::new(format!("string has an unpaired surrogate \"\\u{first:04x}\""))),
    }
}

fn octal(text: &str, start: usize) -> Result<(char, usize), Wrong> {
    let mut code = 0;
    let mut at = start;
    while at < start + 3 {
        let Some(c) = text[at..].chars().next() else { break };
        let ends =
            u8::try_from(c).map_or(is_wide_space(c), |b| matches!(class(b), Class::Space | Class::Macro | Class::Hash));
        if ends {
            break;
        }
        let Some(digit) = c.to_digit(8) else {
            return Err(Wrong::new(format!("escape in a string has \"{c}\", not an octal digit")));
        };
        code = code * 8 + digit;
        at += 1;
    }
    let c = if code <= 0o377 { char::from_u32(code) } else { None };
    c.map(|c| (c, at)).ok_or_else(|| Wrong::new("octal escape in a string is over 377"))
}

/// What `java.util.UUID.fromString` reads: five hexadecimal numbers, each cut to its width.
pub(super) fn uuid(text: &str) -> Option<u128> {
    const WIDTHS: [u32; 5] = [32, 16, 16, 16, 48];
    let mut parts = text.split('-');
    let mut uuid = 0;
    if text.len() > 36 {
        return None;
    }
    for width in WIDTHS {
        let part = parts.next()?;
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let number = i64::from_str_radix(part, 16).ok()? as u128;
        uuid = (uuid << width) | (number & ((1 << width) - 1));
    }
    parts.next().is_none().then_some(uuid)
}
