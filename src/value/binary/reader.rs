//! Reads the binary form into a sink, with a stack of its own. Every byte may be wrong: what it passes on is valid.
//! It does not decide what is built from it.

use super::*;
use crate::value::keys::clip;
use crate::value::stream::{Scalar, Shape, Sink, Wrong};
use crate::value::{DEPTH_MAX, edn, instant, words};

/// What may be open at once; the sinks bound it further.
const FRAMES_MAX: usize = 4 * DEPTH_MAX;

/// Reads exactly one message into the sink.
pub(super) fn stream<S: Sink>(bytes: &[u8], sink: &mut S) -> Result<(), Fault> {
    let mut reader = Reader { bytes, at: 1, frames: Vec::new() };
    let outcome = match bytes.first() {
        Some(&VERSION) => reader.run(sink).and_then(|()| reader.ended()),
        Some(other) => Err(Wrong::new(format!(
            "binary form has the version {other}, {VERSION} is allowed: the Java classes and the native library are of different releases"
        ))),
        None => Err(cut()),
    };
    outcome.map_err(|wrong| wrong.at(reader.path()))
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    frames: Vec<Frame>,
}

struct Frame {
    /// Values that are still to come, and those that are complete.
    left: usize,
    count: usize,
    form: Form,
    /// Where the newest key of a map begins.
    key_at: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Sequence,
    Set,
    Map,
    Tag,
}

fn cut() -> Wrong {
    Wrong::new("binary form ends too early")
}

fn malformed(what: &str) -> Wrong {
    Wrong::new(format!("binary form has a malformed {what}"))
}

fn out_of_range(text: &str) -> Wrong {
    Wrong::new(format!(
        "decimal \"{}M\" cannot be read again as it is written: its exponent is out of range",
        clip(text)
    ))
}

impl<'b> Reader<'b> {
    fn run<S: Sink>(&mut self, sink: &mut S) -> Result<(), Wrong> {
        loop {
            if let Some(top) = self.frames.last_mut()
                && top.form == Form::Map
                && top.count % 2 == 0
            {
                top.key_at = self.at;
            }
            let heads = self.frames.len();
            self.value(sink)?;
            if self.complete(heads, sink)? {
                return Ok(());
            }
        }
    }

    fn ended(&self) -> Result<(), Wrong> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(Wrong::new("binary form goes on after its value")) }
    }

    /// Reads a scalar or the head of a collection.
    fn value<S: Sink>(&mut self, sink: &mut S) -> Result<(), Wrong> {
        let tag = self.byte()?;
        let scalar = match tag {
            SMALL_VECTOR.. => return self.open(Shape::Vector, (tag - SMALL_VECTOR) as usize, sink),
            SMALL_MAP.. => return self.open(Shape::Map, (tag - SMALL_MAP) as usize, sink),
            SHORT_STR.. => Scalar::Str(self.text((tag - SHORT_STR) as usize)?),
            WORD.. => Scalar::Keyword(word((tag - WORD) as usize)?),
            SMALL_INT.. => Scalar::Int((tag - SMALL_INT) as i64),
            NIL => Scalar::Nil,
            FALSE => Scalar::Bool(false),
            TRUE => Scalar::Bool(true),
            INT => {
                let zigzag = self.varint()?;
                Scalar::Int((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
            }
            DOUBLE => Scalar::Double(f64::from_be_bytes(self.array()?)),
            BIG_INT => Scalar::BigInt(self.counted(edn::big_int, "BigInt")?),
            RATIO => return self.ratio(sink),
            DECIMAL => {
                let text = self.counted(|_| true, "BigDecimal")?;
                let text = edn::decimal(text).ok_or_else(|| out_of_range(text))?;
                return sink.scalar(Scalar::Decimal(&text));
            }
            CHAR => Scalar::Char(self.character()?),
            STR => Scalar::Str(self.counted(|_| true, "string")?),
            KEYWORD => Scalar::Keyword(self.counted(edn::is_keyword, "keyword")?),
            SYMBOL => Scalar::Symbol(self.counted(edn::is_symbol, "symbol")?),
            FAR_WORD => Scalar::Keyword(word(128 + self.byte()? as usize)?),
            INST => {
                let ms = i64::from_be_bytes(self.array()?);
                if !instant::in_range(ms) {
                    return Err(Wrong::new("instant is outside the years 0000 to 9999, which #inst can hold"));
                }
                Scalar::Inst(ms)
            }
            UUID => Scalar::Uuid(u128::from_be_bytes(self.array()?)),
            LIST | VECTOR | MAP | SET => return self.counted_open(tag, sink),
            TAGGED => {
                let name = self.counted(edn::is_tag, "tag")?;
                return self.open(Shape::Tag(name), 1, sink);
            }
            _ => return Err(malformed("tag byte")),
        };
        sink.scalar(scalar)
    }

    fn ratio<S: Sink>(&mut self, sink: &mut S) -> Result<(), Wrong> {
        let numerator = self.counted(edn::big_int, "ratio")?;
        let denominator = self.counted(edn::big_int, "ratio")?;
        let ratio = edn::ratio(numerator, denominator)?.ok_or_else(|| malformed("ratio"))?;
        sink.scalar(ratio.scalar())
    }

    fn character(&mut self) -> Result<char, Wrong> {
        let unit = u32::try_from(self.varint()?).ok().filter(|unit| *unit <= 0xffff);
        unit.and_then(char::from_u32).ok_or_else(|| malformed("character"))
    }

    fn counted_open<S: Sink>(&mut self, tag: u8, sink: &mut S) -> Result<(), Wrong> {
        let count = u32::from_be_bytes(self.array()?) as usize;
        let shape = match tag {
            LIST => Shape::List,
            VECTOR => Shape::Vector,
            MAP => Shape::Map,
            _ => Shape::Set,
        };
        self.open(shape, count, sink)
    }

    fn open<S: Sink>(&mut self, shape: Shape<'_>, count: usize, sink: &mut S) -> Result<(), Wrong> {
        let form = match shape {
            Shape::List | Shape::Vector => Form::Sequence,
            Shape::Set => Form::Set,
            Shape::Map => Form::Map,
            Shape::Tag(_) => Form::Tag,
        };
        let left = if form == Form::Map { count * 2 } else { count };
        if left > self.bytes.len() - self.at {
            return Err(cut());
        }
        if self.frames.len() >= FRAMES_MAX {
            return Err(Wrong::too_deep());
        }
        sink.open(shape, Some(count))?;
        self.frames.push(Frame { left, count: 0, form, key_at: 0 });
        Ok(())
    }

    /// Counts a complete value and closes what it completes; true where that was the outermost value. What has just
    /// been opened, above the frames that were there before, is complete only where it is empty.
    fn complete<S: Sink>(&mut self, before: usize, sink: &mut S) -> Result<bool, Wrong> {
        if self.frames.len() > before && self.frames.last().is_some_and(|top| top.left > 0) {
            return Ok(false);
        }
        if self.frames.len() > before {
            self.frames.pop();
            sink.close()?;
        }
        loop {
            let Some(top) = self.frames.last_mut() else { return Ok(true) };
            top.left -= 1;
            top.count += 1;
            if top.left > 0 {
                return Ok(false);
            }
            self.frames.pop();
            sink.close()?;
        }
    }

    fn byte(&mut self) -> Result<u8, Wrong> {
        let byte = *self.bytes.get(self.at).ok_or_else(cut)?;
        self.at += 1;
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Wrong> {
        let array = self.bytes[self.at..].first_chunk().ok_or_else(cut)?;
        self.at += N;
        Ok(*array)
    }

    fn varint(&mut self) -> Result<u64, Wrong> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = (byte & 0x7f) as u64;
            if shift == 63 && part > 1 {
                break;
            }
            value |= part << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(malformed("varint"))
    }

    fn text(&mut self, length: usize) -> Result<&'b str, Wrong> {
        let bytes = self.bytes[self.at..].get(..length).ok_or_else(cut)?;
        self.at += length;
        std::str::from_utf8(bytes).map_err(|_| malformed("string: it is not UTF-8"))
    }

    fn counted(&mut self, allowed: impl Fn(&str) -> bool, what: &str) -> Result<&'b str, Wrong> {
        let length = usize::try_from(self.varint()?).map_err(|_| cut())?;
        let text = self.text(length)?;
        if allowed(text) { Ok(text) } else { Err(malformed(what)) }
    }

    /// Map keys and indexes of where the reader is, outermost first.
    fn path(&self) -> Vec<Value> {
        let mut path = Vec::new();
        for frame in &self.frames {
            match frame.form {
                Form::Sequence => path.push(Value::Int(frame.count as i64)),
                Form::Map if frame.count % 2 == 1 => path.extend(self.key_at(frame.key_at)),
                _ => {}
            }
        }
        path
    }

    fn key_at(&self, at: usize) -> Option<Value> {
        let mut reader = Reader { bytes: self.bytes, at, frames: Vec::new() };
        let mut tree = Tree::trusting();
        reader.run(&mut tree).ok()?;
        Some(tree.finish())
    }
}

fn word(number: usize) -> Result<&'static str, Wrong> {
    words::name(number).ok_or_else(|| malformed("word number"))
}
