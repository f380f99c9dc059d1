//! Patterns over values: a map names the keys that matter, `_` is anything, `absent` is a key that is not there, and
//! `?name` is bound by its first use and equal to it later. Everything else is itself.

use errand::value::{Value, edn};
use std::collections::HashMap;

/// What the names of one scenario are bound to.
#[derive(Default)]
pub struct Bound(HashMap<String, Value>);

impl Bound {
    /// The value with every bound name replaced.
    pub fn filled(&self, value: &Value) -> Value {
        let each = |items: &[Value]| items.iter().map(|item| self.filled(item)).collect();
        match value {
            Value::Symbol(name) if name.starts_with('?') => {
                self.0.get(&**name).cloned().unwrap_or_else(|| panic!("{name} is not bound yet"))
            }
            Value::Map(entries) => {
                Value::Map(entries.iter().map(|(key, value)| (key.clone(), self.filled(value))).collect())
            }
            Value::Vector(items) => Value::Vector(each(items)),
            Value::List(items) => Value::List(each(items)),
            other => other.clone(),
        }
    }

    /// The text with every bound name replaced.
    pub fn filled_text(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, value)| match value.as_str() {
            Some(value) => text.replace(name, value),
            None => text,
        })
    }

    /// Holds a value against a pattern; what does not fit is told with its place.
    pub fn meet(&mut self, pattern: &Value, value: &Value) -> Result<(), String> {
        match (name(pattern), pattern, value) {
            (Some("_"), ..) => Ok(()),
            (Some(name), ..) if name.starts_with('?') => match self.0.get(name) {
                Some(bound) if bound != value => Err(differs(bound, value)),
                Some(_) => Ok(()),
                None => {
                    self.0.insert(name.to_owned(), value.clone());
                    Ok(())
                }
            },
            (_, Value::Map(wanted), Value::Map(_)) => self.meet_map(wanted, value),
            (_, Value::Vector(wanted), Value::Vector(found)) if wanted.len() == found.len() => {
                for (index, (wanted, found)) in wanted.iter().zip(found).enumerate() {
                    self.meet(wanted, found).map_err(|told| format!("{index} {told}"))?;
                }
                Ok(())
            }
            (_, Value::Set(wanted), Value::Set(found))
                if wanted.len() == found.len() && wanted.iter().all(|one| found.contains(one)) =>
            {
                Ok(())
            }
            _ if pattern == value => Ok(()),
            _ => Err(differs(pattern, value)),
        }
    }

    fn meet_map(&mut self, wanted: &[(Value, Value)], found: &Value) -> Result<(), String> {
        let Value::Map(entries) = found else { unreachable!("a map was found") };
        for (key, pattern) in wanted {
            let value = entries.iter().find(|(given, _)| given == key).map(|(_, value)| value);
            let place = |told: String| format!("{} {told}", edn::write(key));
            match (name(pattern), value) {
                (Some("absent"), None) => {}
                (Some("absent"), Some(value)) => return Err(place(format!("is there: {}", edn::write(value)))),
                (_, Some(value)) => self.meet(pattern, value).map_err(place)?,
                (_, None) => return Err(place(format!("is not there: {}", edn::write(found)))),
            }
        }
        Ok(())
    }
}

/// The name of a symbol; in a pattern that went through JSON it is a text.
fn name(pattern: &Value) -> Option<&str> {
    match pattern {
        Value::Symbol(name) => Some(name),
        Value::Str(text) if text.starts_with('?') || matches!(&**text, "_" | "absent") => Some(text),
        _ => None,
    }
}

fn differs(wanted: &Value, found: &Value) -> String {
    format!("is {}, not {}", edn::write(found), edn::write(wanted))
}
