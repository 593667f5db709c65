//! Action items: made after an incident or a drill, and closed when they are done. One that demands that its incident
//! passes when it is played again is only done when a drill shows it.

use std::collections::{BTreeMap, btree_map::Entry};

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

use super::{DrillError, score};
use crate::{
    domain::{
        act::{Act, ActKind, Object},
        action_item::{ItemState, Played, TEXT_CHARS_MAX},
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

/// How the nights were played again that these items demand to pass. What is closed has what closed it.
pub async fn played(
    conn: &mut PgConnection,
    simulator: &Simulator,
    items: &[ActionItem],
) -> Result<BTreeMap<ActionItemId, Played>, DrillError> {
    let mut judged = Judged::default();
    let mut all = BTreeMap::new();
    for item in items {
        let Some(incident) = item.proof else { continue };
        let played = match (item.state, item.proven_by) {
            (ItemState::Done, Some(drill)) => Played::Passed(drill),
            (ItemState::Open, _) => stand(conn, simulator, incident, item.made_at, &mut judged).await?,
            _ => continue,
        };
        all.insert(item.id, played);
    }
    Ok(all)
}

/// Drills that have been judged: whether each passed, and what it fell short of first; `None` for one that cannot be
/// worked out.
type Judged = BTreeMap<DrillId, Option<Result<(), String>>>;

/// How a night was played again since then: by the newest drill that passed, or else by the newest.
async fn stand(
    conn: &mut PgConnection,
    simulator: &Simulator,
    incident: IncidentId,
    since: DateTime<Utc>,
    judged: &mut Judged,
) -> Result<Played, DrillError> {
    let mut newest = None;
    for drill in action_items::proofs(conn, incident, since, PROOFS_MAX).await? {
        if let Entry::Vacant(place) = judged.entry(drill) {
            place.insert(judge(conn, simulator, drill).await?);
        }
        match judged.get(&drill) {
            Some(Some(Ok(()))) => return Ok(Played::Passed(drill)),
            Some(Some(Err(why))) => newest = newest.or(Some((drill, why.clone()))),
            // One that cannot be worked out proves nothing.
            _ => {}
        }
    }
    Ok(newest.map_or(Played::Never, |(drill, why)| Played::Short { drill, why }))
}

async fn judge(
    conn: &mut PgConnection,
    simulator: &Simulator,
    drill: DrillId,
) -> Result<Option<Result<(), String>>, DrillError> {
    let card = match score(conn, simulator, drill).await {
        Ok(card) => card,
        Err(DrillError::Store(error)) => return Err(error.into()),
        Err(_) => return Ok(None),
    };
    Ok(Some(match card.score.passes() {
        true => Ok(()),
        false => {
            let short = card.score.shortfalls().into_iter().next();
            Err(short.unwrap_or_else(|| "it fell short".to_owned()))
        }
    }))
}

/// The drill that proves an item: the newest that passed.
async fn prove(
    conn: &mut PgConnection,
    simulator: &Simulator,
    incident: IncidentId,
    item: &ActionItem,
) -> Result<DrillId, DrillError> {
    let played = stand(conn, simulator, incident, item.made_at, &mut Judged::default()).await?;
    Err(DrillError::Refused(match played {
        Played::Passed(drill) => return Ok(drill),
        Played::Never => format!(
            "INC-{incident} must pass as a drill first: play it again, to its end, in the versions of its scenario and \
             runbooks that are in use"
        ),
        Played::Short { drill, why } => format!(
            "INC-{incident} must pass as a drill first, and {} did not: {why}",
            name(drill)
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
