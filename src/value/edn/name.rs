//! Which tokens are keywords, symbols and tags to `clojure.edn`, and which characters end a token.
//! It does not read texts.

/// What a byte is to the reader of tokens.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Class {
    Constituent,
    Space,
    /// Ends a token and begins something else.
    Macro,
    /// `#`, which ends a number but not a symbol.
    Hash,
    /// May stand in no symbol.
    Foreign,
    /// Part of a character outside ASCII.
    Wide,
}

const fn class_of(byte: u8) -> Class {
    match byte {
        b'\t'..=b'\r' | 0x1c..=b' ' | b',' => Class::Space,
        b'"' | b';' | b'^' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'\\' => Class::Macro,
        b'#' => Class::Hash,
        b'@' | b'`' | b'~' => Class::Foreign,
        0x80.. => Class::Wide,
        _ => Class::Constituent,
    }
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Constituent; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = class_of(byte as u8);
        byte += 1;
    }
    classes
};

pub(super) fn class(byte: u8) -> Class {
    CLASSES[byte as usize]
}

/// `Character.isWhitespace` outside ASCII.
pub(super) fn is_wide_space(c: char) -> bool {
    matches!(c, '\u{1680}' | '\u{2000}'..='\u{2006}' | '\u{2008}'..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{205f}' | '\u{3000}')
}

/// First digits of the decimal digits outside ASCII that fit in one UTF-16 unit: a token that begins with one is
/// a (wrong) number to `clojure.edn`.
const WIDE_ZEROS: [u16; 36] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0, 0xf20,
    0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0,
    0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
];

/// Whether a token that begins with `c` is read as a number.
pub(super) fn begins_number(c: char) -> bool {
    let unit = c as u32;
    c.is_ascii_digit()
        || (unit >= 0x660 && WIDE_ZEROS.iter().any(|&zero| (zero as u32..zero as u32 + 10).contains(&unit)))
}

/// Whether `:` and this name are read as that keyword.
pub(in crate::value) fn is_keyword(name: &str) -> bool {
    is_plain(name) || (is_one_token(name) && is_keyword_token(&format!(":{name}")))
}

/// Whether this name is read as that symbol.
pub(in crate::value) fn is_symbol(name: &str) -> bool {
    let mut chars = name.chars();
    let (first, second) = (chars.next(), chars.next());
    let numeric =
        first.is_some_and(begins_number) || (matches!(first, Some('+' | '-')) && second.is_some_and(begins_number));
    !numeric
        && !matches!(first, Some('#' | ':'))
        && !matches!(name, "nil" | "true" | "false")
        && (is_plain(name) || (is_one_token(name) && is_symbol_token(name)))
}

/// Whether `#` and this name are read as that tag, with no meaning of its own.
pub(in crate::value) fn is_tag(name: &str) -> bool {
    !matches!(name, "inst" | "uuid") && name.starts_with(begins_tag) && is_symbol(name)
}

/// `Character.isLetter` of the first UTF-16 unit.
pub(super) fn begins_tag(c: char) -> bool {
    c.is_alphabetic() && c as u32 <= 0xffff
}

/// Letters, digits and marks without slash or colon, beginning with a letter: the common case, told at once.
fn is_plain(name: &str) -> bool {
    name.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && name.bytes().all(|b| CLASSES[b as usize] == Class::Constituent && b != b'/' && b != b':')
}

fn is_one_token(name: &str) -> bool {
    name.chars().all(|c| match u8::try_from(c) {
        Ok(byte) if byte < 0x80 => matches!(class(byte), Class::Constituent | Class::Hash),
        _ => !is_wide_space(c),
    })
}

/// Whether a token with its colon is a keyword, as `EdnReader.matchSymbol` decides it.
pub(super) fn is_keyword_token(token: &str) -> bool {
    let Some(name) = token.strip_prefix(':') else { return false };
    !token.contains("::") && (matches_pattern(name) || matches_pattern(token))
}

/// Whether a token without a colon in front is a symbol.
pub(super) fn is_symbol_token(token: &str) -> bool {
    !token.contains("::") && matches_pattern(token)
}

/// `([\D&&[^/]].*/)?(/|[\D&&[^/]][^/]*)`, where neither part ends in a colon.
fn matches_pattern(body: &str) -> bool {
    let begins = |part: &str| part.starts_with(|c: char| c != '/' && !c.is_ascii_digit());
    if body == "/" {
        return true;
    }
    if body.ends_with(':') || !begins(body) {
        return false;
    }
    match body.rfind('/') {
        None => true,
        // The name is a slash itself: `ns//`.
        Some(at) if at + 1 == body.len() => body[..at].ends_with('/') && !body[..at - 1].ends_with(':'),
        Some(at) => begins(&body[at + 1..]) && !body[..at].ends_with(':'),
    }
}
