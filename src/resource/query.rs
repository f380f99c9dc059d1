//! Queries of a table as they are asked: conditions and an order, read from a caller's data, and which rows fulfil them.
//! It does not know where the rows come from: `query/run.rs` does.

mod run;

pub use run::{Found, run_query};

use super::table::{field_name, field_value};
use super::{Error, Result, order};
use crate::job::limits;
use crate::value::{Value, edn};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// What of a table is wanted.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Fields to give; all where absent.
    pub select: Option<Vec<String>>,
    /// All of these have to hold.
    pub conditions: Vec<Condition>,
    /// Fields in the order of their weight, and whether they go down.
    pub sort: Vec<(String, bool)>,
    pub limit: i64,
    pub offset: i64,
}

/// What has to hold for a field.
#[derive(Clone, Debug)]
pub struct Condition {
    field: String,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Is(Vec<u8>),
    IsNot(Vec<u8>),
    /// Compares as one of these, with a value of the same class.
    Compares(&'static [Ordering], Vec<u8>),
    In(Vec<Vec<u8>>),
    Contains(Value),
}

impl Query {
    /// Reads `where` as `[["field" "=" value] …]` and `sort` as `[["field" "desc"] …]`, both as EDN.
    pub fn read(conditions: Option<&str>, sort: Option<&str>) -> Result<Query> {
        let conditions = items("where", conditions, "[field, =, value]")?;
        if conditions.len() > limits::QUERY_FILTERS_MAX {
            let (count, max) = (conditions.len(), limits::QUERY_FILTERS_MAX);
            return Err(Error::Invalid(format!("where has {count} conditions; at most {max} are allowed")));
        }
        let sort = items("sort", sort, "[field, desc]")?;
        if sort.len() > limits::TABLE_INDEXED_MAX {
            let (count, max) = (sort.len(), limits::TABLE_INDEXED_MAX);
            return Err(Error::Invalid(format!("sort has {count} fields; at most {max} are allowed")));
        }
        let conditions = conditions.iter().enumerate().map(|(index, item)| condition(index, item));
        let sort = sort.iter().enumerate().map(|(index, item)| sorting(index, item));
        Ok(Query {
            conditions: conditions.collect::<Result<_>>()?,
            sort: sort.collect::<Result<_>>()?,
            ..Query::default()
        })
    }
}

/// The items of a vector that stands under `what`; one item of texts alone counts as one.
fn items(what: &str, text: Option<&str>, allowed: &str) -> Result<Vec<Value>> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let wrong = || Error::Invalid(format!("{what} is not a vector of {allowed} vectors"));
    match edn::read(text).map_err(|_| wrong())? {
        Value::Nil => Ok(Vec::new()),
        Value::Vector(items) | Value::List(items) => match items.first() {
            Some(first) if name(first).is_some() => Ok(vec![Value::Vector(items)]),
            Some(_) | None => Ok(items),
        },
        _ => Err(wrong()),
    }
}

/// A field's name or an operator, as text, a keyword or a symbol.
fn name(value: &Value) -> Option<String> {
    matches!(value, Value::Str(_) | Value::Keyword(_) | Value::Symbol(_)).then(|| field_name(value))
}

fn condition(index: usize, item: &Value) -> Result<Condition> {
    const ALLOWED: &str = "=, !=, <, <=, >, >=, in, contains";
    let parts = match item {
        Value::Vector(parts) | Value::List(parts) => parts.as_slice(),
        _ => &[],
    };
    let [field, op, value] = parts else {
        return Err(Error::Invalid(format!("where {index} is not a vector of field, operator and value")));
    };
    let (Some(field), Some(op)) = (name(field), name(op)) else {
        return Err(Error::Invalid(format!("where {index} has a field or operator that is not text")));
    };
    let key = || order::key(value);
    let test = match op.as_str() {
        "=" => Test::Is(key()),
        "!=" | "not=" => Test::IsNot(key()),
        "<" => Test::Compares(&[Ordering::Less], key()),
        "<=" => Test::Compares(&[Ordering::Less, Ordering::Equal], key()),
        ">" => Test::Compares(&[Ordering::Greater], key()),
        ">=" => Test::Compares(&[Ordering::Greater, Ordering::Equal], key()),
        "in" => match value {
            Value::Vector(any) | Value::List(any) | Value::Set(any) => Test::In(any.iter().map(order::key).collect()),
            _ => return Err(Error::Invalid(format!("where {index} has \"in\" without a vector of values"))),
        },
        "contains" => Test::Contains(value.clone()),
        other => {
            return Err(Error::Invalid(format!(
                "where {index} has the operator \"{}\"; allowed: {ALLOWED}",
                super::shortened(other)
            )));
        }
    };
    Ok(Condition { field, test })
}

fn sorting(index: usize, item: &Value) -> Result<(String, bool)> {
    let parts = match item {
        Value::Vector(parts) | Value::List(parts) => parts.as_slice(),
        lone => std::slice::from_ref(lone),
    };
    let field = parts.first().and_then(name);
    let way = parts.get(1).map_or(Some("asc".into()), name);
    match (field, way.as_deref(), parts.len()) {
        (Some(field), Some("asc"), 1 | 2) => Ok((field, false)),
        (Some(field), Some("desc"), 2) => Ok((field, true)),
        _ => Err(Error::Invalid(format!("sort {index} is not a vector of a field and \"asc\" or \"desc\""))),
    }
}

impl Condition {
    fn holds(&self, row: &Value) -> bool {
        let value = field_value(row, &self.field);
        match &self.test {
            Test::Contains(part) => contains(value, part),
            Test::Is(key) => order::key(value) == *key,
            Test::IsNot(key) => order::key(value) != *key,
            Test::In(keys) => keys.contains(&order::key(value)),
            Test::Compares(allowed, key) => {
                let given = order::key(value);
                order::comparable(&given, key) && allowed.contains(&given.cmp(key))
            }
        }
    }

    /// The keys between which everything is that can fulfil this, in their order; nothing where that is everything.
    fn bounds(&self) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        match &self.test {
            Test::Is(key) => Some(vec![(key.clone(), key.clone())]),
            Test::In(keys) => {
                let keys: BTreeSet<_> = keys.iter().cloned().collect();
                Some(keys.into_iter().map(|key| (key.clone(), key)).collect())
            }
            Test::Compares(allowed, key) => {
                let (low, high) = order::class_bounds(key);
                Some(vec![if allowed.contains(&Ordering::Less) { (low, key.clone()) } else { (key.clone(), high) }])
            }
            Test::IsNot(_) | Test::Contains(_) => None,
        }
    }

    /// How much better an index helps with this than with others: lower is better.
    fn weight(&self) -> u8 {
        match self.test {
            Test::Is(_) => 0,
            Test::In(_) => 1,
            Test::Compares(..) => 2,
            Test::IsNot(_) | Test::Contains(_) => 3,
        }
    }
}

/// Whether a text has the part in it, or a collection the element.
fn contains(value: &Value, part: &Value) -> bool {
    match value {
        Value::Vector(items) | Value::List(items) | Value::Set(items) => {
            let part = order::key(part);
            items.iter().any(|item| order::key(item) == part)
        }
        _ => match (order::text(&order::key(value)), order::text(&order::key(part))) {
            (Some(text), Some(part)) => part.is_empty() || text.windows(part.len()).any(|window| window == part),
            _ => false,
        },
    }
}
