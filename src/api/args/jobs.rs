//! The jobs of a batch as its caller gives them: maps of payload, metadata and attempts, within the bounds of a batch.
//! It does not store them.

use super::{Arg, Place, check, unknown_key};
use crate::api::error::Error;
use crate::api::field::{self, Field, Kind};
use crate::api::shown::kind_of;
use crate::api::spelling::Names;
use crate::engine::NewJob;
use crate::job::limits;
use crate::value::Value;

static BATCH_JOB: [Field; 3] = [
    Field { name: "payload", kind: Kind::Open(limits::PAYLOAD_MAX), required: false, doc: "" },
    Field { name: "metadata", kind: Kind::Open(limits::METADATA_MAX), required: false, doc: "" },
    Field { name: "max-attempts", kind: Kind::Int(1, limits::ATTEMPTS_MAX), required: false, doc: "" },
];

pub fn jobs(value: &Value, place: &Place) -> Result<Arg, Error> {
    let allowed = format!("allowed: 1 to {} maps of payload, metadata, max-attempts", limits::BATCH_JOBS_MAX);
    let (Value::Vector(items) | Value::List(items)) = value else {
        return Err(place.invalid(format!("is {}; {allowed}", kind_of(value))));
    };
    if items.is_empty() || items.len() > limits::BATCH_JOBS_MAX {
        return Err(place.invalid(format!("has {} jobs; {allowed}", items.len())));
    }
    let mut jobs = Vec::with_capacity(items.len());
    let mut bytes = 0;
    for (index, item) in items.iter().enumerate() {
        let job = batch_job(item, &place.index(index))?;
        bytes += job.payload.as_ref().map_or(2, |text| text.len()) + job.metadata.as_ref().map_or(0, |text| text.len());
        jobs.push(job);
    }
    if bytes > limits::BATCH_BYTES_MAX {
        return Err(place.too_large(bytes, limits::BATCH_BYTES_MAX));
    }
    Ok(Arg::Jobs(jobs))
}

fn batch_job(item: &Value, place: &Place) -> Result<NewJob, Error> {
    let Value::Map(entries) = item else {
        return Err(place.invalid(format!("is {}; allowed: a map of payload, metadata, max-attempts", kind_of(item))));
    };
    let mut job = NewJob::default();
    for (key, value) in entries {
        let Some(field) = field::named(&BATCH_JOB, key, place.names) else {
            if matches!((key, place.names), (Value::Keyword(name), Names::Clojure) if name.contains('/')) {
                continue;
            }
            return Err(unknown_key(place, key, BATCH_JOB.iter().map(|field| field.name)));
        };
        if matches!(value, Value::Nil) && field.name != "payload" {
            continue;
        }
        match (field.name, check(field.kind, value, &place.key(field.name))?) {
            ("payload", Arg::Open(text)) => job.payload = Some(text),
            ("metadata", Arg::Open(text)) => job.metadata = Some(text),
            (_, Arg::Int(int)) => job.max_attempts = Some(int),
            (name, _) => unreachable!("{name} is one of three fields"),
        }
    }
    Ok(job)
}
