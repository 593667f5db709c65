//! What people did to what stands over every run: paused, resumed, froze, closed a circuit, changed a source; and how
//! they came in. Append-only.

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
    /// A person made a token for a program of theirs.
    ApiTokenMade,
    /// They took it away.
    ApiTokenRevoked,
    /// Somebody signed in.
    SignedIn,
    /// Somebody tried to, in vain.
    SignInFailed,
    /// A person chose another password.
    PasswordChanged,
    /// A person added a passkey.
    PasskeyAdded,
    /// A person removed one.
    PasskeyRemoved,
    /// Sessions of a person were ended.
    SessionsRevoked,
    /// A person made recovery codes.
    RecoveryCodesMade,
    /// A recovery code was used up.
    RecoveryCodeUsed,
    /// A link was made by which a person chooses a password.
    PersonInvited,
    /// Somebody whom a provider vouches for came for the first time.
    PersonMade,
    /// A person's role was changed.
    RoleChanged,
}

impl ActKind {
    const ALL: [Self; 26] = [
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
        Self::ApiTokenMade,
        Self::ApiTokenRevoked,
        Self::SignedIn,
        Self::SignInFailed,
        Self::PasswordChanged,
        Self::PasskeyAdded,
        Self::PasskeyRemoved,
        Self::SessionsRevoked,
        Self::RecoveryCodesMade,
        Self::RecoveryCodeUsed,
        Self::PersonInvited,
        Self::PersonMade,
        Self::RoleChanged,
    ];

    /// Acts about who may come in: many, and of no weight for what runs.
    const OF_IDENTITY: [Self; 11] = [
        Self::SignedIn,
        Self::SignInFailed,
        Self::PasswordChanged,
        Self::PasskeyAdded,
        Self::PasskeyRemoved,
        Self::SessionsRevoked,
        Self::RecoveryCodesMade,
        Self::RecoveryCodeUsed,
        Self::PersonInvited,
        Self::PersonMade,
        Self::RoleChanged,
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
            Self::ApiTokenMade => "api_token_made",
            Self::ApiTokenRevoked => "api_token_revoked",
            Self::SignedIn => "signed_in",
            Self::SignInFailed => "sign_in_failed",
            Self::PasswordChanged => "password_changed",
            Self::PasskeyAdded => "passkey_added",
            Self::PasskeyRemoved => "passkey_removed",
            Self::SessionsRevoked => "sessions_revoked",
            Self::RecoveryCodesMade => "recovery_codes_made",
            Self::RecoveryCodeUsed => "recovery_code_used",
            Self::PersonInvited => "person_invited",
            Self::PersonMade => "person_made",
            Self::RoleChanged => "role_changed",
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

/// What was done to what stands over every run, the newest first, before that number, at most `limit`. Who came in and
/// how is left out.
pub async fn list(conn: &mut PgConnection, before: i64, limit: i64) -> Result<Vec<Act>, StoreError> {
    let left_out: Vec<String> = ActKind::OF_IDENTITY.map(|kind| kind.name().to_owned()).into();
    sqlx::query!(
        r#"select a.id, a.at, o.name as "name?", a.act, a.subject, a.reason
           from standing_acts a left join operators o on o.id = a.operator_id
           where a.id < $1 and a.act <> all($3) order by a.id desc limit $2"#,
        before,
        limit,
        &left_out
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
