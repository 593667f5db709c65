//! Teams: made and taken away.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{RightsError, faulty, moved};
use crate::{
    domain::{
        audit::{Act, ActKind, Object},
        id::is_slug,
        operator::Operator,
    },
    store::{audit, teams},
};

/// Makes a team with nobody in it.
pub async fn make(
    conn: &mut PgConnection,
    name: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), RightsError> {
    let name = name.trim();
    if !is_slug(name) {
        return Err(faulty(
            "team",
            "a name has lower-case letters, digits and inner dashes, at most 63, like storage-eu",
        ));
    }
    if !teams::insert(conn, name, now).await? {
        return Err(moved("there is a team of that name; nothing was done"));
    }
    let act = Act::new(by.actor(), ActKind::TeamMade, Object::team(name), "");
    audit::insert(conn, &act, now).await?;
    Ok(())
}

/// Takes a team away; a runbook or gate that names it then means nobody by it.
pub async fn end(
    conn: &mut PgConnection,
    name: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), RightsError> {
    if !teams::delete(conn, name).await? {
        return Err(RightsError::NotFound("team"));
    }
    let act = Act::new(by.actor(), ActKind::TeamRemoved, Object::team(name), "");
    audit::insert(conn, &act, now).await?;
    Ok(())
}
