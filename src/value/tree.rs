//! The sink that builds a `Value`, and keeps as text what stands under the keys that it is told.
//! It does not know which form the events come from.

use super::edn::TextWriter;
use super::stream::{Scalar, Shape, Sink, Wrong};
use super::{DEPTH_MAX, Name, Value, keys, words};

/// Builds one value.
pub(super) struct Tree<'o> {
    open: &'o [&'o str],
    nodes: Vec<Node>,
    kept: Option<TextWriter>,
    done: Option<Value>,
    /// Nothing where keys and elements are known to be distinct.
    compared: Option<keys::Compared>,
}

enum Node {
    List(Vec<Value>),
    Vector(Vec<Value>),
    Set(Vec<Value>),
    Map(Vec<(Value, Value)>, Option<Value>),
    Tag(Name, Option<Value>),
}

/// What is set aside for a collection at first; its stated size is not to be trusted that far.
const ROOM_MAX: usize = 1024;

impl<'o> Tree<'o> {
    pub fn new(open: &'o [&'o str]) -> Tree<'o> {
        Tree { open, nodes: Vec::new(), kept: None, done: None, compared: Some(keys::Compared::default()) }
    }

    /// For what was checked before.
    pub fn trusting() -> Tree<'static> {
        Tree { compared: None, ..Tree::new(&[]) }
    }

    /// The value, once its reader has said that it is complete.
    pub fn finish(self) -> Value {
        self.done.unwrap_or_else(|| unreachable!("a reader ends with one complete value"))
    }

    fn add(&mut self, value: Value) {
        match self.nodes.last_mut() {
            None => self.done = Some(value),
            Some(Node::List(items) | Node::Vector(items) | Node::Set(items)) => items.push(value),
            Some(Node::Map(entries, key)) => match key.take() {
                Some(key) => entries.push((key, value)),
                None => *key = Some(value),
            },
            Some(Node::Tag(_, inner)) => *inner = Some(value),
        }
    }

    /// Whether the value that comes now is to be kept as text.
    fn keeps_next(&self) -> bool {
        match self.nodes.last() {
            Some(Node::Map(_, Some(Value::Keyword(key)))) => self.open.contains(&&**key),
            Some(Node::Map(_, Some(Value::Str(key)))) => self.open.contains(&&**key),
            _ => false,
        }
    }

    /// Passes an event to the text that is being kept, and adds that text once it is whole.
    fn keep(&mut self, event: impl FnOnce(&mut TextWriter) -> Result<(), Wrong>) -> Result<(), Wrong> {
        let writer = self.kept.get_or_insert_with(TextWriter::checking);
        event(writer)?;
        if writer.is_whole() {
            let text = self.kept.take().map(TextWriter::finish).unwrap_or_default();
            self.add(Value::Text(text.into()));
        }
        Ok(())
    }
}

impl Sink for Tree<'_> {
    fn scalar(&mut self, scalar: Scalar<'_>) -> Result<(), Wrong> {
        if self.kept.is_some() || self.keeps_next() {
            return self.keep(|text| text.scalar(scalar));
        }
        self.add(scalar.into());
        Ok(())
    }

    fn open(&mut self, shape: Shape<'_>, count: Option<usize>) -> Result<(), Wrong> {
        if self.kept.is_some() || self.keeps_next() {
            return self.keep(|text| text.open(shape, count));
        }
        if self.nodes.len() >= DEPTH_MAX {
            return Err(Wrong::too_deep());
        }
        let room = count.unwrap_or(0).min(ROOM_MAX);
        self.nodes.push(match shape {
            Shape::List => Node::List(Vec::with_capacity(room)),
            Shape::Vector => Node::Vector(Vec::with_capacity(room)),
            Shape::Set => Node::Set(Vec::with_capacity(room)),
            Shape::Map => Node::Map(Vec::with_capacity(room), None),
            Shape::Tag(name) => Node::Tag(name.to_owned().into(), None),
        });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Wrong> {
        if self.kept.is_some() {
            return self.keep(TextWriter::close);
        }
        let value = match self.nodes.pop() {
            Some(Node::List(items)) => Value::List(items),
            Some(Node::Vector(items)) => Value::Vector(items),
            Some(Node::Set(items)) => {
                if let Some(compared) = &mut self.compared {
                    keys::distinct_elements(&items, compared)?;
                }
                Value::Set(items)
            }
            Some(Node::Map(entries, None)) => {
                if let Some(compared) = &mut self.compared {
                    keys::distinct_keys(&entries, compared)?;
                }
                Value::Map(entries)
            }
            Some(Node::Tag(name, Some(inner))) => Value::Tagged(name, Box::new(inner)),
            _ => unreachable!("readers close what they opened, with a value for each key and tag"),
        };
        self.add(value);
        Ok(())
    }

    fn kept(&mut self, text: &str) -> Result<(), Wrong> {
        self.add(Value::Text(text.into()));
        Ok(())
    }

    fn keeping(&self) -> bool {
        self.kept.is_some()
    }
}

impl From<Scalar<'_>> for Value {
    fn from(scalar: Scalar<'_>) -> Value {
        match scalar {
            Scalar::Nil => Value::Nil,
            Scalar::Bool(v) => Value::Bool(v),
            Scalar::Int(v) => Value::Int(v),
            Scalar::BigInt(v) => Value::BigInt(v.into()),
            Scalar::Ratio(n, d) => Value::Ratio(Box::new((n.into(), d.into()))),
            Scalar::Double(v) => Value::Double(v),
            Scalar::Decimal(v) => Value::Decimal(v.into()),
            Scalar::Char(v) => Value::Char(v),
            Scalar::Str(v) => Value::Str(v.into()),
            Scalar::Keyword(v) => Value::Keyword(words::intern(v)),
            Scalar::Symbol(v) => Value::Symbol(v.to_owned().into()),
            Scalar::Inst(v) => Value::Inst(v),
            Scalar::Uuid(v) => Value::Uuid(v),
        }
    }
}
