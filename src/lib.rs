//! Muster.

pub mod correlate;
pub mod domain;
pub mod execute;
pub mod incident;
pub mod intake;
pub mod matching;
pub mod pipeline;
pub mod store;
