//! Tables: rows that are appended or found by their key fields and changed, in a schema that grows with them.
//! It does not query them.

use super::kv::made;
use super::{At, Error, Result, TABLE, TABLE_CONTENT_TYPE, order, shortened, strings};
use crate::job::limits;
use crate::store::{Artifact, Cell, Resource, Table, TableRow, Text, Tx};
use crate::value::{MapBuilder, Value, edn};

/// How rows meet those that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Append,
    /// A row with the same key fields gets the new row's fields; its others stay.
    Upsert,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Mode::Append => "append",
            Mode::Upsert => "upsert",
        }
    }
}

/// A row to be stored: a map, and the same as EDN.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRow {
    pub fields: Value,
    pub text: Text,
}

/// Rows to be stored in a table of a job's.
#[derive(Clone, Debug)]
pub struct NewRows {
    pub label: String,
    /// Of the artifact.
    pub kind: String,
    pub content_type: Option<String>,
    /// The label where it is absent.
    pub table: Option<String>,
    pub mode: Mode,
    pub key_fields: Vec<String>,
    pub index_fields: Vec<String>,
    pub rows: Vec<NewRow>,
}

/// A table at work.
struct Writing<'a> {
    tx: &'a mut dyn Tx,
    resource: Resource,
    mode: Mode,
    key_fields: Vec<String>,
    index_fields: Vec<String>,
    fields: Vec<String>,
    row_count: i64,
}

/// Stores rows, in a table that is made where there is none yet; gives the artifact to be recorded.
pub fn put_rows(tx: &mut dyn Tx, at: &At, new: &NewRows) -> Result<Artifact> {
    let name = format!("job-{}-{}", at.job_id, new.table.as_deref().unwrap_or(&new.label));
    let mut writing = open(tx, at, &name, new)?;
    for (index, row) in new.rows.iter().enumerate() {
        writing.put(index, row)?;
    }
    let Writing { tx, mut resource, key_fields, index_fields, fields, row_count, .. } = writing;
    if row_count > limits::TABLE_ROWS_MAX {
        let max = limits::TABLE_ROWS_MAX;
        return Err(Error::TooLarge(format!(
            "table \"{name}\" would have {row_count} rows; at most {max} are allowed"
        )));
    }
    tx.put_table(
        resource.seq,
        &Table { key_fields: text(&key_fields), index_fields: text(&index_fields), fields: text(&fields), row_count },
    )?;
    resource.label = Some(new.label.clone());
    resource.content_type = new.content_type.clone().unwrap_or_else(|| TABLE_CONTENT_TYPE.into());
    resource.updated_at = at.wall_ms;
    tx.update_resource(&resource)?;
    let artifact = MapBuilder::new()
        .put("label", new.label.as_str())
        .put("kind", new.kind.as_str())
        .put("content-type", resource.content_type.as_str())
        .put("resource-uri", resource.uri())
        .put("table-id", resource.id.as_str())
        .put("table-name", name)
        .put("rows-written", new.rows.len() as i64)
        .put("row-count", row_count)
        .put("key-fields", strings(key_fields))
        .put("index-fields", strings(index_fields))
        .put("write-mode", new.mode.name())
        .build();
    Ok(Artifact { kind: new.kind.clone(), label: Some(new.label.clone()), artifact: edn::write(&artifact).into() })
}

fn open<'a>(tx: &'a mut dyn Tx, at: &At, name: &str, new: &NewRows) -> Result<Writing<'a>> {
    let known = tx.resource_by_name(at.workspace, TABLE, name)?;
    let (resource, table) = match known {
        Some(resource) => {
            let table = tx.table(resource.seq)?;
            (resource, table)
        }
        None => (made(tx, at, TABLE, name)?, None),
    };
    let (mut key_fields, mut index_fields, fields, row_count) = match table {
        Some(table) => (names(&table.key_fields), names(&table.index_fields), names(&table.fields), table.row_count),
        None => Default::default(),
    };
    if row_count == 0 && key_fields.is_empty() {
        key_fields.clone_from(&new.key_fields);
    } else if !new.key_fields.is_empty() && new.key_fields != key_fields {
        return Err(Error::Invalid(format!(
            "key fields {} are not those of table \"{name}\"; allowed: {}",
            shown(&new.key_fields),
            shown(&key_fields)
        )));
    }
    if new.mode == Mode::Upsert && key_fields.is_empty() {
        return Err(Error::Invalid(format!("table \"{name}\" has no key fields; an upsert needs some")));
    }
    let added: Vec<String> = (new.index_fields.iter()).filter(|field| !index_fields.contains(field)).cloned().collect();
    index_fields.extend(added.iter().cloned());
    if key_fields.len() + index_fields.len() > limits::TABLE_INDEXED_MAX {
        let (count, max) = (key_fields.len() + index_fields.len(), limits::TABLE_INDEXED_MAX);
        return Err(Error::Invalid(format!(
            "table \"{name}\" has {count} key and index fields; at most {max} are allowed"
        )));
    }
    let mut writing = Writing { tx, resource, mode: new.mode, key_fields, index_fields, fields, row_count };
    let added: Vec<String> = added.into_iter().filter(|field| !writing.key_fields.contains(field)).collect();
    if row_count > 0 && !added.is_empty() {
        writing.index_old_rows(name, &added)?;
    }
    Ok(writing)
}

impl Writing<'_> {
    fn put(&mut self, index: usize, new: &NewRow) -> Result<()> {
        self.learn(index, &new.fields)?;
        if self.key_fields.is_empty() {
            return self.insert(index, None, new);
        }
        let key = self.row_key(index, &new.fields)?;
        match self.mode {
            Mode::Append => self.insert(index, Some(key), new),
            Mode::Upsert => match self.tx.table_row_by_key(self.resource.seq, &key)? {
                Some(known) => self.change(index, &known, new),
                None => self.insert(index, Some(key), new),
            },
        }
    }

    /// Lets the schema grow.
    fn learn(&mut self, index: usize, row: &Value) -> Result<()> {
        for (key, _) in entries(row) {
            let name = field_name(key);
            if name.len() > limits::KEY_MAX {
                let (size, max) = (name.len(), limits::KEY_MAX);
                let shown = shortened(&name);
                return Err(Error::TooLarge(format!(
                    "rows {index} has a field \"{shown}\" whose name is {size} bytes; at most {max} are allowed"
                )));
            }
            if !self.fields.contains(&name) {
                self.fields.push(name);
            }
        }
        if self.fields.len() > limits::TABLE_FIELDS_MAX {
            let (count, max) = (self.fields.len(), limits::TABLE_FIELDS_MAX);
            return Err(Error::TooLarge(format!("table would have {count} fields; at most {max} are allowed")));
        }
        Ok(())
    }

    fn row_key(&self, index: usize, row: &Value) -> Result<Vec<u8>> {
        let mut keys = Vec::with_capacity(self.key_fields.len());
        for field in &self.key_fields {
            let value = field_value(row, field);
            if *value == Value::Nil && self.mode == Mode::Upsert {
                return Err(Error::Invalid(format!(
                    "rows {index} has no \"{field}\"; an upsert needs every key field"
                )));
            }
            keys.push(encoded(index, field, value)?);
        }
        Ok(order::joined(&keys))
    }

    fn insert(&mut self, index: usize, key: Option<Vec<u8>>, new: &NewRow) -> Result<()> {
        let row_seq = self.tx.insert_table_row(self.resource.seq, key.as_deref(), &new.text)?;
        self.row_count += 1;
        self.resource.size_bytes += new.text.len() as i64;
        let fields: Vec<String> = self.indexed().cloned().collect();
        self.insert_cells(index, &fields, row_seq, &new.fields)
    }

    fn change(&mut self, index: usize, known: &TableRow, new: &NewRow) -> Result<()> {
        let before = read(&known.row)?;
        let after = merged(&before, &new.fields);
        let text = edn::write(&after);
        if text.len() > limits::TABLE_ROW_MAX {
            let (size, max) = (text.len(), limits::TABLE_ROW_MAX);
            return Err(Error::TooLarge(format!(
                "rows {index} would be {size} bytes of EDN; at most {max} are allowed"
            )));
        }
        self.tx.update_table_row(known.row_seq, &text)?;
        self.resource.size_bytes += text.len() as i64 - known.row.len() as i64;
        let differs = |field: &&String| field_value(&before, field) != field_value(&after, field);
        let changed: Vec<String> = self.indexed().filter(differs).cloned().collect();
        for field in &changed {
            let value = order::key(field_value(&before, field));
            let cell = Cell { resource_seq: self.resource.seq, field, value: &value, row_seq: known.row_seq };
            self.tx.delete_cell(&cell)?;
        }
        self.insert_cells(index, &changed, known.row_seq, &after)
    }

    fn indexed(&self) -> impl Iterator<Item = &String> {
        let extra = self.index_fields.iter().filter(|field| !self.key_fields.contains(field));
        self.key_fields.iter().chain(extra)
    }

    fn insert_cells(&mut self, index: usize, fields: &[String], row_seq: i64, row: &Value) -> Result<()> {
        for field in fields {
            let value = encoded(index, field, field_value(row, field))?;
            let cell = Cell { resource_seq: self.resource.seq, field, value: &value, row_seq };
            self.tx.insert_cell(&cell)?;
        }
        Ok(())
    }

    /// Gives the rows that are there cells of fields that became index fields.
    fn index_old_rows(&mut self, name: &str, added: &[String]) -> Result<()> {
        if self.row_count > limits::TABLE_REINDEX_MAX {
            return Err(Error::Invalid(format!(
                "table \"{name}\" has {} rows; index fields can be added up to {}",
                self.row_count,
                limits::TABLE_REINDEX_MAX
            )));
        }
        let mut after = 0;
        loop {
            let page = self.tx.table_rows(self.resource.seq, after, 500)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.row_seq;
            for (index, row) in page.iter().enumerate() {
                self.insert_cells(index, added, row.row_seq, &read(&row.row)?)?;
            }
        }
    }
}

/// A row as a map.
pub(super) fn read(text: &str) -> Result<Value> {
    edn::read(text).map_err(|fault| crate::store::Error::Corrupt(format!("row is not EDN: {}", fault.message)).into())
}

fn entries(row: &Value) -> &[(Value, Value)] {
    match row {
        Value::Map(entries) => entries,
        _ => &[],
    }
}

/// What a key of a row is called: a keyword without its colon, a string as it is.
pub(super) fn field_name(key: &Value) -> String {
    match key {
        Value::Keyword(name) | Value::Symbol(name) => name.to_string(),
        Value::Str(text) => text.to_string(),
        other => edn::write(other),
    }
}

/// The value of a row in a field; nil where it has none.
pub(super) fn field_value<'a>(row: &'a Value, field: &str) -> &'a Value {
    let named = |key: &Value| match key {
        Value::Keyword(name) | Value::Symbol(name) => name == field,
        Value::Str(text) => **text == *field,
        other => edn::write(other) == field,
    };
    entries(row).iter().find(|(key, _)| named(key)).map_or(&Value::Nil, |(_, value)| value)
}

fn merged(before: &Value, new: &Value) -> Value {
    let mut all: Vec<(Value, Value)> = entries(before).to_vec();
    for (key, value) in entries(new) {
        let name = field_name(key);
        match all.iter_mut().find(|(known, _)| field_name(known) == name) {
            Some(entry) => entry.1 = value.clone(),
            None => all.push((key.clone(), value.clone())),
        }
    }
    Value::Map(all)
}

fn encoded(index: usize, field: &str, value: &Value) -> Result<Vec<u8>> {
    let key = order::key(value);
    if key.len() > limits::INDEXED_VALUE_MAX {
        let (size, max) = (key.len(), limits::INDEXED_VALUE_MAX);
        return Err(Error::TooLarge(format!(
            "rows {index} \"{field}\" is {size} bytes; at most {max} are allowed in a key or index field"
        )));
    }
    Ok(key)
}

/// The names in an EDN vector of texts.
pub fn names(text: &str) -> Vec<String> {
    match edn::read(text) {
        Ok(Value::Vector(items)) => items.iter().filter_map(Value::as_str).map(String::from).collect(),
        Ok(_) | Err(_) => Vec::new(),
    }
}

fn text(names: &[String]) -> Text {
    edn::write(&Value::Vector(strings(names.to_vec()))).into()
}

fn shown(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}
