//! Proposals: versions that wait until others have looked at them.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::{StoreError, operators};
use crate::domain::{
    access::{Access, may_publish},
    digest::Digest,
    id::{OperatorId, ProposalId, VersionId},
    operator::Operator,
    proposal::ProposalState,
    runbook::Runbook,
};

/// Proposals that are listed: as many as there are runbooks.
const LISTED_MAX: i64 = 500;

/// A version to be looked at.
#[derive(Clone, Copy, Debug)]
pub struct NewProposal<'a> {
    /// Of which runbook, whose row is locked.
    pub runbook_id: i64,
    /// What it says.
    pub runbook: &'a Runbook,
    /// As written.
    pub source: &'a str,
    /// Where it comes from.
    pub origin: &'a str,
    /// Who proposes it; nobody, for the folder.
    pub by: Option<OperatorId>,
    /// What they say with it.
    pub note: &'a str,
}

/// A proposal as it is kept.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// Its number.
    pub id: ProposalId,
    /// Of which runbook.
    pub runbook_id: i64,
    /// SHA-256 of its source.
    pub digest: Digest,
    /// As written.
    pub source: String,
    /// What it says.
    pub runbook: Runbook,
    /// Where it comes from.
    pub origin: String,
    /// Who proposes it; nobody, for the folder.
    pub by: Option<OperatorId>,
    /// What they are called.
    pub by_name: Option<String>,
    /// What they say with it.
    pub note: String,
    /// When they did.
    pub proposed_at: DateTime<Utc>,
    /// Where it stands.
    pub state: ProposalState,
    /// When it was settled.
    pub settled_at: Option<DateTime<Utc>>,
    /// Who settled it.
    pub settled_by_name: Option<String>,
    /// What was said with that.
    pub word: String,
    /// Number of the version it became.
    pub number: Option<i32>,
}

struct Row {
    id: i64,
    runbook_id: i64,
    digest: Vec<u8>,
    source: String,
    definition: Value,
    origin: String,
    proposed_by: Option<i64>,
    by_name: Option<String>,
    note: String,
    proposed_at: DateTime<Utc>,
    state: String,
    settled_at: Option<DateTime<Utc>>,
    settled_by_name: Option<String>,
    word: String,
    number: Option<i32>,
}

impl TryFrom<Row> for Proposal {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: ProposalId(row.id),
            runbook_id: row.runbook_id,
            digest: Digest::from_slice(&row.digest)
                .ok_or_else(|| StoreError::corrupt("proposals", "digest", "not 32 bytes"))?,
            source: row.source,
            runbook: serde_json::from_value(row.definition)
                .map_err(|error| StoreError::corrupt("proposals", "definition", error))?,
            origin: row.origin,
            by: row.proposed_by.map(OperatorId),
            by_name: row.by_name,
            note: row.note,
            proposed_at: row.proposed_at,
            state: ProposalState::named(&row.state)
                .ok_or_else(|| StoreError::corrupt("proposals", "state", &row.state))?,
            settled_at: row.settled_at,
            settled_by_name: row.settled_by_name,
            word: row.word,
            number: row.number,
        })
    }
}

/// Keeps a proposal. One that waits of the same runbook must have been settled before.
pub async fn insert(
    conn: &mut PgConnection,
    new: &NewProposal<'_>,
    now: DateTime<Utc>,
) -> Result<ProposalId, StoreError> {
    let definition = serde_json::to_value(new.runbook)
        .map_err(|error| StoreError::corrupt("proposals", "definition", error))?;
    let id = sqlx::query_scalar!(
        "insert into proposals (runbook_id, digest, source, definition, origin, proposed_by, note, proposed_at, state)
         values ($1, $2, $3, $4, $5, $6, $7, $8, 'waiting') returning id",
        new.runbook_id,
        &Digest::of_bytes(new.source.as_bytes()).0[..],
        new.source,
        definition,
        new.origin,
        new.by.map(|id| id.0),
        new.note,
        now
    )
    .fetch_one(conn)
    .await?;
    Ok(ProposalId(id))
}

/// One proposal of a runbook.
pub async fn find(
    conn: &mut PgConnection,
    slug: &str,
    id: ProposalId,
) -> Result<Option<Proposal>, StoreError> {
    sqlx::query_as!(
        Row,
        r#"select p.id, p.runbook_id, p.digest, p.source, p.definition, p.origin, p.proposed_by, a.name as "by_name?",
                  p.note, p.proposed_at, p.state, p.settled_at, s.name as "settled_by_name?", p.word,
                  v.number as "number?"
           from proposals p join runbooks b on b.id = p.runbook_id left join operators a on a.id = p.proposed_by
           left join operators s on s.id = p.settled_by left join runbook_versions v on v.id = p.version_id
           where b.slug = $1 and p.id = $2"#,
        slug,
        id.0
    )
    .fetch_optional(conn)
    .await?
    .map(Proposal::try_from)
    .transpose()
}

/// The proposal of a runbook that waits, if one does.
pub async fn find_waiting(conn: &mut PgConnection, runbook_id: i64) -> Result<Option<Proposal>, StoreError> {
    sqlx::query_as!(
        Row,
        r#"select p.id, p.runbook_id, p.digest, p.source, p.definition, p.origin, p.proposed_by, a.name as "by_name?",
                  p.note, p.proposed_at, p.state, p.settled_at, s.name as "settled_by_name?", p.word,
                  v.number as "number?"
           from proposals p left join operators a on a.id = p.proposed_by
           left join operators s on s.id = p.settled_by left join runbook_versions v on v.id = p.version_id
           where p.runbook_id = $1 and p.state = 'waiting'"#,
        runbook_id
    )
    .fetch_optional(conn)
    .await?
    .map(Proposal::try_from)
    .transpose()
}

/// One line of the proposals that wait.
#[derive(Clone, Debug)]
pub struct ProposalLine {
    /// Its number.
    pub id: ProposalId,
    /// Of which runbook.
    pub slug: String,
    /// Who proposes it; nobody, for the folder.
    pub by: Option<String>,
    /// What they say with it.
    pub note: String,
    /// When they did.
    pub proposed_at: DateTime<Utc>,
    /// The number of whoever proposes it.
    pub author: Option<OperatorId>,
    /// Whom it names.
    pub access: Access,
    /// Who has approved it.
    pub approved_by: Vec<i64>,
}

impl ProposalLine {
    /// Whether it waits for this person: they may say something about it and have not approved it yet.
    pub fn waits_for(&self, person: &Operator) -> bool {
        self.author != Some(person.id)
            && !self.approved_by.contains(&person.id.0)
            && may_publish(person, None, &self.access).is_ok()
    }
}

/// The proposals that wait, by runbook; of one runbook when it is named.
pub async fn list_waiting(
    conn: &mut PgConnection,
    slug: Option<&str>,
) -> Result<Vec<ProposalLine>, StoreError> {
    let rows = sqlx::query!(
        r#"select p.id, b.slug, o.name as "by?", p.note, p.proposed_at, p.proposed_by, p.definition -> 'access' as access,
                  array(select a.operator_id from proposal_approvals a where a.proposal_id = p.id) as "approved_by!"
           from proposals p join runbooks b on b.id = p.runbook_id left join operators o on o.id = p.proposed_by
           where p.state = 'waiting' and ($1::text is null or b.slug = $1) order by b.slug limit $2"#,
        slug,
        LISTED_MAX
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let access = row.access.map(serde_json::from_value).transpose();
            Ok(ProposalLine {
                id: ProposalId(row.id),
                slug: row.slug,
                by: row.by,
                note: row.note,
                proposed_at: row.proposed_at,
                author: row.proposed_by.map(OperatorId),
                access: access
                    .map_err(|error| StoreError::corrupt("proposals", "definition", error))?
                    .unwrap_or_default(),
                approved_by: row.approved_by,
            })
        })
        .collect()
}

/// Settles a proposal that waits; `false` when it did not wait any more.
pub async fn settle(
    conn: &mut PgConnection,
    id: ProposalId,
    state: ProposalState,
    by: Option<OperatorId>,
    word: &str,
    version: Option<VersionId>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let settled = sqlx::query!(
        "update proposals set state = $2, settled_by = $3, word = $4, version_id = $5, settled_at = $6
         where id = $1 and state = 'waiting'",
        id.0,
        state.name(),
        by.map(|id| id.0),
        word,
        version.map(|id| id.0),
        now
    )
    .execute(conn)
    .await?;
    Ok(settled.rows_affected() == 1)
}

/// Adds a person's approval against the version that stands; `false` when they gave it before. The database refuses the
/// author, and whatever does not wait.
pub async fn insert_approval(
    conn: &mut PgConnection,
    id: ProposalId,
    by: OperatorId,
    base: Option<VersionId>,
    note: &str,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let added = sqlx::query!(
        "insert into proposal_approvals (proposal_id, operator_id, base_version_id, note, at)
         values ($1, $2, $3, $4, $5) on conflict do nothing",
        id.0,
        by.0,
        base.map(|id| id.0),
        note,
        now
    )
    .execute(conn)
    .await?;
    Ok(added.rows_affected() == 1)
}

/// One approval of a proposal.
#[derive(Clone, Debug)]
pub struct ProposalApproval {
    /// Who, with the role and teams they have now.
    pub person: Operator,
    /// Whether they still can sign in.
    pub is_enabled: bool,
    /// The version they compared it with; none where nothing stood.
    pub base: Option<VersionId>,
    /// Its number.
    pub base_number: Option<i32>,
    /// What they said with it.
    pub note: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// The approvals of a proposal, in order.
pub async fn approvals(conn: &mut PgConnection, id: ProposalId) -> Result<Vec<ProposalApproval>, StoreError> {
    sqlx::query!(
        r#"select o.id, o.name, o.role, teams_of(o.id) as "teams!", o.disabled_at is null as "is_enabled!",
                  a.base_version_id, v.number as "number?", a.note, a.at
           from proposal_approvals a join operators o on o.id = a.operator_id
           left join runbook_versions v on v.id = a.base_version_id
           where a.proposal_id = $1 order by a.at, o.id limit 100"#,
        id.0
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        Ok(ProposalApproval {
            person: operators::operator(row.id, row.name, &row.role, row.teams)?,
            is_enabled: row.is_enabled,
            base: row.base_version_id.map(VersionId),
            base_number: row.number,
            note: row.note,
            at: row.at,
        })
    })
    .collect()
}
