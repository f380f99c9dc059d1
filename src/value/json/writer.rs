//! Writes JSON from events. It does not check for colliding keys: kept texts were checked when they came.

use crate::value::edn::{self, TextWriter};
use crate::value::stream::{Scalar, Shape, Sink, Wrong};
use crate::value::{camel, instant};
use std::fmt::Write;

/// The JSON of one value, in the making.
pub(super) struct Writer {
    out: String,
    frames: Vec<Frame>,
    /// A map key with parts of its own, whose EDN text is the JSON key.
    key: Option<TextWriter>,
    pretty: bool,
    /// Whether this is a kept text, with the caller's own keys.
    kept: bool,
}

#[derive(Clone, Copy)]
struct Frame {
    form: Form,
    count: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Array,
    Object,
    /// A tag, which leaves no trace.
    Nothing,
}

impl Writer {
    pub fn compact() -> Writer {
        Writer { out: String::new(), frames: Vec::new(), key: None, pretty: false, kept: false }
    }

    pub fn pretty() -> Writer {
        Writer { pretty: true, ..Writer::compact() }
    }

    pub fn finish(self) -> String {
        self.out
    }

    fn is_key_next(&self) -> bool {
        matches!(self.frames.last(), Some(Frame { form: Form::Object, count }) if count % 2 == 0)
    }

    /// Writes what stands between the last key or value and the next.
    fn separate(&mut self) {
        let Some(top) = self.frames.last_mut() else { return };
        let Frame { form, count } = *top;
        top.count += 1;
        match form {
            Form::Nothing => return,
            Form::Object if count % 2 == 1 => return self.out.push_str(if self.pretty { ": " } else { ":" }),
            _ if count > 0 => self.out.push(','),
            _ => {}
        }
        self.line();
    }

    fn line(&mut self) {
        if self.pretty {
            let depth = self.frames.iter().filter(|frame| frame.form != Form::Nothing).count();
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n("  ", depth));
        }
    }

    fn write_key(&mut self, scalar: Scalar<'_>) {
        self.separate();
        match scalar {
            Scalar::Keyword(name) if !self.kept => write_str(&camel(name), &mut self.out),
            Scalar::Keyword(name) | Scalar::Symbol(name) => write_str(name, &mut self.out),
            Scalar::Str(text) => write_str(text, &mut self.out),
            other => {
                let mut text = String::new();
                edn::write_scalar(other, &mut text);
                write_str(&text, &mut self.out);
            }
        }
    }

    /// Passes an event to the text of a key, and writes that key once it is whole.
    fn extend_key(&mut self, event: impl FnOnce(&mut TextWriter) -> Result<(), Wrong>) -> Result<(), Wrong> {
        let text = self.key.get_or_insert_with(TextWriter::plain);
        event(text)?;
        if text.is_whole() {
            let text = self.key.take().map(TextWriter::finish).unwrap_or_default();
            self.write_key(Scalar::Str(&text));
        }
        Ok(())
    }
}

impl Sink for Writer {
    fn scalar(&mut self, scalar: Scalar<'_>) -> Result<(), Wrong> {
        if self.key.is_some() {
            return self.extend_key(|text| text.scalar(scalar));
        }
        if self.is_key_next() {
            self.write_key(scalar);
        } else {
            self.separate();
            write_scalar(scalar, &mut self.out);
        }
        Ok(())
    }

    fn open(&mut self, shape: Shape<'_>, count: Option<usize>) -> Result<(), Wrong> {
        if self.key.is_some() || self.is_key_next() {
            return self.extend_key(|text| text.open(shape, count));
        }
        self.separate();
        let form = match shape {
            Shape::List | Shape::Vector | Shape::Set => Form::Array,
            Shape::Map => Form::Object,
            Shape::Tag(_) => Form::Nothing,
        };
        match form {
            Form::Array => self.out.push('['),
            Form::Object => self.out.push('{'),
            Form::Nothing => {}
        }
        self.frames.push(Frame { form, count: 0 });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Wrong> {
        if self.key.is_some() {
            return self.extend_key(TextWriter::close);
        }
        let Some(frame) = self.frames.pop() else { unreachable!("readers close what they opened") };
        if frame.form != Form::Nothing && frame.count > 0 {
            self.line();
        }
        match frame.form {
            Form::Array => self.out.push(']'),
            Form::Object => self.out.push('}'),
            Form::Nothing => {}
        }
        Ok(())
    }

    fn kept(&mut self, text: &str) -> Result<(), Wrong> {
        let (length, frames, top) = (self.out.len(), self.frames.len(), self.frames.last().copied());
        self.kept = true;
        let outcome = edn::stream(text, self);
        self.kept = false;
        if outcome.is_ok() {
            return Ok(());
        }
        // Not our text: somebody changed it in the database. It is shown rather than lost.
        self.key = None;
        self.out.truncate(length);
        self.frames.truncate(frames);
        if let (Some(now), Some(before)) = (self.frames.last_mut(), top) {
            *now = before;
        }
        self.scalar(Scalar::Str(text))
    }
}

fn write_scalar(scalar: Scalar<'_>, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = match scalar {
        Scalar::Nil => write!(out, "null"),
        Scalar::Bool(v) => write!(out, "{v}"),
        Scalar::Int(v) => write!(out, "{v}"),
        Scalar::BigInt(v) | Scalar::Decimal(v) => write!(out, "{v}"),
        Scalar::Ratio(n, d) => return write_double(quotient(n, d), out),
        Scalar::Double(v) => return write_double(v, out),
        Scalar::Char(v) => return write_str(v.encode_utf8(&mut [0; 4]), out),
        Scalar::Str(v) | Scalar::Keyword(v) | Scalar::Symbol(v) => return write_str(v, out),
        Scalar::Inst(v) => {
            out.push('"');
            instant::write_rfc3339(v, out);
            return out.push('"');
        }
        Scalar::Uuid(v) => write!(out, "\"{}\"", uuid::Uuid::from_u128(v)),
    };
}

fn write_double(value: f64, out: &mut String) {
    let _ = if value.is_nan() {
        write!(out, "\"NaN\"")
    } else if value.is_infinite() {
        write!(out, "\"{}Infinity\"", if value < 0.0 { "-" } else { "" })
    } else {
        write!(out, "{value:?}")
    };
}

/// The ratio of two whole numbers of any size, as near as doubles go.
fn quotient(numerator: &str, denominator: &str) -> f64 {
    let (n, d) = (numerator.parse().unwrap_or(f64::NAN), denominator.parse().unwrap_or(f64::NAN));
    if f64::is_finite(n) && f64::is_finite(d) {
        return n / d;
    }
    let ((n, n_tens), (d, d_tens)) = (leading(numerator), leading(denominator));
    scaled(n / d, n_tens - d_tens)
}

/// The first digits of a whole number, and how many stand after them.
fn leading(digits: &str) -> (f64, i64) {
    let kept = digits.len().min(19);
    (digits[..kept].parse().unwrap_or(f64::NAN), (digits.len() - kept) as i64)
}

fn scaled(value: f64, tens: i64) -> f64 {
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent = exponent.parse::<i64>().unwrap_or(0) + tens;
    format!("{digits}e{exponent}").parse().unwrap_or(f64::NAN)
}

/// Appends a JSON string.
fn write_str(text: &str, out: &mut String) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[plain..at]);
        plain = at + 1;
        let _ = match byte {
            b'"' => write!(out, "\\\""),
            b'\\' => write!(out, "\\\\"),
            b'\n' => write!(out, "\\n"),
            b'\r' => write!(out, "\\r"),
            b'\t' => write!(out, "\\t"),
            _ => write!(out, "\\u{byte:04x}"),
        };
    }
    out.push_str(&text[plain..]);
    out.push('"');
}
