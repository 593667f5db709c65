//! What people did to what stands over every run: paused, resumed, froze, closed a circuit, changed a source.
//! Append-only.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::StoreError;
use crate::domain::id::OperatorId;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActKind {
    /// All automation was paused.
    Paused,
    /// It was resumed.
    Resumed,
    /// The circuit of a target was closed by hand.
    CircuitClosed,
    /// A freeze was made.
    FreezeMade,
    /// A freeze was ended before its time.
    FreezeEnded,
    /// A source was made.
    SourceMade,
    /// Settings of a source were changed.
    SourceChanged,
    /// A source was closed to its sender.
    SourceDisabled,
    /// It was opened again.
    SourceEnabled,
    /// A token of a source was made.
    TokenIssued,
    /// A token of a source was taken away.
    TokenRevoked,
    /// A rule about new episodes was made.
    RoutingRuleMade,
    /// It was ended.
    RoutingRuleEnded,
    /// A version of a runbook became the one in use.
    RunbookPublished,
    /// A version of a runbook was proposed.
    RunbookProposed,
    /// A proposal of somebody else was approved.
    ProposalApproved,
    /// A proposal was sent back with a word.
    ProposalSentBack,
    /// A proposal was taken back by its author.
    ProposalWithdrawn,
}

impl ActKind {
    const ALL: [Self; 18] = [
        Self::Paused,
        Self::Resumed,
        Self::CircuitClosed,
        Self::FreezeMade,
        Self::FreezeEnded,
        Self::SourceMade,
        Self::SourceChanged,
        Self::SourceDisabled,
        Self::SourceEnabled,
        Self::TokenIssued,
        Self::TokenRevoked,
        Self::RoutingRuleMade,
        Self::RoutingRuleEnded,
        Self::RunbookPublished,
        Self::RunbookProposed,
        Self::ProposalApproved,
        Self::ProposalSentBack,
        Self::ProposalWithdrawn,
    ];

    /// Its name in the database and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::CircuitClosed => "circuit_closed",
            Self::FreezeMade => "freeze_made",
            Self::FreezeEnded => "freeze_ended",
            Self::SourceMade => "source_made",
            Self::SourceChanged => "source_changed",
            Self::SourceDisabled => "source_disabled",
            Self::SourceEnabled => "source_enabled",
            Self::TokenIssued => "source_token_issued",
            Self::TokenRevoked => "source_token_revoked",
            Self::RoutingRuleMade => "routing_rule_made",
            Self::RoutingRuleEnded => "routing_rule_ended",
            Self::RunbookPublished => "runbook_published",
            Self::RunbookProposed => "runbook_proposed",
            Self::ProposalApproved => "proposal_approved",
            Self::ProposalSentBack => "proposal_sent_back",
            Self::ProposalWithdrawn => "proposal_withdrawn",
        }
    }
}

/// Who did what was done at the server's own terminal, where nobody signs in.
pub const TERMINAL: &str = "the command line";

/// One thing that a person did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// Its number: the order in which they were done.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Name of who did it; [`TERMINAL`] for what was done at the server itself.
    pub by: String,
    /// What.
    pub kind: ActKind,
    /// Which target, freeze or source; empty for a pause.
    pub subject: String,
    /// Why, in their words.
    pub reason: String,
}

/// Writes down what somebody does, in the transaction that does it; without a person it was done at the terminal.
pub async fn insert(
    conn: &mut PgConnection,
    kind: ActKind,
    subject: &str,
    reason: &str,
    by: impl Into<Option<OperatorId>>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into standing_acts (at, operator_id, act, subject, reason) values ($1, $2, $3, $4, $5)",
        now,
        by.into().map(|by| by.0),
        kind.name(),
        subject,
        reason
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What was done, the newest first, before that number, at most `limit`.
pub async fn list(conn: &mut PgConnection, before: i64, limit: i64) -> Result<Vec<Act>, StoreError> {
    sqlx::query!(
        r#"select a.id, a.at, o.name as "name?", a.act, a.subject, a.reason
           from standing_acts a left join operators o on o.id = a.operator_id
           where a.id < $1 order by a.id desc limit $2"#,
        before,
        limit
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(|row| {
        let kind = ActKind::ALL.into_iter().find(|kind| kind.name() == row.act);
        Ok(Act {
            id: row.id,
            at: row.at,
            by: row.name.unwrap_or_else(|| TERMINAL.to_owned()),
            kind: kind.ok_or_else(|| StoreError::corrupt("standing_acts", "act", row.act))?,
            subject: row.subject,
            reason: row.reason,
        })
    })
    .collect()
}
