//! Reads EDN text into a sink with a stack of its own, so that no input can exhaust the machine's.
//! It does not decide what is built from it.

mod path;

use super::name::{self, Class, class};
use super::{number, token};
use crate::value::stream::{Scalar, Shape, Sink, Wrong};
use crate::value::{DEPTH_MAX, Fault, instant, keys::clip};
use std::borrow::Cow;

/// What may be open at once, forms that leave no trace included; the sinks bound what does.
const FRAMES_MAX: usize = 4 * DEPTH_MAX;

/// Reads exactly one value into the sink.
pub(in crate::value) fn stream<S: Sink>(text: &str, sink: &mut S) -> Result<(), Fault> {
    let mut reader = Reader::new(text);
    reader.run(sink).map_err(|wrong| wrong.at(reader.path()))
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    frames: Vec<Frame<'t>>,
    /// How many open frames leave no trace: while there is one, nothing goes to the sink.
    muted: usize,
    done: bool,
    scratch: String,
}

struct Frame<'t> {
    form: Form,
    /// Values that are complete in it.
    count: usize,
    /// Where the newest key of a map begins.
    key_at: usize,
    /// The namespace that `#:ns{…}` gives to keys without one.
    namespace: Option<&'t str>,
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    List,
    Vector,
    Map,
    Set,
    Tag,
    Inst,
    Uuid,
    Discard,
    /// What stands after `^`, which leaves no trace, …
    Meta,
    /// … and then the value that it is about.
    MetaOf,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Reader<'t> {
        Reader { text, at: 0, frames: Vec::new(), muted: 0, done: false, scratch: String::new() }
    }

    fn run<S: Sink>(&mut self, sink: &mut S) -> Result<(), Wrong> {
        loop {
            self.skip_space();
            let Some(&byte) = self.text.as_bytes().get(self.at) else { return self.end() };
            if self.done && self.frames.is_empty() && !self.text[self.at..].starts_with("#_") {
                return Err(Wrong::new("text goes on after its value, exactly one value is allowed"));
            }
            self.form(byte, sink)?;
        }
    }

    fn end(&self) -> Result<(), Wrong> {
        let open = match self.frames.last().map(|frame| frame.form) {
            None if self.done => return Ok(()),
            None => return Err(Wrong::new("text is empty, one value is expected")),
            Some(Form::List) => "list is not closed by \")\"",
            Some(Form::Vector) => "vector is not closed by \"]\"",
            Some(Form::Map) => "map is not closed by \"}\"",
            Some(Form::Set) => "set is not closed by \"}\"",
            Some(Form::Tag | Form::Inst | Form::Uuid) => "tag has no value after it",
            Some(Form::Discard) => "\"#_\" has nothing after it",
            Some(Form::Meta | Form::MetaOf) => "\"^\" needs metadata and a value after it",
        };
        Err(Wrong::new(format!("text ends too early: {open}")))
    }

    fn skip_space(&mut self) {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            match class(byte) {
                Class::Space => self.at += 1,
                Class::Macro if byte == b';' => {
                    let line = bytes[self.at..].iter().position(|b| matches!(b, b'\n' | b'\r'));
                    self.at = line.map_or(bytes.len(), |length| self.at + length);
                }
                Class::Wide => match self.text[self.at..].chars().next() {
                    Some(c) if name::is_wide_space(c) => self.at += c.len_utf8(),
                    _ => return,
                },
                _ => return,
            }
        }
    }

    /// Reads a scalar whole, or the beginning or end of anything else.
    fn form<S: Sink>(&mut self, byte: u8, sink: &mut S) -> Result<(), Wrong> {
        match byte {
            b')' | b']' | b'}' => return self.close(byte, sink),
            b'#' => return self.dispatch(sink),
            b'^' => return self.meta(1),
            _ => self.note_key(byte == b'"')?,
        }
        match byte {
            b'(' => self.open(Form::List, Shape::List, 1, sink),
            b'[' => self.open(Form::Vector, Shape::Vector, 1, sink),
            b'{' => self.open(Form::Map, Shape::Map, 1, sink),
            b'"' => self.string(sink),
            b'\\' => {
                let start = self.at + 1;
                let first = self.text[start..].chars().next().ok_or_else(|| Wrong::new("text ends in a character"))?;
                let token = self.symbol_token(start, start + first.len_utf8())?;
                let c = token::character(token)?;
                self.scalar(Scalar::Char(c), sink)
            }
            _ => self.token(byte, sink),
        }
    }

    /// Notes where a map key begins. Only a string may stand after `#inst` and `#uuid`.
    fn note_key(&mut self, is_string: bool) -> Result<(), Wrong> {
        let Some(top) = self.frames.last_mut() else { return Ok(()) };
        match top.form {
            Form::Map if top.count % 2 == 0 => top.key_at = self.at,
            Form::Inst if !is_string => return Err(Wrong::new("#inst needs a string after it")),
            Form::Uuid if !is_string => return Err(Wrong::new("#uuid needs a string after it")),
            _ => {}
        }
        Ok(())
    }

    fn push(&mut self, form: Form, namespace: Option<&'t str>) -> Result<(), Wrong> {
        if self.frames.len() >= FRAMES_MAX {
            return Err(Wrong::too_deep());
        }
        self.muted += usize::from(matches!(form, Form::Discard | Form::Meta));
        self.frames.push(Frame { form, count: 0, key_at: 0, namespace });
        Ok(())
    }

    fn open<S: Sink>(&mut self, form: Form, shape: Shape<'_>, width: usize, sink: &mut S) -> Result<(), Wrong> {
        if form != Form::Map && self.frames.last().is_some_and(|top| top.form == Form::Meta) {
            return Err(Wrong::new("\"^\" needs a map, keyword, symbol or string after it"));
        }
        if form == Form::Tag && self.frames.last().is_some_and(|top| top.form == Form::MetaOf) {
            return Err(no_metadata());
        }
        if self.muted == 0 {
            sink.open(shape, None)?;
        }
        self.at += width;
        self.push(form, None)
    }

    fn close<S: Sink>(&mut self, byte: u8, sink: &mut S) -> Result<(), Wrong> {
        let expected = match self.frames.last().map(|frame| (frame.form, frame.count)) {
            Some((Form::List, _)) => b')',
            Some((Form::Vector, _)) => b']',
            Some((Form::Set, _)) => b'}',
            Some((Form::Map, count)) if count % 2 == 0 => b'}',
            Some((Form::Map, _)) if byte == b'}' => return Err(Wrong::new("map has a key without a value")),
            Some((Form::Map, _)) => b'}',
            Some(_) | None => 0,
        };
        if byte != expected {
            return Err(Wrong::new(format!("delimiter \"{}\" closes nothing that is open here", byte as char)));
        }
        self.at += 1;
        self.frames.pop();
        if self.muted == 0 {
            sink.close()?;
        }
        self.complete(sink)
    }

    /// Counts a complete value, and closes the forms that it completes.
    fn complete<S: Sink>(&mut self, sink: &mut S) -> Result<(), Wrong> {
        loop {
            let Some(top) = self.frames.last_mut() else {
                self.done = true;
                return Ok(());
            };
            match top.form {
                Form::List | Form::Vector | Form::Map | Form::Set => {
                    top.count += 1;
                    return Ok(());
                }
                Form::Discard => {
                    self.frames.pop();
                    self.muted -= 1;
                    return Ok(());
                }
                Form::Meta => {
                    top.form = Form::MetaOf;
                    self.muted -= 1;
                    return Ok(());
                }
                Form::MetaOf => {
                    self.frames.pop();
                }
                Form::Tag => {
                    self.frames.pop();
                    if self.muted == 0 {
                        sink.close()?;
                    }
                }
                Form::Inst | Form::Uuid => unreachable!("strings complete #inst and #uuid by themselves"),
            }
        }
    }

    fn scalar<S: Sink>(&mut self, scalar: Scalar<'_>, sink: &mut S) -> Result<(), Wrong> {
        match self.frames.last().map(|frame| frame.form) {
            Some(Form::MetaOf) if !matches!(scalar, Scalar::Symbol(_)) => {
                return Err(no_metadata());
            }
            Some(Form::Meta) if !matches!(scalar, Scalar::Symbol(_) | Scalar::Keyword(_) | Scalar::Str(_)) => {
                return Err(Wrong::new("\"^\" needs a map, keyword, symbol or string after it"));
            }
            _ => {}
        }
        if self.muted == 0 {
            sink.scalar(scalar)?;
        }
        self.complete(sink)
    }

    fn string<S: Sink>(&mut self, sink: &mut S) -> Result<(), Wrong> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let (text, next) = token::string(self.text, self.at + 1, &mut scratch)?;
        let scalar = match self.frames.last().map(|frame| frame.form) {
            Some(Form::Inst) => match instant::read_inst(text) {
                Some(ms) => Scalar::Inst(ms),
                None => {
                    return Err(Wrong::new(format!(
                        "#inst \"{}\" is no instant, \"2026-01-31T12:00:00Z\" is one",
                        clip(text)
                    )));
                }
            },
            Some(Form::Uuid) => match token::uuid(text) {
                Some(uuid) => Scalar::Uuid(uuid),
                None => return Err(Wrong::new(format!("#uuid \"{}\" is no UUID", clip(text)))),
            },
            _ => Scalar::Str(text),
        };
        self.at = next;
        if !matches!(scalar, Scalar::Str(_)) {
            self.frames.pop();
        }
        self.scalar(scalar, sink)?;
        self.scratch = scratch;
        Ok(())
    }

    /// The token from `start`, whose end is looked for from `from`.
    fn symbol_token(&mut self, start: usize, from: usize) -> Result<&'t str, Wrong> {
        let bytes = self.text.as_bytes();
        let mut at = from;
        while let Some(&byte) = bytes.get(at) {
            match class(byte) {
                Class::Constituent | Class::Hash => at += 1,
                Class::Space | Class::Macro => break,
                Class::Foreign => {
                    return Err(Wrong::new(format!("character \"{}\" is not allowed in a name", byte as char)));
                }
                Class::Wide => match self.text[at..].chars().next() {
                    Some(c) if !name::is_wide_space(c) => at += c.len_utf8(),
                    _ => break,
                },
            }
        }
        self.at = at;
        Ok(&self.text[start..at])
    }

    fn number_token(&mut self) -> &'t str {
        let rest = &self.text[self.at..];
        let ends = |c: char| {
            u8::try_from(c)
                .map_or(name::is_wide_space(c), |b| matches!(class(b), Class::Space | Class::Macro | Class::Hash))
        };
        let token = &rest[..rest.find(ends).unwrap_or(rest.len())];
        self.at += token.len();
        token
    }

    fn token<S: Sink>(&mut self, byte: u8, sink: &mut S) -> Result<(), Wrong> {
        let mut chars = self.text[self.at..].chars();
        let (first, second) = (chars.next().unwrap_or(' '), chars.next().unwrap_or(' '));
        if name::begins_number(first) || (matches!(first, '+' | '-') && name::begins_number(second)) {
            let number = number::read(self.number_token())?;
            return self.scalar(number.scalar(), sink);
        }
        let token = self.symbol_token(self.at, self.at)?;
        match token {
            "nil" => return self.scalar(Scalar::Nil, sink),
            "true" => return self.scalar(Scalar::Bool(true), sink),
            "false" => return self.scalar(Scalar::Bool(false), sink),
            _ => {}
        }
        let (name, is_keyword) = match token.strip_prefix(':') {
            Some(name) if byte == b':' && name::is_keyword_token(token) => (name, true),
            None if name::is_symbol_token(token) => (token, false),
            _ => {
                return Err(Wrong::new(format!(
                    "token \"{}\" is neither a keyword nor a symbol nor a number",
                    clip(token)
                )));
            }
        };
        let name = self.qualified(name);
        // With the namespace of its map it may be a name that has no text: `#:a{:1 2}`.
        if matches!(name, Cow::Owned(_)) && !(if is_keyword { name::is_keyword(&name) } else { name::is_symbol(&name) })
        {
            return Err(Wrong::new(format!("key \"{}\" cannot be written with the namespace of its map", clip(token))));
        }
        self.scalar(if is_keyword { Scalar::Keyword(&name) } else { Scalar::Symbol(&name) }, sink)
    }

    /// The name, with the namespace of the map whose key it is.
    fn qualified(&self, name: &'t str) -> Cow<'t, str> {
        let namespace =
            self.frames.last().filter(|top| top.form == Form::Map && top.count % 2 == 0).and_then(|top| top.namespace);
        match namespace {
            None => name.into(),
            Some(_) if name.starts_with("_/") && name.len() > 2 => name[2..].to_owned().into(),
            Some(namespace) if name == "/" || !name.contains('/') => format!("{namespace}/{name}").into(),
            Some(_) => name.to_owned().into(),
        }
    }

    fn dispatch<S: Sink>(&mut self, sink: &mut S) -> Result<(), Wrong> {
        let after = self.text[self.at + 1..].chars().next();
        match after {
            Some('_') => {
                self.at += 2;
                self.push(Form::Discard, None)
            }
            Some('^') => self.meta(2),
            Some('{') => {
                self.note_key(false)?;
                self.open(Form::Set, Shape::Set, 2, sink)
            }
            Some('#') => {
                self.note_key(false)?;
                self.symbolic(sink)
            }
            Some(':') => {
                self.note_key(false)?;
                self.namespaced(sink)
            }
            Some(c) if name::begins_tag(c) => {
                self.note_key(false)?;
                self.tag(sink)
            }
            Some(c) => Err(Wrong::new(format!("dispatch \"#{c}\" is unknown"))),
            None => Err(Wrong::new("text ends too early: \"#\" has nothing after it")),
        }
    }

    fn meta(&mut self, width: usize) -> Result<(), Wrong> {
        self.note_key(false)?;
        self.at += width;
        self.push(Form::Meta, None)
    }

    fn symbolic<S: Sink>(&mut self, sink: &mut S) -> Result<(), Wrong> {
        self.at += 2;
        self.skip_space();
        let value = match self.symbol_token(self.at, self.at)? {
            "NaN" => f64::NAN,
            "Inf" => f64::INFINITY,
            "-Inf" => f64::NEG_INFINITY,
            other => {
                return Err(Wrong::new(format!(
                    "number \"##{}\" is unknown, ##NaN, ##Inf and ##-Inf are allowed",
                    clip(other)
                )));
            }
        };
        self.scalar(Scalar::Double(value), sink)
    }

    fn namespaced<S: Sink>(&mut self, sink: &mut S) -> Result<(), Wrong> {
        self.at += 2;
        self.skip_space();
        let namespace = self.symbol_token(self.at, self.at)?;
        if namespace.contains('/') || !name::is_symbol(namespace) {
            return Err(Wrong::new(format!("namespace \"{}\" of a map is no plain symbol", clip(namespace))));
        }
        self.skip_space();
        if self.text.as_bytes().get(self.at) != Some(&b'{') {
            return Err(Wrong::new(format!("namespace \"#:{}\" needs a map after it", clip(namespace))));
        }
        self.open(Form::Map, Shape::Map, 1, sink)?;
        if let Some(top) = self.frames.last_mut() {
            top.namespace = Some(namespace);
        }
        Ok(())
    }

    fn tag<S: Sink>(&mut self, sink: &mut S) -> Result<(), Wrong> {
        let tag = self.symbol_token(self.at + 1, self.at + 1)?;
        match tag {
            "inst" => self.push(Form::Inst, None),
            "uuid" => self.push(Form::Uuid, None),
            _ if name::is_tag(tag) => self.open(Form::Tag, Shape::Tag(tag), 0, sink),
            _ => Err(Wrong::new(format!("tag \"#{}\" is no symbol", clip(tag)))),
        }
    }
}

fn no_metadata() -> Wrong {
    Wrong::new("\"^\" is about a value that has no metadata, collections and symbols have")
}
