//! A decision, and a link to a gate.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::audit::list::Decision;

/// A page of decisions.
#[derive(Serialize, ToSchema)]
pub struct DecisionRows {
    /// The decisions, the newest first.
    pub rows: Vec<AuditRowBody>,
    /// Give this as `before` to get the rows after these; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One decision.
#[derive(Serialize, ToSchema)]
pub struct AuditRowBody {
    /// When.
    pub at: DateTime<Utc>,
    /// Who; `Muster` for what it decided by itself, `the command line` for what was done at the server itself.
    pub who: String,
    /// What they showed: `session`, `token …`, `link`, `terminal`, `break-glass` for a gate that was opened alone; empty
    /// for Muster itself.
    pub via: String,
    /// Name of the kind.
    pub kind: String,
    /// A sentence; text from outside.
    pub decision: String,
    /// What it is about.
    pub object: ObjectBody,
    /// What was true before: fields of texts, or a text for an event.
    pub before: Value,
    /// What is true since.
    pub after: Value,
    /// Why, in their words; empty where the sentence has them.
    pub reason: String,
    /// In the timeline of which incident it stands; absent for the audit itself.
    pub incident: Option<i64>,
    /// Its number there.
    pub seq: i64,
    /// The link of its chain, SHA-256.
    pub hash: String,
}

/// What a decision is about.
#[derive(Serialize, ToSchema)]
pub struct ObjectBody {
    /// `incident`, `automation`, `target`, `freeze`, `source`, `source_token`, `routing_rule`, `person`, `team`, `runbook`,
    /// `approval`
    pub kind: String,
    /// How its address names it; may be empty.
    pub id: String,
    /// What people call it; may be empty.
    pub name: String,
}

impl AuditRowBody {
    /// The decision as it is told.
    pub fn of(decision: &Decision) -> Self {
        let (place, about) = (decision.place(), decision.about());
        let (before, after) = match decision {
            Decision::Act(row) => (json!(row.act.before), json!(row.act.after)),
            Decision::Event(..) => {
                let (before, after) = decision.change();
                (json!(before), json!(after))
            }
        };
        Self {
            at: place.at,
            who: decision.actor().to_string(),
            via: decision.via(),
            kind: decision.kind(),
            decision: decision.sentence(),
            object: ObjectBody {
                kind: about.kind,
                id: about.id,
                name: about.name,
            },
            before,
            after,
            reason: decision.reason().to_owned(),
            incident: (place.incident != 0).then_some(place.incident),
            seq: place.seq,
            hash: decision.hash().to_string(),
        }
    }
}

/// For whom a link is made.
#[derive(Deserialize, ToSchema)]
pub struct NewLinkBody {
    /// The name they sign in with.
    pub operator: String,
}

/// A link to a gate. Its address is shown once and kept nowhere.
#[derive(Serialize, ToSchema)]
pub struct LinkMade {
    /// Its number.
    pub id: i64,
    /// Where it leads to: to the gate's page for that person once they are signed in, and to a refusal for everybody else.
    /// Without the host where Muster was not told how people reach it.
    pub url: String,
    /// When it ends; one decision ends it as well.
    pub expires_at: DateTime<Utc>,
}
