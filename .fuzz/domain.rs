//! The part of `src/domain` that the readers speak of.

#[path = "../src/domain/alert.rs"]
pub mod alert;
#[path = "../src/domain/labels.rs"]
pub mod labels;
