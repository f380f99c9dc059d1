//! Writes the binary form from events; counts that are not known yet are filled in at the end of their collection.
//! It does not check what it is given.

use super::*;
use crate::value::stream::{Scalar, Shape, Sink, Wrong};
use crate::value::{edn, words};

/// One message in the making, behind what `out` holds already.
pub(super) struct Writer<'o> {
    out: &'o mut Vec<u8>,
    frames: Vec<Frame>,
}

/// An open collection: its items so far and, where its count is still to be filled in, the place of the count.
#[derive(Clone, Copy)]
struct Frame {
    items: usize,
    count_at: Option<usize>,
    is_map: bool,
}

impl Writer<'_> {
    pub fn new(out: &mut Vec<u8>) -> Writer<'_> {
        Writer { out, frames: Vec::new() }
    }

    fn item(&mut self) {
        if let Some(top) = self.frames.last_mut() {
            top.items += 1;
        }
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    fn text(&mut self, tag: u8, text: &str) {
        self.out.push(tag);
        self.counted(text);
    }

    fn counted(&mut self, text: &str) {
        self.varint(text.len() as u64);
        self.out.extend_from_slice(text.as_bytes());
    }

    fn keyword(&mut self, name: &str) {
        match words::number(name) {
            Some(number) if number < 128 => self.out.push(WORD + number as u8),
            Some(number) => self.out.extend([FAR_WORD, (number - 128) as u8]),
            None => self.text(KEYWORD, name),
        }
    }

    fn string(&mut self, text: &str) {
        if text.len() < 32 {
            self.out.push(SHORT_STR + text.len() as u8);
            self.out.extend_from_slice(text.as_bytes());
        } else {
            self.text(STR, text);
        }
    }
}

impl Sink for Writer<'_> {
    fn scalar(&mut self, scalar: Scalar<'_>) -> Result<(), Wrong> {
        self.item();
        match scalar {
            Scalar::Nil => self.out.push(NIL),
            Scalar::Bool(v) => self.out.push(if v { TRUE } else { FALSE }),
            Scalar::Int(v @ 0..=31) => self.out.push(SMALL_INT + v as u8),
            Scalar::Int(v) => {
                self.out.push(INT);
                self.varint(((v << 1) ^ (v >> 63)) as u64);
            }
            Scalar::BigInt(v) => self.text(BIG_INT, v),
            Scalar::Ratio(n, d) => {
                self.text(RATIO, n);
                self.counted(d);
            }
            Scalar::Double(v) => {
                self.out.push(DOUBLE);
                self.out.extend(v.to_be_bytes());
            }
            Scalar::Decimal(v) => self.text(DECIMAL, v),
            Scalar::Char(v) => {
                self.out.push(CHAR);
                self.varint(v as u64);
            }
            Scalar::Str(v) => self.string(v),
            Scalar::Keyword(v) => self.keyword(v),
            Scalar::Symbol(v) => self.text(SYMBOL, v),
            Scalar::Inst(v) => {
                self.out.push(INST);
                self.out.extend(v.to_be_bytes());
            }
            Scalar::Uuid(v) => {
                self.out.push(UUID);
                self.out.extend(v.to_be_bytes());
            }
        }
        Ok(())
    }

    fn open(&mut self, shape: Shape<'_>, count: Option<usize>) -> Result<(), Wrong> {
        self.item();
        let tag = match (shape, count) {
            (Shape::Map, Some(count @ 0..=15)) => return self.begin(SMALL_MAP + count as u8),
            (Shape::Vector, Some(count @ 0..=15)) => return self.begin(SMALL_VECTOR + count as u8),
            (Shape::Tag(name), _) => {
                self.text(TAGGED, name);
                self.frames.push(Frame { items: 0, count_at: None, is_map: false });
                return Ok(());
            }
            (Shape::List, _) => LIST,
            (Shape::Vector, _) => VECTOR,
            (Shape::Map, _) => MAP,
            (Shape::Set, _) => SET,
        };
        self.out.push(tag);
        self.frames.push(Frame { items: 0, count_at: Some(self.out.len()), is_map: shape == Shape::Map });
        self.out.extend([0; 4]);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Wrong> {
        let Some(frame) = self.frames.pop() else { unreachable!("readers close what they opened") };
        if let Some(at) = frame.count_at {
            let count = if frame.is_map { frame.items / 2 } else { frame.items };
            let count = u32::try_from(count).map_err(|_| Wrong::too_large("collection has more than 2^32 items"))?;
            self.out[at..at + 4].copy_from_slice(&count.to_be_bytes());
        }
        Ok(())
    }

    fn kept(&mut self, text: &str) -> Result<(), Wrong> {
        let (length, frames, top) = (self.out.len(), self.frames.len(), self.frames.last().copied());
        if edn::stream(text, self).is_ok() {
            return Ok(());
        }
        // Not our text: somebody changed it in the database. It is shown rather than lost.
        self.out.truncate(length);
        self.frames.truncate(frames);
        if let (Some(now), Some(before)) = (self.frames.last_mut(), top) {
            *now = before;
        }
        self.scalar(Scalar::Str(text))
    }
}

impl Writer<'_> {
    fn begin(&mut self, tag: u8) -> Result<(), Wrong> {
        self.out.push(tag);
        self.frames.push(Frame { items: 0, count_at: None, is_map: false });
        Ok(())
    }
}
