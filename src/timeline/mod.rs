//! Reading the timeline back: times to acknowledge, mitigate and resolve, and the postmortem.

pub mod actions;
pub mod measure;
pub mod postmortem;
