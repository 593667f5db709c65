//! What every page of a signed-in person asks besides its subject.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{
    error::WebError,
    state::AppState,
    view::{
        banner::{BannerPart, Line},
        check::late,
        layout::{Frame, Place},
        standing::PausedPart,
    },
};
use crate::{
    domain::{approval::may_decide, operator::Operator},
    store::{StoreError, approvals, approvals::ApprovalLine, pauses, preferences, troubles},
};

/// Pending requests that are looked at for the number in the navigation.
const WAITING_MAX: i64 = 100;

/// The frame of a page, with the number of decisions that wait for this person and the pause of all automation.
pub async fn frame(
    app: &AppState,
    conn: &mut PgConnection,
    me: &Operator,
    title: impl Into<String>,
    place: Place,
    now: DateTime<Utc>,
) -> Result<Frame, WebError> {
    let rules = approvals::list_rules(conn, WAITING_MAX).await?;
    let mut frame = Frame::bare(title, Some(me), now);
    frame.place = place;
    frame.waiting = rules
        .iter()
        .filter(|(rule, requester)| may_decide(rule, me, *requester).is_ok())
        .count();
    frame.look = preferences::find(conn, me.id).await?;
    frame.paused = pauses::find(conn).await?.map(|pause| PausedPart::of(&pause, now));
    let mut lines: Vec<Line> = troubles::list(conn, now)
        .await?
        .iter()
        .map(|trouble| Line::of(trouble, frame.may_audit(), now))
        .collect();
    // Asked only when something waits: the answer may have to wait for the disk.
    if let Some(receiver) = app.receiver.as_ref().filter(|receiver| receiver.waiting() > 0) {
        let late = late(&receiver.backlog().await, now);
        lines.extend(late.map(|by| Line::of_spool(by, now)));
    }
    let faults = app.faults.list().len();
    lines.extend((faults > 0).then(|| Line::of_files(faults)));
    frame.faults = BannerPart::of(lines);
    Ok(frame)
}

/// The pending requests of real incidents; those of drills wait in the inbox and at their incidents.
pub async fn pending(conn: &mut PgConnection) -> Result<Vec<ApprovalLine>, StoreError> {
    let mut lines = approvals::list_lines(conn, None, WAITING_MAX).await?;
    lines.retain(|line| line.drill.is_none());
    Ok(lines)
}

/// How many of them this person may decide.
pub fn waiting(pending: &[ApprovalLine], me: &Operator) -> usize {
    pending
        .iter()
        .filter(|line| may_decide(&line.rule, me, line.requester).is_ok())
        .count()
}
