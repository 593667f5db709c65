//! Values by field, as texts: what was true before an act, and what is after it.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::digest::Digest;

/// The longest value that is kept as it is, in characters; of a longer one its beginning is kept, and a digest.
pub const VALUE_CHARS_MAX: usize = 500;

/// Values by field, as texts: what was true before an act, or is after it. Never a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fields(BTreeMap<String, String>);

impl Fields {
    /// These fields.
    pub fn of<const N: usize>(fields: [(&str, String); N]) -> Self {
        fields.into_iter().collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each field with its value, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// One value.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str)
    }

    /// Only those fields whose values differ, on both sides; a field that one side lacks stands there empty.
    pub fn difference(before: &Self, after: &Self) -> (Self, Self) {
        let names = before.0.keys().chain(after.0.keys());
        let differing = names.filter(|name| before.0.get(*name) != after.0.get(*name));
        let sides = differing.map(|name| {
            let side = |fields: &Self| (name.clone(), fields.0.get(name).cloned().unwrap_or_default());
            (side(before), side(after))
        });
        let (before, after): (BTreeMap<_, _>, BTreeMap<_, _>) = sides.unzip();
        (Self(before), Self(after))
    }
}

impl<'a> FromIterator<(&'a str, String)> for Fields {
    fn from_iter<I: IntoIterator<Item = (&'a str, String)>>(fields: I) -> Self {
        let kept = fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), keep(value)));
        Self(kept.collect())
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(
                f,
                "{comma}{name} {}",
                if value.is_empty() { "none" } else { value }
            )?;
        }
        Ok(())
    }
}

/// A value as it is kept: two long ones that differ still do.
fn keep(value: String) -> String {
    match value.char_indices().nth(VALUE_CHARS_MAX) {
        None => value,
        Some((at, _)) => format!(
            "{}… (sha256 {})",
            &value[..at],
            Digest::of_bytes(value.as_bytes()).short()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_and_still_told_apart() {
        let long = |last: &str| Fields::of([("mapping", "ä".repeat(VALUE_CHARS_MAX) + last)]);
        let (one, other) = (long("x"), long("y"));
        assert_ne!(one, other);
        assert!(one.get("mapping").unwrap().chars().count() < VALUE_CHARS_MAX + 40);
    }
}
