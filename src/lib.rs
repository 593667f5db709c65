//! Muster.

pub mod domain;
