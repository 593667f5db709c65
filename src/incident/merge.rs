//! A person merges an incident into another one, or takes it out again. Both rows are locked, so is every alert that
//! moves, and both timelines say so in the one transaction.
//!
//! What was merged keeps its page, its timeline and its live runs. Its alerts, and new ones of its group, are the other
//! one's: that one recovers when they have ended too.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::respond::RespondError;
use crate::{
    domain::{
        drill,
        event::{IncidentFact, NewEvent},
        id::IncidentId,
        incident::IncidentState,
        operator::Operator,
        span::Span,
    },
    store::{
        StoreError, alerts, events, incidents,
        merges::{self, Node},
    },
};

/// How long alerts must stay ended before an incident that lost its last firing one recovers: as after a delivery.
const HOLD_DOWN: Span = Span::from_secs(60);
/// The longest reason, in bytes.
pub const REASON_BYTES_MAX: usize = 2_000;

/// A person merges `from` into `into`; returns how many alerts went. [`StoreError::Contended`] when alerts came in
/// meanwhile: the whole transaction may be tried again.
pub async fn merge(
    conn: &mut PgConnection,
    from: IncidentId,
    into: IncidentId,
    reason: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<i64, RespondError> {
    let reason = checked(reason)?;
    if from == into {
        return Err(refused("an incident cannot be merged into itself"));
    }
    let moving = merges::lock_alerts(conn, from, None).await?;
    let nodes = merges::lock_trees(conn, &[from, into]).await?;
    let (away, home) = (node(&nodes, from)?, node(&nodes, into)?);
    if away.drill != home.drill {
        return Err(apart(away, home));
    }
    for incident in [away, home] {
        if let Some(lives_in) = incident.lives_in {
            let message = format!("INC-{} is merged into INC-{lives_in} already", incident.id);
            return Err(RespondError::Moved { message });
        }
        if !incident.state.is_open() {
            let message = format!(
                "INC-{} is {}; only open incidents are merged",
                incident.id, incident.state
            );
            return Err(RespondError::Moved { message });
        }
    }
    if merges::has_other_alerts(conn, from, None, &moving).await? {
        return Err(StoreError::Contended.into());
    }
    let alerts = merges::move_in(conn, from, into, now).await?;
    let actor = by.actor();
    let told_away = IncidentFact::MergedInto {
        into,
        alerts,
        reason: reason.clone(),
    };
    let told_home = IncidentFact::TookIn {
        from,
        title: away.title.clone(),
        alerts,
        reason,
    };
    let mut at_home = vec![NewEvent::by(actor.clone(), told_home, now)];
    if away.severity < home.severity {
        incidents::set_severity(conn, into, away.severity).await?;
        let fact = IncidentFact::SeverityChanged {
            from: home.severity,
            to: away.severity,
            reason: format!("INC-{from} was {}", away.severity),
        };
        at_home.push(NewEvent::automatic(fact, now));
    }
    at_home.extend(settle(conn, home, now).await?);
    let at_away = [NewEvent::by(actor, told_away, now)];
    events::append_all(conn, &[(from, &at_away), (into, &at_home)], now).await?;
    Ok(alerts)
}

/// A person takes `id` out of what it was merged into; returns how many alerts came along. They are those of its group
/// and of the groups of what was merged into it before.
pub async fn unmerge(
    conn: &mut PgConnection,
    id: IncidentId,
    reason: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<i64, RespondError> {
    let reason = checked(reason)?;
    let Some(from) = merges::lives_in(conn, id).await? else {
        incidents::lock(conn, id).await?.ok_or(RespondError::NotFound)?;
        return Err(not_merged());
    };
    let looked = merges::list_tree(conn, id).await?;
    let moving = merges::lock_alerts(conn, from, Some(&looked)).await?;
    let nodes = merges::lock_trees(conn, &[id, from]).await?;
    let (own, home) = (node(&nodes, id)?, node(&nodes, from)?);
    let tree = tree(&nodes, id);
    match own.lives_in {
        None => return Err(not_merged()),
        Some(lives_in) if lives_in != from => return Err(StoreError::Contended.into()),
        Some(_) => {}
    }
    if home.state == IncidentState::Closed {
        return Err(refused(&format!(
            "INC-{from} is closed: it stays as it was written up"
        )));
    }
    if merges::has_other_alerts(conn, from, Some(&tree), &moving).await? {
        return Err(StoreError::Contended.into());
    }
    if let Some(rival) = merges::find_rival(conn, id).await? {
        let message = format!("INC-{rival} is open for the same group now; it would be opened twice");
        return Err(RespondError::Moved { message });
    }
    let alerts = merges::move_out(conn, id, &tree, from).await?;
    let actor = by.actor();
    let told_own = IncidentFact::Unmerged {
        from,
        alerts,
        reason: reason.clone(),
    };
    let told_home = IncidentFact::GaveBack {
        to: id,
        alerts,
        reason,
    };
    let mut at_own = vec![NewEvent::by(actor.clone(), told_own, now)];
    let mut at_home = vec![NewEvent::by(actor, told_home, now)];
    at_own.extend(settle(conn, own, now).await?);
    at_home.extend(match home.state.is_open() {
        true => settle(conn, home, now).await?,
        false => None,
    });
    events::append_all(conn, &[(id, &at_own), (from, &at_home)], now).await?;
    Ok(alerts)
}

/// After alerts came or went: the hold-down ends where something fires, and begins where nothing does any more. An
/// incident that never had an alert is a person's to resolve.
async fn settle(
    conn: &mut PgConnection,
    incident: &Node,
    now: DateTime<Utc>,
) -> Result<Option<NewEvent>, StoreError> {
    let members = alerts::membership(conn, incident.id).await?;
    let was_recovering = incident.recover_due.is_some();
    if members.firing > 0 {
        if !was_recovering {
            return Ok(None);
        }
        incidents::break_recovery(conn, incident.id, false).await?;
        let name = "what came with another incident".to_owned();
        return Ok(Some(NewEvent::automatic(
            IncidentFact::RecoveryBroken { name },
            now,
        )));
    }
    let stands = incidents::lock(conn, incident.id).await?;
    let is_cut = stands.is_none_or(|stands| stands.truncated_alerts > 0);
    if was_recovering || is_cut || members.last_ended_at.is_none() {
        return Ok(None);
    }
    let until = now + HOLD_DOWN.as_delta();
    incidents::begin_recovery(conn, incident.id, until, members.last_ended_at).await?;
    Ok(Some(NewEvent::automatic(
        IncidentFact::RecoveryBegan { until },
        now,
    )))
}

/// What is a drill and what is not, or is another one, stay apart.
fn apart(away: &Node, home: &Node) -> RespondError {
    let what = |node: &Node| match node.drill {
        Some(drill) => format!("INC-{} is a drill ({})", node.id, drill::name(drill)),
        None => format!("INC-{} is real", node.id),
    };
    refused(&format!("{}, {}: they are never merged", what(away), what(home)))
}

fn node(nodes: &[Node], id: IncidentId) -> Result<&Node, RespondError> {
    nodes
        .iter()
        .find(|node| node.id == id)
        .ok_or(RespondError::NotFound)
}

/// An incident and everything that was merged into it, at any distance.
fn tree(nodes: &[Node], id: IncidentId) -> Vec<IncidentId> {
    let mut tree = vec![id];
    let mut at = 0;
    while let Some(parent) = tree.get(at).copied() {
        let children = nodes.iter().filter(|node| node.merged_into == Some(parent));
        tree.extend(children.map(|node| node.id));
        at += 1;
    }
    tree
}

/// A reason as it is kept.
pub(super) fn checked(reason: &str) -> Result<String, RespondError> {
    let reason = reason.trim();
    if reason.len() > REASON_BYTES_MAX {
        return Err(refused(&format!(
            "the reason is longer than {REASON_BYTES_MAX} bytes"
        )));
    }
    // jsonb does not hold U+0000; its picture does the same work for a reader.
    Ok(reason.replace('\0', "\u{2400}"))
}

fn refused(message: &str) -> RespondError {
    RespondError::Refused {
        message: message.to_owned(),
    }
}

fn not_merged() -> RespondError {
    RespondError::Moved {
        message: "the incident is not merged into another one".to_owned(),
    }
}
