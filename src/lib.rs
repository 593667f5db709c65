//! Muster.

pub mod clock;
pub mod store;
pub mod telemetry;
pub mod web;
