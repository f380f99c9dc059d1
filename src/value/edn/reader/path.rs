//! Where in a text the reader is, for what it has to complain of: the keys and indexes that lead there.
//! It reads the keys again only then.

use super::{Form, Frame, Reader};
use crate::value::Value;
use crate::value::stream::{Shape, Sink};
use crate::value::tree::Tree;

impl<'t> Reader<'t> {
    /// Map keys and indexes of where the reader is, outermost first.
    pub(super) fn path(&self) -> Vec<Value> {
        let mut path = Vec::new();
        for frame in &self.frames {
            match frame.form {
                Form::List | Form::Vector => path.push(Value::Int(frame.count as i64)),
                Form::Map if frame.count % 2 == 1 => path.extend(self.key_of(frame)),
                _ => {}
            }
        }
        path
    }

    fn key_of(&self, frame: &Frame<'t>) -> Option<Value> {
        let mut reader = Reader::new(&self.text[frame.key_at..]);
        let mut tree = Tree::trusting();
        // The key is read as if it stood in its map, for the namespace.
        let holder = Frame { form: Form::Map, count: 0, key_at: 0, namespace: frame.namespace };
        reader.frames.push(holder);
        tree.open(Shape::Vector, None).ok()?;
        while reader.frames.first().is_some_and(|holder| holder.count == 0) {
            reader.skip_space();
            let byte = *reader.text.as_bytes().get(reader.at)?;
            reader.form(byte, &mut tree).ok()?;
        }
        tree.close().ok()?;
        match tree.finish() {
            Value::Vector(mut key) => key.pop(),
            _ => None,
        }
    }
}
