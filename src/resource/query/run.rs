//! How a query is run: by an index where a condition or the order allows it, else row by row, within limits.
//! It does not know SQL.

use super::Query;
use crate::job::limits;
use crate::resource::table::{field_name, field_value, names, read};
use crate::resource::{Error, Result, order};
use crate::store::{Range, Rows, Text};
use crate::value::{Value, edn};
use std::cmp::Ordering;

/// Rows that are read at once.
const PAGE: i64 = 256;

/// Rows that were found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub rows: Vec<Text>,
    pub has_more: bool,
}

/// Where the rows come from.
enum Source {
    /// In the order of their coming.
    Rows,
    /// In the order of an indexed field, between two keys and then between the next two.
    Index { field: String, between: Vec<(Vec<u8>, Vec<u8>)>, down: bool },
}

/// The rows of a table that a query asks for.
pub fn run_query(rows: &mut dyn Rows, resource_seq: i64, query: &Query) -> Result<Found> {
    let Some(table) = rows.table(resource_seq)? else { return Ok(Found { rows: Vec::new(), has_more: false }) };
    let mut indexed = names(&table.key_fields);
    indexed.extend(names(&table.index_fields));
    let source = source(query, &indexed);
    let in_order = match (&source, query.sort.as_slice()) {
        (_, []) => true,
        (Source::Index { field, .. }, [(sorted, _)]) => field == sorted,
        (Source::Index { .. } | Source::Rows, _) => false,
    };
    let mut page = Page::new(query);
    if in_order {
        scan(rows, resource_seq, &source, |_, text| {
            // A row that nothing is asked of is not read: most of those before a deep offset are such.
            let row = if query.conditions.is_empty() { None } else { Some(read(text)?) };
            let holds = row.iter().all(|row| query.conditions.iter().all(|condition| condition.holds(row)));
            if holds { page.take(text, row) } else { Ok(true) }
        })?;
        return Ok(page.found());
    }
    for row_seq in sorted(rows, resource_seq, &source, query)?.into_iter().skip(query.offset as usize) {
        let Some(row) = rows.table_row(row_seq)? else { continue };
        if !page.add(&row.row, None)? {
            break;
        }
    }
    Ok(page.found())
}

fn source(query: &Query, indexed: &[String]) -> Source {
    let sort_field = query.sort.first().filter(|_| query.sort.len() == 1);
    let usable = query.conditions.iter().filter(|condition| indexed.contains(&condition.field));
    let bounded = usable.filter_map(|condition| Some((condition, condition.bounds()?)));
    let best = bounded.min_by_key(|(condition, _)| condition.weight());
    let down = |field: &str| sort_field.is_some_and(|(sorted, down)| *down && sorted == field);
    match (best, sort_field) {
        (Some((condition, mut between)), _) => {
            let down = down(&condition.field);
            if down {
                between.reverse();
            }
            Source::Index { field: condition.field.clone(), between, down }
        }
        (None, Some((field, down))) if indexed.contains(field) => {
            let between = vec![(Vec::new(), order::LAST.to_vec())];
            Source::Index { field: field.clone(), between, down: *down }
        }
        (None, _) => Source::Rows,
    }
}

/// Gives every row of the source to `each`, until that says that it has enough.
fn scan(
    rows: &mut dyn Rows,
    resource_seq: i64,
    source: &Source,
    mut each: impl FnMut(i64, &Text) -> Result<bool>,
) -> Result<()> {
    let Source::Index { field, between, down } = source else {
        let mut after = 0;
        return pages(|| {
            let page = rows.table_rows(resource_seq, after, PAGE)?;
            let count = page.len();
            for row in page {
                after = row.row_seq;
                if !each(row.row_seq, &row.row)? {
                    return Ok(None);
                }
            }
            Ok(Some(count))
        })
        .map(drop);
    };
    for (low, high) in between {
        let (bound, mut value, mut row_seq) =
            if *down { (low, high.clone(), i64::MAX) } else { (high, low.clone(), i64::MIN) };
        let whole = pages(|| {
            let after = (value.as_slice(), row_seq);
            let page = rows.table_range(&Range { resource_seq, field, after, bound, down: *down, limit: PAGE })?;
            let count = page.len();
            for (row, at) in page {
                (row_seq, value) = (row.row_seq, at);
                if !each(row_seq, &row.row)? {
                    return Ok(None);
                }
            }
            Ok(Some(count))
        })?;
        if !whole {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads pages, each of so many rows, up to the last one; false where one was enough before.
fn pages(mut page: impl FnMut() -> Result<Option<usize>>) -> Result<bool> {
    loop {
        match page()? {
            None => return Ok(false),
            Some(rows) if (rows as i64) < PAGE => return Ok(true),
            Some(_) => {}
        }
    }
}

/// The rows that fulfil the conditions, in the order that is asked for.
fn sorted(rows: &mut dyn Rows, resource_seq: i64, source: &Source, query: &Query) -> Result<Vec<i64>> {
    let mut found: Vec<(Vec<Vec<u8>>, i64)> = Vec::new();
    let mut bytes = 0;
    let too_many = |what: String| {
        let text = format!("sort has more than {what} to put in order; allowed: an index field, or a narrower where");
        Err(Error::Invalid(text))
    };
    scan(rows, resource_seq, source, |row_seq, text| {
        let row = read(text)?;
        if query.conditions.iter().all(|condition| condition.holds(&row)) {
            let keys: Vec<_> = query.sort.iter().map(|(field, _)| order::key(field_value(&row, field))).collect();
            bytes += keys.iter().map(Vec::len).sum::<usize>();
            found.push((keys, row_seq));
        }
        if found.len() > limits::QUERY_SORTED_MAX {
            return too_many(format!("{} rows", limits::QUERY_SORTED_MAX));
        }
        if bytes > limits::QUERY_SORTED_BYTES_MAX {
            return too_many(format!("{} bytes", limits::QUERY_SORTED_BYTES_MAX));
        }
        Ok(true)
    })?;
    let first_down = query.sort.first().is_some_and(|(_, down)| *down);
    found.sort_unstable_by(|(a, a_seq), (b, b_seq)| {
        let fields = query.sort.iter().zip(a.iter().zip(b));
        let order = fields.map(|((_, down), (a, b))| turned(a.cmp(b), *down)).find(|order| order.is_ne());
        order.unwrap_or_else(|| turned(a_seq.cmp(b_seq), first_down))
    });
    Ok(found.into_iter().map(|(_, row_seq)| row_seq).collect())
}

fn turned(order: Ordering, down: bool) -> Ordering {
    if down { order.reverse() } else { order }
}

/// A page that is being filled.
struct Page<'a> {
    query: &'a Query,
    skipped: i64,
    rows: Vec<Text>,
    bytes: usize,
    has_more: bool,
}

impl<'a> Page<'a> {
    fn new(query: &'a Query) -> Page<'a> {
        Page { query, skipped: 0, rows: Vec::new(), bytes: 0, has_more: false }
    }

    /// Takes a row that may still be before the offset; whether more are wanted.
    fn take(&mut self, text: &Text, row: Option<Value>) -> Result<bool> {
        if self.skipped < self.query.offset {
            self.skipped += 1;
            return Ok(true);
        }
        self.add(text, row)
    }

    /// Adds a row, if there is room; whether there is.
    fn add(&mut self, text: &Text, row: Option<Value>) -> Result<bool> {
        let text = match (&self.query.select, row) {
            (Some(fields), Some(row)) => selected(&row, fields),
            (Some(fields), None) => selected(&read(text)?, fields),
            (None, _) => text.clone(),
        };
        self.bytes += text.len();
        let full = self.rows.len() as i64 >= self.query.limit;
        if full || (self.bytes > limits::REPLY_BYTES_MAX / 2 && !self.rows.is_empty()) {
            self.has_more = true;
            return Ok(false);
        }
        self.rows.push(text);
        Ok(true)
    }

    fn found(self) -> Found {
        Found { rows: self.rows, has_more: self.has_more }
    }
}

fn selected(row: &Value, fields: &[String]) -> Text {
    let Value::Map(entries) = row else { return edn::write(row).into() };
    let kept = fields.iter().filter_map(|field| entries.iter().find(|(key, _)| field_name(key) == *field));
    edn::write(&Value::Map(kept.cloned().collect())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_values_are_each_looked_for_in_an_index_and_not_all_between_them() {
        let found = |sort: &str| {
            let query = Query::read(Some("[[:n :in [9000 7 9000]]]"), Some(sort)).expect("a query");
            match source(&query, &["n".into()]) {
                Source::Index { between, .. } => between,
                Source::Rows => Vec::new(),
            }
        };
        let at = |int: i64| (order::key(&Value::Int(int)), order::key(&Value::Int(int)));
        assert_eq!(found("[]"), [at(7), at(9000)]);
        assert_eq!(found("[[:n :desc]]"), [at(9000), at(7)]);
    }
}
