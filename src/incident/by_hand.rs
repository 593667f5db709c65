//! An incident that a person opens: one that no alert knows of.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    respond::RespondError,
    words::{self, NewNote},
};
use crate::{
    domain::{
        digest::Digest,
        event::{IncidentFact, NewEvent},
        id::{IncidentId, SourceId},
        incident::Severity,
        operator::Operator,
    },
    store::{StoreError, events, incidents, sources},
};

/// The longest title, in characters.
pub const TITLE_CHARS_MAX: usize = 200;
/// The longest name of a service, in characters.
pub const SERVICE_CHARS_MAX: usize = 100;
/// The source that such incidents come from; nobody can send to it, since it has no token.
pub const SOURCE: &str = "by-hand";

/// What a person says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByHand {
    /// What is wrong.
    pub title: String,
    /// What it is wrong with; may be empty.
    pub service: String,
    /// What was seen; may be empty.
    pub note: String,
}

impl ByHand {
    /// What is wrong with it: the field and the words.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        if self.title.trim().is_empty() {
            faults.push(("title", "Say in a few words what is wrong.".to_owned()));
        }
        if self.title.trim().chars().count() > TITLE_CHARS_MAX {
            faults.push((
                "title",
                format!("The title is longer than {TITLE_CHARS_MAX} characters."),
            ));
        }
        if self.service.trim().chars().count() > SERVICE_CHARS_MAX {
            let words = format!("The service is longer than {SERVICE_CHARS_MAX} characters.");
            faults.push(("service", words));
        }
        if self.note.len() > words::NOTE_BYTES_MAX {
            let words = format!("The note is longer than {} bytes.", words::NOTE_BYTES_MAX);
            faults.push(("text", words));
        }
        faults
    }
}

/// Opens an incident. `op` is the form's operation: no other incident has its group.
pub async fn open(
    conn: &mut PgConnection,
    told: &ByHand,
    severity: Severity,
    op: Uuid,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<IncidentId, RespondError> {
    let (title, service) = (told.title.trim(), told.service.trim());
    let labels = match service {
        "" => json!({}),
        service => json!({ "service": service }),
    };
    let group = op.to_string();
    let incident = incidents::NewIncident {
        title,
        severity,
        source: source(conn, now).await?,
        receiver: "",
        group_key: &group,
        correlation_key: Digest::of_bytes(group.as_bytes()),
        context: json!({ "labels": labels, "annotations": {} }),
        detected_at: now,
        recurrence_of: None,
    };
    let id = incidents::insert(conn, &incident, now)
        .await?
        .ok_or(StoreError::Contended)?;
    let opened = IncidentFact::Opened {
        title: title.to_owned(),
        severity,
        reason: "a person opened it".to_owned(),
    };
    events::append(conn, id, &[NewEvent::by(by.actor(), opened, now)], now).await?;
    if !told.note.trim().is_empty() {
        let note = NewNote {
            text: told.note.clone(),
            ..NewNote::default()
        };
        words::note(conn, id, by, &note, now).await?;
    }
    Ok(id)
}

async fn source(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<SourceId, StoreError> {
    match sources::find_by_name(conn, SOURCE).await? {
        Some(found) => Ok(found.id),
        None => sources::upsert(conn, SOURCE, None, now).await,
    }
}
