//! Action items: made after an incident or a drill, and closed when they are done. One that demands that its incident
//! passes when it is played again is only done when a drill shows it.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

use super::{DrillError, score};
use crate::{
    domain::{
        act::{Act, ActKind, Object},
        action_item::{ItemState, TEXT_CHARS_MAX},
        drill::name,
        fields::Fields,
        id::{ActionItemId, DrillId, IncidentId, OperatorId},
        operator::Operator,
    },
    simulate::Simulator,
    store::{
        action_items::{self, ActionItem, Closing, NewItem, Origin},
        audit, drills, incidents, operators,
    },
};

/// Drills that are looked at for one that proves an item, the newest.
const PROOFS_MAX: i64 = 20;

/// An item as somebody writes it.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What it comes from.
    pub origin: Origin,
    /// What is to be done.
    pub text: String,
    /// Who does it.
    pub owner: OperatorId,
    /// Until when.
    pub due: Option<NaiveDate>,
    /// The incident that must pass when it is played again.
    pub proof: Option<IncidentId>,
}

/// Makes an item.
pub async fn make(
    conn: &mut PgConnection,
    draft: &Draft,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<ActionItemId, DrillError> {
    let text = one_line(&draft.text);
    if text.is_empty() {
        return Err(DrillError::Refused("say what is to be done".to_owned()));
    }
    bounded(&text)?;
    match draft.origin {
        Origin::Incident(id) => {
            _ = incidents::find(conn, id)
                .await?
                .ok_or(DrillError::NotFound("incident"))?
        }
        Origin::Drill(id) => {
            _ = drills::find(conn, id)
                .await?
                .ok_or(DrillError::NotFound("drill"))?
        }
    }
    let owner = operators::find(conn, draft.owner)
        .await?
        .ok_or_else(|| DrillError::Refused("choose somebody who can sign in".to_owned()))?;
    if let Some(proof) = draft.proof {
        let found = incidents::find(conn, proof)
            .await?
            .ok_or(DrillError::NotFound("incident"))?;
        if found.drill.is_some() {
            return Err(DrillError::Refused(format!(
                "INC-{proof} was practice itself; only a real incident is played again as a proof"
            )));
        }
    }
    let new = NewItem {
        origin: draft.origin,
        text: &text,
        owner: draft.owner,
        due: draft.due,
        proof: draft.proof,
    };
    let id = action_items::insert(conn, &new, by.id, now).await?;
    let after = Fields::of([
        ("owner", owner.name),
        (
            "due",
            draft.due.map_or_else(|| "none".to_owned(), |due| due.to_string()),
        ),
        ("proof", proof_words(draft.proof)),
    ]);
    let act = Act::new(
        by.actor(),
        ActKind::ActionItemMade,
        Object::action_item(id, &text),
        "",
    );
    audit::insert(conn, &act.changing(Fields::default(), after), now).await?;
    Ok(id)
}

/// Closes an item: as done, which may need a proof, or as dropped with a reason.
pub async fn close(
    conn: &mut PgConnection,
    simulator: &Simulator,
    id: ActionItemId,
    state: ItemState,
    remark: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<ActionItem, DrillError> {
    let item = action_items::lock(conn, id)
        .await?
        .ok_or(DrillError::NotFound("action item"))?;
    if item.state != ItemState::Open {
        return Err(DrillError::Moved(format!(
            "this action item is {} already",
            item.state.name()
        )));
    }
    let remark = one_line(remark);
    bounded(&remark)?;
    let proven_by = match (state, item.proof) {
        (ItemState::Open, _) => return Err(DrillError::Refused("an open item is open already".to_owned())),
        (ItemState::Dropped, _) if remark.is_empty() => {
            return Err(DrillError::Refused("say why it is not done any more".to_owned()));
        }
        (ItemState::Done, Some(incident)) => Some(prove(conn, simulator, incident, &item).await?),
        _ => None,
    };
    let closing = Closing {
        state,
        proven_by,
        remark: &remark,
    };
    action_items::close(conn, id, &closing, by.id, now)
        .await
        .map_err(|error| match error.breaks("action_items_are_proven") {
            true => DrillError::Moved(
                "a runbook or the scenario changed since the drill that proved it; play the incident again"
                    .to_owned(),
            ),
            false => error.into(),
        })?;
    let fields = |state: &str, proof: String| Fields::of([("state", state.to_owned()), ("proof", proof)]);
    let proof = proven_by.map_or_else(
        || proof_words(item.proof),
        |drill| format!("{} passed", name(drill)),
    );
    let act = Act::new(
        by.actor(),
        ActKind::ActionItemClosed,
        Object::action_item(id, &item.text),
        &remark,
    )
    .changing(
        fields("open", proof_words(item.proof)),
        fields(state.name(), proof),
    );
    audit::insert(conn, &act, now).await?;
    Ok(item)
}

/// The drill that proves an item: the newest that passed.
async fn prove(
    conn: &mut PgConnection,
    simulator: &Simulator,
    incident: IncidentId,
    item: &ActionItem,
) -> Result<DrillId, DrillError> {
    let mut newest = None;
    for drill in action_items::proofs(conn, incident, item.made_at, PROOFS_MAX).await? {
        let card = match score(conn, simulator, drill).await {
            Ok(card) => card,
            Err(DrillError::Store(error)) => return Err(error.into()),
            // One that cannot be worked out proves nothing.
            Err(_) => continue,
        };
        if card.score.passes() {
            return Ok(drill);
        }
        newest = newest.or(Some((drill, card.score.shortfalls())));
    }
    Err(DrillError::Refused(match newest {
        None => format!(
            "INC-{incident} must pass as a drill first: play it again, to its end, in the versions of its scenario and \
             runbooks that are in use"
        ),
        Some((drill, short)) => format!(
            "INC-{incident} must pass as a drill first, and {} did not: {}",
            name(drill),
            short.first().map_or("it fell short", String::as_str)
        ),
    }))
}

fn proof_words(proof: Option<IncidentId>) -> String {
    proof.map_or_else(
        || "none".to_owned(),
        |id| format!("INC-{id} played again must pass"),
    )
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

fn bounded(text: &str) -> Result<(), DrillError> {
    match text.chars().count() > TEXT_CHARS_MAX {
        true => Err(DrillError::Refused(format!(
            "the text is longer than {TEXT_CHARS_MAX} characters"
        ))),
        false => Ok(()),
    }
}
