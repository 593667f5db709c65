//! Rows of an answer as columns with types, which the values themselves say.

use serde_json::Value;

/// The most columns a row can have.
const COLUMNS_MAX: usize = 1600;
/// What a text is called, which is also what nothing but nulls counts as.
pub(super) const TEXT: u32 = 25;
/// Types whose binary form is their text.
pub(super) const IS_TEXT: [u32; 4] = [0, TEXT, 1042, 1043];

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Bool,
    Int,
    Float,
    Text,
    Json,
}

impl Kind {
    pub(super) fn oid(self) -> u32 {
        match self {
            Self::Bool => 16,
            Self::Int => 20,
            Self::Float => 701,
            Self::Text => TEXT,
            Self::Json => 114,
        }
    }

    /// `None` for null, which any column can hold.
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Null => None,
            Value::Bool(_) => Some(Self::Bool),
            Value::Number(number) if number.is_i64() => Some(Self::Int),
            Value::Number(_) => Some(Self::Float),
            Value::String(_) => Some(Self::Text),
            Value::Array(_) | Value::Object(_) => Some(Self::Json),
        }
    }

    /// What holds both.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (one, other) if one == other => one,
            (Self::Int, Self::Float) | (Self::Float, Self::Int) => Self::Float,
            _ => Self::Json,
        }
    }
}

pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// Columns and rows of the same length.
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<Value>>,
}

impl Table {
    /// The first row says which columns there are; what another has no value for is null there.
    pub(super) fn of(rows: Vec<Vec<(String, Value)>>) -> Self {
        let first = rows.first().into_iter().flatten().take(COLUMNS_MAX);
        let names: Vec<String> = first.map(|(name, _)| name.clone()).collect();
        let rows: Vec<Vec<Value>> = rows.into_iter().map(|row| in_order(&names, row)).collect();
        let columns = names.into_iter().enumerate().map(|(n, name)| Column {
            name,
            kind: rows
                .iter()
                .filter_map(|row| Kind::of(&row[n]))
                .reduce(Kind::and)
                .unwrap_or(Kind::Text),
        });
        Self {
            columns: columns.collect(),
            rows,
        }
    }
}

/// The values under these names; one that comes twice gives its values in turn.
fn in_order(names: &[String], mut row: Vec<(String, Value)>) -> Vec<Value> {
    let mut take = |name: &String| {
        let at = row.iter().position(|(other, _)| other == name)?;
        Some(row.remove(at).1)
    };
    names.iter().map(|name| take(name).unwrap_or_default()).collect()
}

/// The value as its column sends it; `None` for null.
pub(super) fn encode(kind: Kind, value: &Value, is_binary: bool) -> Option<Vec<u8>> {
    let is_null = value.is_null();
    let bytes = match (kind, value) {
        (Kind::Bool, Value::Bool(is)) if is_binary => vec![u8::from(*is)],
        (Kind::Bool, Value::Bool(is)) => vec![if *is { b't' } else { b'f' }],
        (Kind::Int, value) if is_binary => value.as_i64().unwrap_or_default().to_be_bytes().to_vec(),
        (Kind::Float, value) if is_binary => value.as_f64().unwrap_or_default().to_be_bytes().to_vec(),
        // No text of Postgres holds NUL.
        (Kind::Text, Value::String(text)) => text.bytes().filter(|byte| *byte != 0).collect(),
        (_, value) => value.to_string().into_bytes(),
    };
    (!is_null).then_some(bytes)
}
