//! Writes canonical EDN text from events. It does not know where they come from.

use crate::value::stream::{Scalar, Shape, Sink, Wrong};
use crate::value::{DEPTH_MAX, instant, keys};
use std::fmt::Write;

/// Bytes that a text has room for at first, so that a small one does not grow.
const ROOM: usize = 128;

/// The text of one value, in the making.
pub(in crate::value) struct TextWriter {
    out: String,
    frames: Vec<Frame>,
    /// Where the keys of open maps and the elements of open sets stand in `out`.
    keys: Vec<(usize, usize)>,
    checks: bool,
    compared: keys::Compared,
}

struct Frame {
    form: Form,
    count: usize,
    /// Where it begins in `out`, and its first key in `keys`.
    start: usize,
    keys_at: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    List,
    Vector,
    Map,
    Set,
    Tag,
}

impl TextWriter {
    /// For a value that was checked before.
    pub fn plain() -> TextWriter {
        TextWriter {
            out: String::with_capacity(ROOM),
            frames: Vec::new(),
            keys: Vec::new(),
            checks: false,
            compared: keys::Compared::default(),
        }
    }

    /// Refuses what is too deep, has a key or element twice, or has keys that collide as JSON.
    pub fn checking() -> TextWriter {
        TextWriter { checks: true, ..TextWriter::plain() }
    }

    pub fn is_whole(&self) -> bool {
        self.frames.is_empty() && !self.out.is_empty()
    }

    pub fn finish(self) -> String {
        self.out
    }

    fn separate(&mut self) -> usize {
        if let Some(top) = self.frames.last_mut() {
            match top.form {
                Form::Tag => self.out.push(' '),
                Form::Map if top.count > 0 && top.count % 2 == 0 => self.out.push_str(", "),
                _ if top.count > 0 => self.out.push(' '),
                _ => {}
            }
            top.count += 1;
        }
        self.out.len()
    }

    /// Notes a key or element that has been written.
    fn note(&mut self, start: usize) {
        if self.checks
            && let Some(top) = self.frames.last()
            && (top.form == Form::Set || (top.form == Form::Map && top.count % 2 == 1))
        {
            self.keys.push((start, self.out.len()));
        }
    }

    fn check(&mut self, frame: &Frame) -> Result<(), Wrong> {
        if !self.checks || !matches!(frame.form, Form::Map | Form::Set) {
            return Ok(());
        }
        let texts: Vec<&str> = self.keys[frame.keys_at..].iter().map(|&(start, end)| &self.out[start..end]).collect();
        match frame.form {
            Form::Map => keys::distinct_key_texts(&texts, &mut self.compared)?,
            _ => keys::distinct_element_texts(&texts, &mut self.compared)?,
        }
        self.keys.truncate(frame.keys_at);
        Ok(())
    }
}

impl Sink for TextWriter {
    fn scalar(&mut self, scalar: Scalar<'_>) -> Result<(), Wrong> {
        let start = self.separate();
        write_scalar(scalar, &mut self.out);
        self.note(start);
        Ok(())
    }

    fn open(&mut self, shape: Shape<'_>, _count: Option<usize>) -> Result<(), Wrong> {
        if self.checks && self.frames.len() >= DEPTH_MAX {
            return Err(Wrong::too_deep());
        }
        let start = self.separate();
        let (form, text) = match shape {
            Shape::List => (Form::List, "("),
            Shape::Vector => (Form::Vector, "["),
            Shape::Map => (Form::Map, "{"),
            Shape::Set => (Form::Set, "#{"),
            Shape::Tag(_) => (Form::Tag, "#"),
        };
        self.out.push_str(text);
        if let Shape::Tag(name) = shape {
            self.out.push_str(name);
        }
        self.frames.push(Frame { form, count: 0, start, keys_at: self.keys.len() });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Wrong> {
        let Some(frame) = self.frames.pop() else { unreachable!("readers close what they opened") };
        match frame.form {
            Form::List => self.out.push(')'),
            Form::Vector => self.out.push(']'),
            Form::Map | Form::Set => self.out.push('}'),
            Form::Tag => {}
        }
        self.check(&frame)?;
        self.note(frame.start);
        Ok(())
    }

    fn keeping(&self) -> bool {
        true
    }

    fn kept(&mut self, text: &str) -> Result<(), Wrong> {
        let start = self.separate();
        self.out.push_str(text);
        self.note(start);
        Ok(())
    }
}

/// Appends the canonical text of a scalar.
pub(in crate::value) fn write_scalar(scalar: Scalar<'_>, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = match scalar {
        Scalar::Nil => write!(out, "nil"),
        Scalar::Bool(v) => write!(out, "{v}"),
        Scalar::Int(v) => write!(out, "{v}"),
        Scalar::BigInt(v) => write!(out, "{v}N"),
        Scalar::Ratio(n, d) => write!(out, "{n}/{d}"),
        Scalar::Double(v) => return write_double(v, out),
        Scalar::Decimal(v) => write!(out, "{v}M"),
        Scalar::Char(v) => return write_char(v, out),
        Scalar::Str(v) => return write_str(v, out),
        Scalar::Keyword(v) => {
            out.push(':');
            return out.push_str(v);
        }
        Scalar::Symbol(v) => return out.push_str(v),
        Scalar::Inst(v) => {
            out.push_str("#inst \"");
            instant::write_inst(v, out);
            return out.push('"');
        }
        Scalar::Uuid(v) => write!(out, "#uuid \"{}\"", uuid::Uuid::from_u128(v)),
    };
}

/// As `Double.toString` writes it, from the shortest digits that are read back as the same number.
fn write_double(value: f64, out: &mut String) {
    let size = value.abs();
    let _ = if value.is_nan() {
        write!(out, "##NaN")
    } else if value.is_infinite() {
        write!(out, "{}", if value > 0.0 { "##Inf" } else { "##-Inf" })
    } else if size == 0.0 || (1e-3..1e7).contains(&size) {
        write!(out, "{value:?}")
    } else {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let point = if digits.contains('.') { "" } else { ".0" };
        write!(out, "{digits}{point}E{exponent}")
    };
}

fn write_char(value: char, out: &mut String) {
    let _ = match value {
        '\n' => write!(out, "\\newline"),
        ' ' => write!(out, "\\space"),
        '\t' => write!(out, "\\tab"),
        '\u{8}' => write!(out, "\\backspace"),
        '\u{c}' => write!(out, "\\formfeed"),
        '\r' => write!(out, "\\return"),
        c if c.is_control() || c.is_whitespace() => write!(out, "\\u{:04x}", c as u32),
        c => write!(out, "\\{c}"),
    };
}

fn write_str(text: &str, out: &mut String) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\t' => "\\t",
            b'\r' => "\\r",
            8 => "\\b",
            0xc => "\\f",
            _ => continue,
        };
        out.push_str(&text[plain..at]);
        out.push_str(escape);
        plain = at + 1;
    }
    out.push_str(&text[plain..]);
    out.push('"');
}
