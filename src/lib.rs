//! Muster.

pub mod clock;
pub mod domain;

pub mod store;

pub mod correlate;
pub mod execute;
pub mod incident;
pub mod intake;
pub mod matching;

pub mod pipeline;

pub mod web;

pub mod telemetry;
