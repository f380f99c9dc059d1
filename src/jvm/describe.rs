//! What Java is told about the engine: version, commands with their fields, step ops and error codes, as one value.
//! It does not run anything.

use crate::api::{CODES, COMMANDS, Command, Field, Kind, STEP_OPS};
use crate::value::{MapBuilder, Value};

/// `{:version :commands :step-ops :codes}`; commands are in the order in which they are called by index.
pub fn describe() -> Value {
    let codes = CODES.iter().map(|row| {
        MapBuilder::new()
            .put("code", row.name)
            .put("retry?", row.retry)
            .put("category", row.category)
            .put("doc", row.doc)
            .build()
    });
    let ops = STEP_OPS.iter().map(|op| {
        MapBuilder::new()
            .put("op", op.name)
            .put("command", op.command)
            .put("required", names(op.required))
            .put("optional", names(op.optional))
            .build()
    });
    MapBuilder::new()
        .put("version", env!("CARGO_PKG_VERSION"))
        .put("commands", COMMANDS.iter().map(command).collect::<Vec<_>>())
        .put("step-ops", ops.collect::<Vec<_>>())
        .put("codes", codes.collect::<Vec<_>>())
        .build()
}

fn command(command: &Command) -> Value {
    MapBuilder::new()
        .put("name", command.name)
        .put("doc", command.doc)
        .put("mutates?", command.mutates())
        .put("fields", command.fields.iter().map(field).collect::<Vec<_>>())
        .build()
}

fn field(field: &Field) -> Value {
    kind(field.kind, MapBuilder::new().put("name", field.name))
        .put("required?", field.required)
        .put("doc", field.doc)
        .build()
}

/// Adds the kind of a field by name, and its bounds.
fn kind(kind: Kind, to: MapBuilder) -> MapBuilder {
    let bytes = |max: usize| i64::try_from(max).unwrap_or(i64::MAX);
    match kind {
        Kind::Text(max) => to.put("kind", "text").put("max", bytes(max)),
        Kind::Message(max) => to.put("kind", "message").put("max", bytes(max)),
        Kind::JobType => to.put("kind", "job-type"),
        Kind::Int(min, max) => to.put("kind", "int").put("min", min).put("max", max),
        Kind::Millis(min, max) => to.put("kind", "duration").put("min", min).put("max", max),
        Kind::Bool => to.put("kind", "bool"),
        Kind::Word(words) => to.put("kind", "word").put("words", names(words)),
        Kind::Open(max) => to.put("kind", "open").put("max", bytes(max)),
        Kind::Labels(max) => to.put("kind", "labels").put("max", bytes(max)),
        Kind::Jobs => to.put("kind", "jobs"),
        Kind::Artifacts => to.put("kind", "artifacts"),
        Kind::Names(max) => to.put("kind", "names").put("max", bytes(max)),
        Kind::Rows(max) => to.put("kind", "open").put("max", bytes(max)),
        Kind::Keeps => to.put("kind", "durations"),
        Kind::Backoff => to.put("kind", "backoff"),
        Kind::Words(allowed) => to.put("kind", "words").put("words", names(allowed)),
        Kind::JobTypes => to.put("kind", "job-types"),
        Kind::Instant => to.put("kind", "instant"),
    }
}

fn names(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| Value::from(*name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_op_and_code_is_described() {
        let described = describe();
        for (key, count) in [("commands", COMMANDS.len()), ("step-ops", STEP_OPS.len()), ("codes", CODES.len())] {
            match described.get(key) {
                Some(Value::Vector(rows)) => assert_eq!(rows.len(), count, "{key}"),
                other => panic!("{key} is {other:?}"),
            }
        }
    }
}
