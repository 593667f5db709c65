//! The audit as a whole: who decided what, and whether anybody has changed the record of it.
//!
//! Decisions about an incident stand in its timeline, all others in the audit proper; each is a chain in which every row
//! holds a hash over itself and the row before. A chain shows that a row was changed, moved or taken out of its middle.
//! That the end of a timeline, or a whole incident, was taken away is shown by *marks*: every minute the audit notes where
//! the timelines stand that have moved. That the end of the audit itself was cut can only be seen by who has kept a copy
//! of its last hash elsewhere, which is why `muster audit verify` prints it.

pub mod check;
pub mod export;
pub mod list;
pub mod mark;
