//! A storm of incidents folded under one of them: on a person's word, or by the rule of their source. Each stays an
//! incident of its own, with its own alerts, runs and recovery; only the list shows one for all. Both sides' timelines
//! say so in the same transaction, set by set.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{merge::checked, respond::RespondError};
use crate::{
    domain::{
        event::{IncidentFact, NewEvent},
        id::{IncidentId, SourceId},
        operator::{Actor, Operator},
        span::Span,
    },
    store::{
        StoreError, events,
        folds::{self, Leaf},
        incidents,
    },
};

/// Incidents folded or unfolded by one act.
pub const FOLD_MAX: usize = 5_000;
/// Incidents locked for it, those folded under the chosen ones included.
const LOCKED_MAX: usize = 2 * FOLD_MAX;
/// Those named in the timeline of the one that stands for them.
const NAMED_MAX: usize = 10;
/// Sources whose rule is carried out at once.
const SOURCES_MAX: i64 = 20;

/// What a person folds.
#[derive(Clone, Debug)]
pub enum Chosen {
    /// These.
    These(Vec<IncidentId>),
    /// Every open one of a source that was opened in the last while and stands for itself.
    Storm {
        /// Which source.
        source: SourceId,
        /// How far back.
        within: Span,
    },
}

/// A person folds incidents under `parent`; returns those that were. What was folded under one of them comes along.
/// What is over, merged or under it already stays as it is.
pub async fn fold(
    conn: &mut PgConnection,
    parent: IncidentId,
    chosen: &Chosen,
    reason: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<Vec<IncidentId>, RespondError> {
    let reason = checked(reason)?;
    let children = match chosen {
        Chosen::These(ids) => ids.clone(),
        Chosen::Storm { source, within } => {
            let since = now - within.as_delta();
            folds::find_of_source(conn, *source, since, parent, FOLD_MAX as i64).await?
        }
    };
    if children.len() > FOLD_MAX {
        return Err(refused(format!(
            "at most {FOLD_MAX} incidents are folded at once"
        )));
    }
    let folded = carry_out(conn, parent, &children, &reason, &by.actor(), now).await?;
    match folded.is_empty() {
        true => Err(refused("none of these is open and stands for itself".to_owned())),
        false => Ok(folded),
    }
}

async fn carry_out(
    conn: &mut PgConnection,
    parent: IncidentId,
    children: &[IncidentId],
    reason: &str,
    actor: &Actor,
    now: DateTime<Utc>,
) -> Result<Vec<IncidentId>, RespondError> {
    let mut asked: Vec<IncidentId> = children.iter().copied().filter(|id| *id != parent).collect();
    let chosen: BTreeSet<IncidentId> = asked.iter().copied().collect();
    asked.push(parent);
    let locked = folds::lock_all(conn, &asked, LOCKED_MAX as i64).await?;
    let Some(top) = locked.iter().find(|leaf| leaf.id == parent) else {
        return Err(match locked.len() < LOCKED_MAX {
            true => RespondError::NotFound,
            false => refused("too many incidents for one act; fold fewer at once".to_owned()),
        });
    };
    if let Some(above) = top.folded_under {
        let message = format!("INC-{parent} is folded under INC-{above}; fold under that one");
        return Err(RespondError::Moved { message });
    }
    if !top.state.is_open() {
        let message = format!("INC-{parent} is {}; fold under an open incident", top.state);
        return Err(RespondError::Moved { message });
    }
    let stranger = locked
        .iter()
        .find(|leaf| chosen.contains(&leaf.id) && leaf.drill != top.drill);
    if let Some(stranger) = stranger {
        return Err(refused(format!(
            "INC-{} and INC-{parent} are not of one kind: what is real and what is a drill, or another one, are never \
             folded together",
            stranger.id
        )));
    }
    let is_folded = |leaf: &&Leaf| {
        let comes_along = leaf.folded_under.is_some_and(|above| chosen.contains(&above));
        let is_chosen = chosen.contains(&leaf.id) && leaf.state.is_open();
        leaf.id != parent && leaf.folded_under != Some(parent) && (is_chosen || comes_along)
    };
    let folded: Vec<IncidentId> = locked.iter().filter(is_folded).map(|leaf| leaf.id).collect();
    if folded.is_empty() {
        return Ok(folded);
    }
    folds::fold(conn, parent, &folded).await?;
    let below = IncidentFact::FoldedUnder {
        parent,
        reason: reason.to_owned(),
    };
    let above = IncidentFact::Folded {
        count: folded.len(),
        first: folded.iter().copied().take(NAMED_MAX).collect(),
        reason: reason.to_owned(),
    };
    tell(conn, parent, above, &folded, below, actor, now).await?;
    Ok(folded)
}

/// A person lets an incident stand for itself again, or those that it stands for; returns them. No rule folds them
/// again.
pub async fn unfold(
    conn: &mut PgConnection,
    id: IncidentId,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<Vec<IncidentId>, RespondError> {
    let looked = incidents::find(conn, id).await?.ok_or(RespondError::NotFound)?;
    // The one above is locked as well: its timeline tells of it.
    let above = looked.folded_under.map(IncidentId);
    let ids: Vec<IncidentId> = [Some(id), above].into_iter().flatten().collect();
    let locked = folds::lock_all(conn, &ids, LOCKED_MAX as i64).await?;
    let own = locked
        .iter()
        .find(|leaf| leaf.id == id)
        .ok_or(RespondError::NotFound)?;
    let (parent, unfolded) = match own.folded_under {
        Some(parent) => (parent, vec![id]),
        None => {
            let below = locked.iter().filter(|leaf| leaf.folded_under == Some(id));
            (id, below.map(|leaf| leaf.id).take(FOLD_MAX).collect())
        }
    };
    if unfolded.is_empty() {
        let message = format!("INC-{id} is not folded, and nothing is folded under it");
        return Err(RespondError::Moved { message });
    }
    if own.folded_under != above {
        return Err(StoreError::Contended.into());
    }
    folds::unfold(conn, &unfolded).await?;
    let told_above = IncidentFact::FoldOpened {
        count: unfolded.len(),
        first: unfolded.iter().copied().take(NAMED_MAX).collect(),
    };
    let told_below = IncidentFact::Unfolded { parent };
    tell(conn, parent, told_above, &unfolded, told_below, &by.actor(), now).await?;
    Ok(unfolded)
}

/// Carries out the rules of sources that are in a storm; returns how many incidents were folded.
pub async fn fold_storms(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<usize, StoreError> {
    let mut count = 0;
    for stormy in folds::claim_storms(conn, now, SOURCES_MAX, FOLD_MAX as i64).await? {
        let reason = format!("a storm: {} opened more than {}", stormy.name, stormy.rule);
        let (parent, children) = (stormy.parent, &stormy.children);
        match carry_out(conn, parent, children, &reason, &Actor::Automation, now).await {
            Ok(folded) => count += folded.len(),
            Err(RespondError::Store(error)) => return Err(error),
            // It was over, or was folded itself, between the look and the lock: the next look finds another one.
            Err(_) => {}
        }
    }
    Ok(count)
}

async fn tell(
    conn: &mut PgConnection,
    parent: IncidentId,
    above: IncidentFact,
    children: &[IncidentId],
    below: IncidentFact,
    actor: &Actor,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let above = [NewEvent::by(actor.clone(), above, now)];
    let below = [NewEvent::by(actor.clone(), below, now)];
    let mut timelines: Vec<(IncidentId, &[NewEvent])> = vec![(parent, &above)];
    timelines.extend(children.iter().map(|id| (*id, &below[..])));
    events::append_all(conn, &timelines, now).await?;
    Ok(())
}

fn refused(message: String) -> RespondError {
    RespondError::Refused { message }
}
