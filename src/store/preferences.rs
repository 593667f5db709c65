//! How each person wants their pages.

use sqlx::PgConnection;

use super::StoreError;
use crate::domain::{
    id::OperatorId,
    preferences::{Clocks, Keys, Preferences, TextSize, Theme},
};

/// What a person chose; everything as it comes when they chose nothing.
pub async fn find(conn: &mut PgConnection, operator: OperatorId) -> Result<Preferences, StoreError> {
    let Some(row) = sqlx::query!(
        "select theme, text_size, keys, clock from preferences where operator_id = $1",
        operator.0
    )
    .fetch_optional(conn)
    .await?
    else {
        return Ok(Preferences::default());
    };
    let corrupt = |column, detail: &str| StoreError::corrupt("preferences", column, detail);
    let size = row.text_size.to_string();
    Ok(Preferences {
        theme: Theme::named(&row.theme).ok_or_else(|| corrupt("theme", &row.theme))?,
        text: TextSize::named(&size).ok_or_else(|| corrupt("text_size", &size))?,
        keys: Keys::named(&row.keys).ok_or_else(|| corrupt("keys", &row.keys))?,
        clocks: Clocks::named(&row.clock).ok_or_else(|| corrupt("clock", &row.clock))?,
    })
}

/// Keeps what a person chose.
pub async fn set(
    conn: &mut PgConnection,
    operator: OperatorId,
    chosen: Preferences,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into preferences (operator_id, theme, text_size, keys, clock) values ($1, $2, $3, $4, $5)
         on conflict (operator_id) do update
         set theme = excluded.theme, text_size = excluded.text_size, keys = excluded.keys, clock = excluded.clock",
        operator.0,
        chosen.theme.name(),
        chosen.text.percent(),
        chosen.keys.name(),
        chosen.clocks.name()
    )
    .execute(conn)
    .await?;
    Ok(())
}
