//! A look at a whole store: its rows by the store's own laws, and the bytes of its files. It reads only, beside whoever
//! has the store open, and is asked of a path: keys belong to workspaces, and this tells of all.

use super::error::Error;
use super::remembered;
use crate::engine;
use crate::resource::{self, Blobs};
use crate::store::{self, Checked, Depth, Fault, Faults, Reading};
use crate::value::{MapBuilder, Value};
use std::path::Path;
use std::time::Duration;

const BYTES: &str = "the bytes of a file are there, as many as its resource says, and have its hash";
/// Files that are looked up at once.
const PAGE: i64 = 1000;
/// Orphans that are named; the others are only counted.
const NAMED_MAX: usize = 3;

/// How a store is looked at.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// Every text and every byte of a file is read.
    pub deep: bool,
    /// How many faults of one kind are told.
    pub told_max: usize,
    pub busy_timeout: Duration,
}

impl Default for CheckOptions {
    fn default() -> CheckOptions {
        CheckOptions { deep: false, told_max: 100, busy_timeout: Duration::from_secs(30) }
    }
}

/// What was found.
pub struct Report {
    pub whole: bool,
    /// `{:path :whole? :schema :jobs :batches :resources :faults :fault-count :notes}`
    pub data: Value,
    /// The first fault as a sentence.
    pub first: Option<String>,
}

/// Looks at the store at `path`.
pub fn check(path: &Path, options: &CheckOptions) -> Result<Report, Error> {
    match Reading::open(path, options.busy_timeout) {
        Ok(reading) => look(&reading, options, true),
        Err(store::Error::Corrupt(found)) => Ok(unreadable(path, found)),
        Err(error) => Err(error.into()),
    }
}

/// The report on a file that is broken where everything begins.
fn unreadable(path: &Path, found: String) -> Report {
    let mut faults = Faults::default();
    let expected = "a file that can be read".into();
    let (table, row) = (String::new(), String::new());
    faults.add(Fault { law: "integrity", says: "the file is whole", table, row, found, expected }, 1);
    report(path, &Checked { faults, ..Checked::default() }, Vec::new())
}

/// As `check`, without the bytes of files.
pub(super) fn check_rows(reading: &Reading) -> Result<Report, Error> {
    look(reading, &CheckOptions::default(), false)
}

fn look(reading: &Reading, options: &CheckOptions, bytes_too: bool) -> Result<Report, Error> {
    let mut checked = match reading.check(Depth { deep: options.deep, told_max: options.told_max }) {
        Ok(checked) => checked,
        Err(store::Error::Corrupt(found)) => return Ok(unreadable(reading.path(), found)),
        Err(error) => return Err(error.into()),
    };
    let mut notes = Vec::new();
    if checked.current && bytes_too {
        // Of a store that cannot be read this would say the same once more.
        if let Ok(blobs) = remembered::blobs_of(reading) {
            bytes(reading, &blobs, options, &mut checked.faults)?;
            orphans(reading, &blobs, &mut notes)?;
        }
    }
    if !checked.current {
        notes.push(format!(
            "schema {} is older than this program's: its rows are looked at once this program has opened it",
            checked.schema
        ));
    }
    Ok(report(reading.path(), &checked, notes))
}

fn report(path: &Path, checked: &Checked, notes: Vec<String>) -> Report {
    let faults = &checked.faults;
    let data = MapBuilder::new()
        .put("path", path.display().to_string())
        .put("whole?", faults.count == 0)
        .put("schema", checked.schema as i64)
        .put("jobs", checked.jobs)
        .put("batches", checked.batches)
        .put("resources", checked.resources)
        .put("fault-count", i64::try_from(faults.count).unwrap_or(i64::MAX))
        .put("faults", faults.told.iter().map(fault_value).collect::<Vec<_>>())
        .put("notes", notes.into_iter().map(Value::from).collect::<Vec<_>>());
    Report { whole: faults.count == 0, data: data.build(), first: faults.told.first().map(sentence) }
}

fn fault_value(fault: &Fault) -> Value {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    MapBuilder::new()
        .put("law", fault.law)
        .put("says", fault.says)
        .put_some("table", text(&fault.table))
        .put_some("row", text(&fault.row))
        .put("found", fault.found.as_str())
        .put("expected", fault.expected.as_str())
        .build()
}

fn sentence(fault: &Fault) -> String {
    let at = [fault.table.as_str(), fault.row.as_str()].into_iter().filter(|word| !word.is_empty());
    let at = at.collect::<Vec<_>>().join(" ");
    let at = if at.is_empty() { at } else { format!("{at}: ") };
    format!("{at}{}; expected: {}", fault.found, fault.expected)
}

/// Looks for the bytes of every file.
fn bytes(reading: &Reading, blobs: &Blobs, options: &CheckOptions, faults: &mut Faults) -> Result<(), Error> {
    let mut after = (String::new(), i64::MIN);
    let mut known: Option<(String, Option<u64>, String)> = None;
    loop {
        let page = match reading.files((&after.0, after.1), PAGE) {
            Ok(page) => page,
            // The rows were told to be broken.
            Err(_) if faults.count > 0 => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let Some((seq, hash, _)) = page.last() else { return Ok(()) };
        after = (hash.clone(), *seq);
        for (seq, hash, size) in page {
            if known.as_ref().is_none_or(|(looked_at, ..)| *looked_at != hash) {
                let there = match blobs.size(&hash) {
                    Ok(there) => there,
                    // What is no hash was told.
                    Err(resource::Error::Store(_)) => continue,
                    Err(error) => return Err(trouble(error)),
                };
                let digest = match there {
                    Some(there) if options.deep => blobs.digest(&hash, there).map_err(trouble)?,
                    _ => hash.clone(),
                };
                known = Some((hash.clone(), there, digest));
            }
            let Some((_, there, digest)) = &known else { continue };
            let expected = format!("{size} bytes with hash {hash}");
            let found = match there {
                Some(there) if i64::try_from(*there) != Ok(size) => format!("{there} bytes"),
                Some(_) if *digest != hash => format!("bytes with hash {digest}"),
                Some(_) => continue,
                None => format!("no bytes in {}", blobs.place()),
            };
            // What was removed or replaced meanwhile needs none.
            if reading.files((&hash, seq - 1), 1)?.first() == Some(&(seq, hash, size)) {
                let fault = Fault {
                    law: "bytes",
                    says: BYTES,
                    table: "resource".into(),
                    row: seq.to_string(),
                    found,
                    expected,
                };
                faults.add(fault, options.told_max);
            }
        }
    }
}

/// Notes bytes that no resource has: of uploads under way, or left behind, to be removed by and by.
fn orphans(reading: &Reading, blobs: &Blobs, notes: &mut Vec<String>) -> Result<(), Error> {
    let (mut count, mut size, mut named) = (0u64, 0u64, Vec::new());
    let listed = blobs.each(|hash, bytes| {
        let used = reading.files((hash, i64::MIN), 1)?.first().is_some_and(|(_, found, _)| found == hash);
        if !used {
            (count, size) = (count + 1, size + bytes);
            if named.len() < NAMED_MAX {
                named.push(hash.to_owned());
            }
        }
        Ok(())
    });
    listed.map_err(trouble)?;
    if count > 0 {
        let more = if count as usize > named.len() { ", …" } else { "" };
        let (place, named) = (blobs.place(), named.join(", "));
        notes.push(format!("{count} files in {place} ({size} bytes) belong to no resource: {named}{more}"));
    }
    Ok(())
}

pub(super) fn trouble(error: resource::Error) -> Error {
    engine::Error::from(error).into()
}
