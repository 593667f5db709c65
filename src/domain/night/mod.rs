//! A real incident as it is kept, to be played again as a drill, and how the two compare.

mod compare;
mod record;

pub use compare::{Choice, Compared, GateRow, Side, TimeRow, compare};
pub use record::{Answered, Asking, FiredAlert, Night};

/// What a scenario that plays an incident again is called.
pub fn slug(incident: super::id::IncidentId) -> String {
    format!("inc-{incident}")
}
