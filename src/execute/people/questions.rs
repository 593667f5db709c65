//! Questions at a gate: they stand on its page and in the timeline, and hold nothing.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{PeopleError, moved, refused};
use crate::{
    domain::{
        approval::ApprovalState,
        event::{IncidentFact, NewEvent},
        id::ApprovalId,
        operator::Operator,
    },
    store::{approvals, events},
};

/// The longest question, in bytes.
const QUESTION_BYTES_MAX: usize = 2000;

/// A person asks something before a request is decided. Its clock runs on.
pub async fn ask(
    conn: &mut PgConnection,
    id: ApprovalId,
    question: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    let approval = approvals::find(conn, id)
        .await?
        .ok_or(PeopleError::NotFound("approval"))?;
    if approval.state != ApprovalState::Pending {
        return Err(moved(
            "this request does not wait any more; write a note at its incident instead",
        ));
    }
    let question = question.trim();
    if question.is_empty() || question.len() > QUESTION_BYTES_MAX {
        return Err(refused(format!(
            "write a question of at most {QUESTION_BYTES_MAX} bytes"
        )));
    }
    let fact = IncidentFact::QuestionAsked {
        approval: id,
        title: approval.title,
        question: question.replace('\0', "\u{2400}"),
    };
    let event = NewEvent::by(by.actor(), fact, now);
    events::append(conn, approval.incident, &[event], now).await?;
    Ok(())
}
