//! Carrying runbooks out: starting runs, driving them step by step, and taking people's decisions.

pub mod people;
pub mod start;
