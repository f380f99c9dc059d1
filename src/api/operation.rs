//! Repeated calls: the first answer to a named operation is kept with what the operation did, and given again.
//! What a job was submitted with stays with the job: it is put into the answer again. It does not decide how long.

use super::access::Caller;
use super::command::Command;
use super::run::{Made, Run};
use crate::engine::{self, Named, Now, Work};
use crate::store::Rows;
use crate::value::{Value, edn};

/// One call, which may have a name.
#[derive(Clone)]
pub struct Operation(Option<Named>);

const JOB_ID: &str = "job-id";
const PAYLOAD: &str = "payload";
const METADATA: &str = "metadata";

/// Marks the caller's own data in a kept answer, where it stands as text and nothing of it is read.
const TEXT_TAG: &str = "errand/text";

/// Stands in a kept answer for what its job has and never changes.
const BODY_TAG: &str = "errand/body";
/// Of more bytes than this a text is not kept a second time.
const OWN_TEXT_MAX: usize = 256;

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
        Ok(Some(with_bodies(work.rows().0, unmarked(answer))?))
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

/// An answer with what is the caller's own marked, and without what is shown only once or stays with its job.
fn marked(value: &Value) -> Value {
    marked_in(value, false)
}

/// As `marked`; in a job nothing else is one, whatever its keys are.
fn marked_in(value: &Value, job: bool) -> Value {
    match value {
        Value::Text(text) => Value::Tagged(TEXT_TAG.into(), Box::new(Value::str(&**text))),
        Value::Vector(items) => Value::Vector(items.iter().map(|item| marked_in(item, job)).collect()),
        Value::Map(entries) => {
            let shown_again = entries.iter().filter(|(key, _)| *key != Value::key(super::SECRET));
            let is_job = !job && value.get(JOB_ID).is_some();
            let kept = |key: &Value, value: &Value| match value {
                Value::Text(text) if is_job && is_body(key) && text.len() > OWN_TEXT_MAX => {
                    Value::Tagged(BODY_TAG.into(), Box::new(Value::Nil))
                }
                other => marked_in(other, job || is_job),
            };
            Value::Map(shown_again.map(|(key, value)| (key.clone(), kept(key, value))).collect())
        }
        plain => plain.clone(),
    }
}

fn is_body(key: &Value) -> bool {
    matches!(key, Value::Keyword(name) if name == PAYLOAD || name == METADATA)
}

/// The answer with what its jobs were submitted with; without it where they are gone.
fn with_bodies(rows: &mut dyn Rows, answer: Value) -> engine::Result<Value> {
    let is_left_out = |value: &Value| matches!(value, Value::Tagged(tag, _) if tag == BODY_TAG);
    match answer {
        Value::Vector(items) => {
            let items = items.into_iter().map(|item| with_bodies(rows, item));
            Ok(Value::Vector(items.collect::<engine::Result<_>>()?))
        }
        Value::Map(entries) if entries.iter().any(|(_, value)| is_left_out(value)) => {
            let job_id = entries.iter().find(|(key, _)| *key == Value::key(JOB_ID)).and_then(|(_, id)| id.as_str());
            let job = job_id.map(|job_id| rows.job_by_id(job_id)).transpose()?.flatten();
            let body = job.map(|job| rows.body(job.seq, true)).transpose()?;
            let whole = |(key, value): (Value, Value)| {
                let text = match (&body, is_left_out(&value)) {
                    (_, false) => return Some((key, value)),
                    (Some(body), true) if key == Value::key(PAYLOAD) => body.payload.clone(),
                    (Some(body), true) => body.metadata.clone(),
                    (None, true) => None,
                };
                Some((key, Value::Text(text?)))
            };
            Ok(Value::Map(entries.into_iter().filter_map(whole).collect()))
        }
        Value::Map(entries) => {
            let entries = entries.into_iter().map(|(key, value)| Ok((key, with_bodies(rows, value)?)));
            Ok(Value::Map(entries.collect::<engine::Result<_>>()?))
        }
        plain => Ok(plain),
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
