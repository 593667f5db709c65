//! What one drill has added to the coverage of a runbook.

use std::collections::BTreeSet;

use super::{Coverage, Item, Standing};

/// What one drill has added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gain {
    /// The runbook's name.
    pub slug: String,
    /// Number of the version that ran, or of the one in use when none did.
    pub number: i32,
    /// Items that no drill had exercised as they are.
    pub first: Vec<Item>,
    /// Items that one before had exercised.
    pub again: Vec<Item>,
    /// Items that are covered by drills before it only.
    pub kept: Vec<Item>,
    /// Items that are not covered yet.
    pub left: Vec<Item>,
}

impl Gain {
    /// Items that this drill has exercised.
    pub fn exercised(&self) -> usize {
        self.first.len() + self.again.len()
    }

    /// All items of the version.
    pub fn of(&self) -> usize {
        self.exercised() + self.kept.len() + self.left.len()
    }
}

/// What a drill that exercised `keys` has added to what was covered before it.
pub fn gain(slug: &str, number: i32, before: Coverage, keys: &BTreeSet<String>) -> Gain {
    let mut gain = Gain {
        slug: slug.to_owned(),
        number,
        ..Gain::default()
    };
    for (item, standing) in before.lines {
        let is_covered = matches!(standing, Standing::Covered(_));
        match (keys.contains(&item.key()), is_covered) {
            (true, false) => gain.first.push(item),
            (true, true) => gain.again.push(item),
            (false, true) => gain.kept.push(item),
            (false, false) => gain.left.push(item),
        }
    }
    gain
}
