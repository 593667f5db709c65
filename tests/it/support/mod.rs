//! What many tests share: a database of their own, an intake to post to, and readings of what came of it.

pub mod database;
pub mod intake;
