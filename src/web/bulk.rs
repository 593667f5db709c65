//! Acts on many incidents at once. Each incident is acted on by itself, in a transaction of its own, exactly as on its own
//! page; what it could not be done to is told with the reason.

use axum::{Form, extract::State, response::Redirect};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    act::{Act, see},
    caller::Responds,
    error::WebError,
    incidents::wanted,
    merges::TRIES_MAX,
    respond,
    state::AppState,
    view::{incident::key, incidents::BULK_MAX, search::Asked},
};
use crate::{
    domain::{
        access::may,
        digest::Digest,
        duty::Duty,
        id::{IncidentId, OperatorId},
        operator::Operator,
        permission::Permission,
    },
    incident::{
        duties, merge, respond as acts,
        respond::RespondError,
        words::{self, NewNote},
    },
    store::{
        self, StoreError,
        bulk_acts::{self, BulkAct, Failed},
        incident_list, operators,
    },
};

/// The fields of the list's form, as they come: `id` once for each that is ticked, `seen-204` what was seen of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Ticked {
    op: Option<Uuid>,
    act: String,
    text: String,
    reason: String,
    query: String,
    under: Option<IncidentId>,
    /// Whom they are given to.
    to: Option<OperatorId>,
    /// The one that the others are merged into.
    into: Option<IncidentId>,
    /// Whether all that match are meant.
    all: bool,
    /// Those that are ticked, with the newest event that was seen of each where that matters.
    ids: Vec<(IncidentId, Option<i64>)>,
}

impl Ticked {
    pub(super) fn of(fields: Vec<(String, String)>) -> Self {
        let mut ticked = Self::default();
        let mut seen = Vec::new();
        for (name, value) in fields {
            match name.as_str() {
                "op" => ticked.op = value.parse().ok(),
                "act" => ticked.act = value,
                "text" => ticked.text = value,
                "reason" => ticked.reason = value,
                "q" => ticked.query = value,
                "under" => ticked.under = value.parse().ok().map(IncidentId),
                "to" => ticked.to = value.parse().ok().map(OperatorId),
                "into" => ticked.into = value.parse().ok().map(IncidentId),
                "all" => ticked.all = value == "yes",
                "id" => ticked
                    .ids
                    .extend(value.parse().ok().map(|id| (IncidentId(id), None))),
                other => {
                    let of = other.strip_prefix("seen-").and_then(|id| id.parse().ok());
                    seen.extend(of.map(IncidentId).zip(value.parse::<i64>().ok()));
                }
            }
        }
        for (id, newest) in &mut ticked.ids {
            *newest = seen.iter().find(|(of, _)| of == id).map(|(_, newest)| *newest);
        }
        ticked
    }

    /// What was searched for where they were ticked, and what they are folded under.
    pub(super) fn place(&self) -> (&str, Option<i64>) {
        (&self.query, self.under.map(|id| id.0))
    }

    pub(super) fn asked(&self) -> Asked {
        Asked {
            under: self.under,
            ..Asked::typed(&self.query)
        }
    }

    /// Those that are meant, at most [`BULK_MAX`].
    pub(super) async fn incidents(
        &self,
        conn: &mut PgConnection,
        me: &Operator,
    ) -> Result<Vec<(IncidentId, Option<i64>)>, StoreError> {
        let mut ids = self.ids.clone();
        if self.all {
            let wanted = wanted(conn, me, &mut self.asked()).await?;
            let all = incident_list::list_ids(conn, &wanted, BULK_MAX).await?;
            ids = all.into_iter().map(|id| (id, None)).collect();
        }
        ids.sort();
        ids.dedup_by_key(|(id, _)| *id);
        ids.truncate(BULK_MAX as usize);
        Ok(ids)
    }
}

/// What is done to each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bulk {
    Acknowledge,
    Note,
    Assign,
    Merge,
    Resolve,
}

impl Bulk {
    fn named(name: &str) -> Option<Self> {
        match name {
            "acknowledge" => Some(Self::Acknowledge),
            "note" => Some(Self::Note),
            "assign" => Some(Self::Assign),
            "merge" => Some(Self::Merge),
            "resolve" => Some(Self::Resolve),
            _ => None,
        }
    }
}

/// `POST /incidents/bulk`
pub async fn carry_out(
    State(app): State<AppState>,
    Responds(me): Responds,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Redirect, WebError> {
    let ticked = Ticked::of(fields);
    let (Some(op), Some(bulk)) = (ticked.op, Bulk::named(&ticked.act)) else {
        return Err(WebError::unreadable(
            "The form says neither what to do nor to which incidents.",
        ));
    };
    let here = ticked.asked().address();
    let told = format!("{here}{}result={op}", if here.contains('?') { '&' } else { '?' });
    let mut tx = store::begin_reading(&app.db).await?;
    if bulk_acts::find(&mut tx, op, me.id).await?.is_some() {
        return Ok(see(told));
    }
    let mut ids = ticked.incidents(&mut tx, &me).await?;
    let whom = match bulk {
        Bulk::Assign => person(&mut tx, ticked.to).await?,
        Bulk::Merge => ticked.into.map(|id| key(id.0)),
        Bulk::Acknowledge | Bulk::Note | Bulk::Resolve => Some(String::new()),
    };
    drop(tx);
    if bulk == Bulk::Merge {
        ids.retain(|(id, _)| ticked.into != Some(*id));
    }
    if ids.is_empty() {
        return Err(WebError::refused("Tick the incidents first.").with_next(here, "Back to the list"));
    }
    if bulk == Bulk::Note && ticked.text.trim().is_empty() {
        return Err(WebError::refused("The note is empty.").with_next(here, "Back to the list"));
    }
    if bulk == Bulk::Resolve && ticked.reason.trim().is_empty() {
        let fault = WebError::refused("Say why they are over: it stands in each timeline.");
        return Err(fault.with_next(here, "Back to the list"));
    }
    let Some(whom) = whom else {
        let message = match bulk {
            Bulk::Merge => "Choose the incident to keep.",
            _ => "Choose somebody who may respond to incidents.",
        };
        return Err(WebError::refused(message).with_next(here, "Back to the list"));
    };
    let mut outcome = BulkAct {
        act: ticked.act.clone(),
        whom,
        done: 0,
        failed: Vec::new(),
    };
    let mut is_away = false;
    for (id, seen) in ids {
        let done = match is_away {
            true => Err(WebError::unavailable(
                "Not tried, since the database did not answer before.",
            )),
            false => one(&app, &me, &ticked, (op, bulk), id, seen).await,
        };
        match done {
            Ok(()) => outcome.done += 1,
            Err(fault) => {
                is_away |= fault.is_outage();
                outcome.failed.push(Failed {
                    incident: id,
                    why: fault.to_string(),
                });
            }
        }
    }
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    bulk_acts::put(&mut tx, op, me.id, &outcome, app.clock.now()).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(see(told))
}

/// The name of somebody who may respond.
async fn person(conn: &mut PgConnection, id: Option<OperatorId>) -> Result<Option<String>, StoreError> {
    let people = operators::list(conn).await?;
    let found = people
        .into_iter()
        .find(|person| Some(person.id) == id && may(person, Permission::Respond).is_ok());
    Ok(found.map(|person| person.name))
}

/// The act on one incident, again when alerts came in at the same moment.
async fn one(
    app: &AppState,
    me: &Operator,
    ticked: &Ticked,
    (op, bulk): (Uuid, Bulk),
    id: IncidentId,
    seen: Option<i64>,
) -> Result<(), WebError> {
    for attempt in 1.. {
        match once(app, me, ticked, (op, bulk), id, seen).await {
            Err(Fault::Respond(RespondError::Store(error)))
                if bulk == Bulk::Merge && error.is_conflict() && attempt < TRIES_MAX => {}
            Err(Fault::Respond(error)) => return Err(error.into()),
            Err(Fault::Web(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
    Err(StoreError::Contended.into())
}

/// Why one try did nothing: by the act itself, which may be tried again, or by what stands around it.
enum Fault {
    Respond(RespondError),
    Web(WebError),
}

impl From<RespondError> for Fault {
    fn from(error: RespondError) -> Self {
        Self::Respond(error)
    }
}

impl From<WebError> for Fault {
    fn from(error: WebError) -> Self {
        Self::Web(error)
    }
}

/// One try. A form that is sent again does what the first time left undone, and nothing twice.
async fn once(
    app: &AppState,
    me: &Operator,
    ticked: &Ticked,
    (op, bulk): (Uuid, Bulk),
    id: IncidentId,
    seen: Option<i64>,
) -> Result<(), Fault> {
    let Some(mut act) = Act::begin(app, of_one(op, id), me).await? else {
        return Ok(());
    };
    let (now, reason) = (act.now, ticked.reason.as_str());
    match bulk {
        Bulk::Acknowledge => acts::acknowledge(act.conn(), id, me, now).await?,
        Bulk::Note => {
            let note = NewNote {
                text: ticked.text.clone(),
                ..NewNote::default()
            };
            words::note(act.conn(), id, me, &note, now).await?;
        }
        Bulk::Assign => {
            let to = ticked.to.unwrap_or(me.id);
            duties::give(act.conn(), id, me, Duty::Commander, to, reason, now).await?;
        }
        Bulk::Merge => {
            let into = ticked.into.unwrap_or(id);
            merge::merge(act.conn(), id, into, reason, me, now).await?;
        }
        Bulk::Resolve => {
            respond::unchanged(&mut act, id, seen, me, "Resolve all the same").await?;
            acts::resolve(act.conn(), id, me, reason, now).await?;
        }
    }
    Ok(act.commit().await?)
}

/// The operation on one incident within that on many.
fn of_one(op: Uuid, id: IncidentId) -> Uuid {
    let digest = Digest::of_bytes(format!("{op}/{id}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.0[..16]);
    Uuid::from_bytes(bytes)
}
