//! Reads JSON into a sink, with a stack of its own. It does not decide what is built from it.

use super::is_plain_key;
use crate::value::edn::{Number, unicode};
use crate::value::keys::clip;
use crate::value::stream::{Scalar, Shape, Sink, Wrong};
use crate::value::{Fault, Value};

/// Reads exactly one JSON value into the sink.
pub(super) fn stream<S: Sink>(bytes: &[u8], sink: &mut S) -> Result<(), Fault> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => return Err(Wrong::new(format!("JSON is not UTF-8 at byte {}", e.valid_up_to())).at(Vec::new())),
    };
    let mut reader = Reader { text, at: 0, frames: Vec::new() };
    reader.run(sink).map_err(|wrong| wrong.at(reader.path()))
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    frames: Vec<Frame>,
}

struct Frame {
    is_object: bool,
    /// Values that are complete in it.
    count: usize,
    /// Where the newest key begins, and whether its value is being read.
    key_at: usize,
    in_value: bool,
}

impl<'t> Reader<'t> {
    fn run<S: Sink>(&mut self, sink: &mut S) -> Result<(), Wrong> {
        loop {
            if !self.value(sink)? {
                continue;
            }
            if self.after_value(sink)? {
                self.skip_space();
                return match self.peek() {
                    None => Ok(()),
                    Some(_) => Err(Wrong::new("JSON goes on after its value, exactly one value is allowed")),
                };
            }
        }
    }

    /// Reads a scalar or an empty collection whole, or the beginning of a collection up to its first value.
    fn value<S: Sink>(&mut self, sink: &mut S) -> Result<bool, Wrong> {
        self.skip_space();
        let Some(byte) = self.peek() else { return Err(self.cut()) };
        match byte {
            b'{' | b'[' => return self.open(byte == b'{', sink),
            b'"' => {
                let text = self.string()?;
                sink.scalar(Scalar::Str(&text))?;
            }
            b'-' | b'0'..=b'9' => {
                let number = self.number()?;
                sink.scalar(number.scalar())?;
            }
            _ => {
                let scalar = self.word()?;
                sink.scalar(scalar)?;
            }
        }
        Ok(true)
    }

    fn open<S: Sink>(&mut self, is_object: bool, sink: &mut S) -> Result<bool, Wrong> {
        sink.open(if is_object { Shape::Map } else { Shape::Vector }, None)?;
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(if is_object { b'}' } else { b']' }) {
            self.at += 1;
            sink.close()?;
            return Ok(true);
        }
        self.frames.push(Frame { is_object, count: 0, key_at: 0, in_value: !is_object });
        if is_object {
            self.key(sink)?;
        }
        Ok(false)
    }

    /// Goes on after a complete value to the next one; true where there is none.
    fn after_value<S: Sink>(&mut self, sink: &mut S) -> Result<bool, Wrong> {
        loop {
            self.skip_space();
            let byte = self.peek();
            let Some(top) = self.frames.last_mut() else { return Ok(true) };
            top.count += 1;
            top.in_value = !top.is_object;
            match byte {
                Some(b',') => {
                    self.at += 1;
                    if top.is_object {
                        self.skip_space();
                        self.key(sink)?;
                    }
                    return Ok(false);
                }
                Some(b'}') if top.is_object => {}
                Some(b']') if !top.is_object => {}
                None => return Err(self.cut()),
                Some(_) => {
                    let expected = if top.is_object { "\",\" or \"}\"" } else { "\",\" or \"]\"" };
                    return Err(self.unexpected(expected));
                }
            }
            self.at += 1;
            self.frames.pop();
            sink.close()?;
        }
    }

    fn key<S: Sink>(&mut self, sink: &mut S) -> Result<(), Wrong> {
        let key_at = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a key in quotes"));
        }
        let key = self.string()?;
        sink.scalar(if sink.keeping() && is_plain_key(&key) { Scalar::Keyword(&key) } else { Scalar::Str(&key) })?;
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(self.unexpected("\":\""));
        }
        self.at += 1;
        if let Some(top) = self.frames.last_mut() {
            (top.key_at, top.in_value) = (key_at, true);
        }
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn cut(&self) -> Wrong {
        Wrong::new(if self.at == 0 { "JSON is empty, one value is expected" } else { "JSON ends too early" })
    }

    fn unexpected(&self, expected: &str) -> Wrong {
        match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            Some(c) => Wrong::new(format!("JSON has \"{}\" where {expected} is expected", c.escape_debug())),
            None => self.cut(),
        }
    }

    fn word(&mut self) -> Result<Scalar<'static>, Wrong> {
        let rest = &self.text[self.at..];
        for (word, scalar) in [("null", Scalar::Nil), ("true", Scalar::Bool(true)), ("false", Scalar::Bool(false))] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(scalar);
            }
        }
        Err(self.unexpected("a value"))
    }

    fn string(&mut self) -> Result<std::borrow::Cow<'t, str>, Wrong> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut out = String::new();
        let (mut at, mut plain) = (start, start);
        loop {
            match bytes.get(at) {
                None => return Err(Wrong::new("JSON ends in a string")),
                Some(b'"') => {
                    self.at = at + 1;
                    if plain == start {
                        return Ok(self.text[start..at].into());
                    }
                    out.push_str(&self.text[plain..at]);
                    return Ok(out.into());
                }
                Some(b'\\') => {
                    out.push_str(&self.text[plain..at]);
                    let (c, next) = self.escape(at + 1)?;
                    out.push(c);
                    (at, plain) = (next, next);
                }
                Some(control @ 0..0x20) => {
                    return Err(Wrong::new(format!(
                        "JSON string has the control character \\u{control:04x} unescaped"
                    )));
                }
                Some(_) => at += 1,
            }
        }
    }

    fn escape(&self, at: usize) -> Result<(char, usize), Wrong> {
        let c = match self.text.as_bytes().get(at) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return unicode(self.text, at + 1),
            _ => return Err(Wrong::new("JSON string has an unknown escape")),
        };
        Ok((c, at + 1))
    }

    fn number(&mut self) -> Result<Number, Wrong> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')).unwrap_or(rest.len());
        let token = &rest[..end];
        self.at += end;
        let wrong = || Wrong::new(format!("JSON number \"{}\" is malformed", clip(token)));
        match shape(token).ok_or_else(wrong)? {
            Whole::Yes => Ok(match token.parse() {
                Ok(int) => Number::Int(int),
                Err(_) => Number::BigInt(token.to_owned()),
            }),
            Whole::No => match token.parse::<f64>() {
                Ok(value) if value.is_finite() => Ok(Number::Double(value)),
                _ => Err(Wrong::new(format!("JSON number \"{}\" is beyond a double", clip(token)))),
            },
        }
    }

    fn path(&self) -> Vec<Value> {
        let mut path = Vec::new();
        for frame in self.frames.iter().filter(|frame| frame.in_value) {
            if frame.is_object {
                let mut reader = Reader { text: self.text, at: frame.key_at, frames: Vec::new() };
                path.extend(reader.string().ok().map(|key| Value::str(&*key)));
            } else {
                path.push(Value::Int(frame.count as i64));
            }
        }
        path
    }
}

enum Whole {
    Yes,
    No,
}

/// Whether a number token is whole; nothing where JSON does not allow it.
fn shape(token: &str) -> Option<Whole> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let body = token.strip_prefix('-').unwrap_or(token);
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (body, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let leading = whole.len() > 1 && whole.starts_with('0');
    if leading || !digits(whole) || !fraction.is_none_or(digits) || !exponent.is_none_or(digits) {
        return None;
    }
    Some(if fraction.is_none() && exponent.is_none() { Whole::Yes } else { Whole::No })
}
