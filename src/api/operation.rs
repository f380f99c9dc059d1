//! Repeated calls: the first answer to a named operation is kept with what the operation did, and given again.
//! It does not decide how long.

use super::access::Caller;
use super::command::Command;
use super::run::{Made, Run};
use crate::engine::{self, Named, Now, Work};
use crate::store::Rows;
use crate::value::{Value, edn};

/// One call, which may have a name.
#[derive(Clone)]
pub struct Operation(Option<Named>);

/// Marks the caller's own data in a kept answer, where it stands as text and nothing of it is read.
const TEXT_TAG: &str = "errand/text";

impl Operation {
    /// The operation of a call; only what changes something is worth a name. A renewal is harmless to repeat, and its
    /// answer must be of now.
    pub fn of(caller: &Caller, command: &Command, args: &Value) -> Operation {
        let kept = matches!(command.run, Run::Write(..) | Run::Claim(_));
        Operation(caller.operation.as_ref().filter(|_| kept).map(|id| Named {
            workspace: caller.workspace.clone(),
            caller: caller.name().into(),
            operation_id: id.clone(),
            digest: digest(command, args),
        }))
    }

    /// Runs `run`, unless it was run before.
    pub fn once(&self, work: &mut Work, run: impl FnOnce(&mut Work) -> engine::Result<Made>) -> engine::Result<Made> {
        match self.recalled(work)? {
            Some(answer) => Ok(Made::Data(answer)),
            None => {
                let made = run(work)?;
                self.remember(work, made)
            }
        }
    }

    /// Whether it was run before.
    pub fn is_answered(&self, rows: &mut dyn Rows, now: Now) -> engine::Result<bool> {
        self.0.as_ref().map_or(Ok(false), |named| named.is_answered(rows, now))
    }

    /// The first answer, where there was one.
    pub fn recalled(&self, work: &mut Work) -> engine::Result<Option<Value>> {
        let Some(named) = &self.0 else { return Ok(None) };
        let Some(answer) = work.recalled(named)? else { return Ok(None) };
        let answer = edn::read(&answer).map_err(|fault| {
            crate::store::Error::Corrupt(format!("answer of operation {} is malformed: {fault}", named.operation_id))
        })?;
        Ok(Some(unmarked(answer)))
    }

    /// Keeps the answer, where it is to be kept.
    pub fn remember(&self, work: &mut Work, made: Made) -> engine::Result<Made> {
        let Some(named) = &self.0 else { return Ok(made) };
        let answer = made.data();
        work.keep_answer(named, edn::write(&marked(&answer)).into())?;
        Ok(Made::Data(answer))
    }

    pub fn forget(&self, work: &mut Work) -> engine::Result<()> {
        match &self.0 {
            Some(named) => work.forget(named),
            None => Ok(()),
        }
    }
}

fn digest(command: &Command, args: &Value) -> Vec<u8> {
    let text = edn::write(args);
    let text = edn::canonical(&text).unwrap_or(text);
    engine::digest([command.name, &text].into_iter())
}

/// An answer with what is the caller's own marked, and without what is shown only once.
fn marked(value: &Value) -> Value {
    match value {
        Value::Text(text) => Value::Tagged(TEXT_TAG.into(), Box::new(Value::str(&**text))),
        Value::Vector(items) => Value::Vector(items.iter().map(marked).collect()),
        Value::Map(entries) => {
            let shown_again = entries.iter().filter(|(key, _)| *key != Value::key(super::SECRET));
            Value::Map(shown_again.map(|(key, value)| (key.clone(), marked(value))).collect())
        }
        plain => plain.clone(),
    }
}

fn unmarked(value: Value) -> Value {
    match value {
        Value::Tagged(tag, inner) if tag == TEXT_TAG => match *inner {
            Value::Str(text) => Value::Text(text.into()),
            other => other,
        },
        Value::Vector(items) => Value::Vector(items.into_iter().map(unmarked).collect()),
        Value::Map(entries) => Value::Map(entries.into_iter().map(|(key, value)| (key, unmarked(value))).collect()),
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::MapBuilder;

    #[test]
    fn a_kept_answer_comes_back_as_it_was_but_for_its_secret() {
        let answer = MapBuilder::new()
            .put("payload", Value::Text("{:a/b [1 \"#errand/text\"]}".into()))
            .put("items", vec![Value::Text("nil".into()), Value::Inst(5)]);
        let kept = answer.build();
        let Value::Map(mut entries) = kept.clone() else { unreachable!("it was built as a map") };
        entries.push((Value::key(super::super::SECRET), "erk_1".into()));
        let text = edn::write(&marked(&Value::Map(entries)));
        assert_eq!(unmarked(edn::read(&text).unwrap()), kept);
    }
}
