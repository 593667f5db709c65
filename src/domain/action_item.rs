//! Action items: how they stand, and what can be said of them.

use super::id::DrillId;

/// The longest text of one, in characters; the same as in the database.
pub const TEXT_CHARS_MAX: usize = 500;

/// How the night that an item demands to pass was played again since the item was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Played {
    /// This drill passed.
    Passed(DrillId),
    /// This drill, the newest, did not.
    Short {
        /// Which.
        drill: DrillId,
        /// What it fell short of first.
        why: String,
    },
    /// No drill of it counts.
    Never,
}

/// How an item stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemState {
    /// It is to be done.
    Open,
    /// It is done, and proven where it had to be.
    Done,
    /// It is not done any more.
    Dropped,
}

impl ItemState {
    const ALL: [ItemState; 3] = [Self::Open, Self::Done, Self::Dropped];

    /// Its name in the database and in forms.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::Dropped => "dropped",
        }
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for state in ItemState::ALL {
            assert_eq!(ItemState::named(state.name()), Some(state));
        }
        assert_eq!(ItemState::named("closed"), None);
    }
}
