//! Muster.

pub mod domain;

pub mod actions;
