//! Muster.

pub mod domain;
pub mod execute;
pub mod incident;
pub mod store;
