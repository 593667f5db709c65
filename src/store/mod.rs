//! The door to Postgres.

pub mod embedded;
pub mod migrate;
pub mod pool;
