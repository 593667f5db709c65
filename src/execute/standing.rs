//! placeholder
use chrono::{DateTime, Utc};
use sqlx::PgPool;
/// stand-in
#[derive(Clone, Debug)]
pub struct Standing;
/// stand-in
pub struct Held {
    /// why
    pub reason: String,
}
impl Standing {
    /// x
    pub fn pause(&self) -> Option<()> {
        None
    }
    /// x
    pub async fn admit(&self, _: &PgPool, _: &str, _: DateTime<Utc>) -> Result<(), Held> {
        Ok(())
    }
}
