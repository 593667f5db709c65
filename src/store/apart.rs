//! Reading one part of a page so that its failure stays its own. A statement that fails spoils its whole transaction; a
//! part is read behind a savepoint, to which the transaction goes back.

use sqlx::{Connection, PgConnection, Postgres, Transaction};

use super::StoreError;

/// A part that could not be read, for a reason of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

/// Begins a part; read through what comes back, and end it with [`settle`].
pub async fn begin(conn: &mut PgConnection) -> Result<Transaction<'_, Postgres>, StoreError> {
    Ok(conn.begin().await?)
}

/// Ends a part. That the database is away is nobody's own failure and goes on up.
pub async fn settle<T>(
    part: Transaction<'_, Postgres>,
    name: &'static str,
    read: Result<T, StoreError>,
) -> Result<Result<T, Failed>, StoreError> {
    match read {
        Ok(found) => {
            part.commit().await?;
            Ok(Ok(found))
        }
        Err(error) if is_everybodys(&error) => Err(error),
        Err(error) => {
            part.rollback().await?;
            tracing::error!(
                part = name,
                error = &error as &dyn std::error::Error,
                "a part of a page could not be read"
            );
            Ok(Err(Failed))
        }
    }
}

/// A statement that took too long is the failure of its part, although another try may help.
fn is_everybodys(error: &StoreError) -> bool {
    let is_cancelled = match error {
        StoreError::Database(sqlx::Error::Database(error)) => error.code().as_deref() == Some("57014"),
        _ => false,
    };
    error.is_unavailable() && !is_cancelled
}
