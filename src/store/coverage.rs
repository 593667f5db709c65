//! What drills have exercised of runbooks, and how the items of versions stand by it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{StoreError, runbooks::Version};
use crate::domain::{
    coverage::{Coverage, Drilled, Item, Standing, items},
    id::{DrillId, RunId, VersionId},
    runbook::Runbook,
};

/// The runs of a drill with the versions they were pinned to, the oldest first, at most `limit`.
pub async fn runs(
    conn: &mut PgConnection,
    drill: DrillId,
    limit: i64,
) -> Result<Vec<(RunId, VersionId)>, StoreError> {
    let rows = sqlx::query!(
        "select r.id, r.version_id from runs r join incidents i on i.id = r.incident_id
         where i.drill_id = $1 order by r.id limit $2",
        drill.0,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (RunId(row.id), VersionId(row.version_id)))
        .collect())
}

/// Keeps what a drill has exercised of a version that ran in it. The drill is over; doing it twice comes to the same.
pub async fn insert(
    conn: &mut PgConnection,
    drill: DrillId,
    version: VersionId,
    exercised: &[&Item],
) -> Result<(), StoreError> {
    let keys: Vec<String> = exercised.iter().map(|item| item.key()).collect();
    let fingerprints: Vec<Vec<u8>> = exercised.iter().map(|item| item.fingerprint.0.to_vec()).collect();
    sqlx::query!(
        "insert into drill_coverage (drill_id, version_id, item, fingerprint)
         select $1, $2, n.item, n.fingerprint from unnest($3::text[], $4::bytea[]) as n (item, fingerprint)
         on conflict (drill_id, version_id, item) do nothing",
        drill.0,
        version.0,
        &keys,
        &fingerprints
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What a drill that is over has exercised: versions with the keys of their items.
pub async fn of_drill(
    conn: &mut PgConnection,
    drill: DrillId,
) -> Result<Vec<(VersionId, String)>, StoreError> {
    let rows = sqlx::query!(
        "select version_id, item from drill_coverage where drill_id = $1 order by version_id, item",
        drill.0
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (VersionId(row.version_id), row.item))
        .collect())
}

/// The drill before which a coverage is asked for, and when that ended.
pub type Before = (DateTime<Utc>, DrillId);

/// How the items of these runbooks stand, each with the row of its runbook; by all drills, or by those before one.
pub async fn list(
    conn: &mut PgConnection,
    of: &[(i64, &Runbook)],
    before: Option<Before>,
) -> Result<Vec<Coverage>, StoreError> {
    let all: Vec<(i64, Vec<Item>)> = of
        .iter()
        .map(|(runbook_id, runbook)| (*runbook_id, items(runbook)))
        .collect();
    let (mut runbooks, mut keys, mut fingerprints) = (Vec::new(), Vec::new(), Vec::new());
    for (runbook_id, items) in &all {
        for item in items {
            runbooks.push(*runbook_id);
            keys.push(item.key());
            fingerprints.push(item.fingerprint.0.to_vec());
        }
    }
    // The second look is only made where the first found nothing; each is one step down an index.
    let rows = sqlx::query!(
        r#"select coalesce(same.drill_id, other.drill_id) as drill, coalesce(same.number, other.number) as number,
                  coalesce(same.at, other.at) as at, same.drill_id is not null as "is_same!"
           from unnest($1::bigint[], $2::text[], $3::bytea[]) with ordinality as k (runbook_id, item, fingerprint, ord)
           left join lateral (
               select c.drill_id, c.at, v.number from drill_coverage c join runbook_versions v on v.id = c.version_id
               where c.runbook_id = k.runbook_id and c.item = k.item and c.fingerprint = k.fingerprint
                     and ($4::timestamptz is null or (c.at, c.drill_id) < ($4, $5::bigint))
               order by c.at desc, c.drill_id desc limit 1) same on true
           left join lateral (
               select c.drill_id, c.at, v.number from drill_coverage c join runbook_versions v on v.id = c.version_id
               where same.drill_id is null and c.runbook_id = k.runbook_id and c.item = k.item
                     and ($4::timestamptz is null or (c.at, c.drill_id) < ($4, $5::bigint))
               order by c.at desc, c.drill_id desc limit 1) other on true
           order by k.ord"#,
        &runbooks,
        &keys,
        &fingerprints,
        before.map(|(at, _)| at),
        before.map(|(_, drill)| drill.0)
    )
    .fetch_all(conn)
    .await?;
    let mut standings = rows.into_iter().map(|row| match (row.drill, row.number, row.at) {
        (Some(drill), Some(number), Some(at)) => {
            let drill = DrillId(drill);
            let drilled = Drilled { drill, number, at };
            match row.is_same {
                true => Standing::Covered(drilled),
                false => Standing::Undrilled(drilled),
            }
        }
        _ => Standing::Never,
    });
    Ok(all
        .into_iter()
        .map(|(_, items)| Coverage {
            lines: items.into_iter().zip(standings.by_ref()).collect(),
        })
        .collect())
}

/// The coverage of one version.
pub async fn find(conn: &mut PgConnection, version: &Version) -> Result<Coverage, StoreError> {
    let found = list(conn, &[(version.runbook_id, &version.runbook)], None).await?;
    Ok(found.into_iter().next().unwrap_or_default())
}
