//! Acts on many incidents at once. Each incident is acted on by itself, in a transaction of its own, exactly as on its own
//! page; what it could not be done to is told with the reason.

use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    response::{Html, Redirect},
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    act::{Act, see},
    caller::Responds,
    error::WebError,
    incidents::wanted,
    page, respond,
    state::AppState,
    view::{bulk::ResolvePage, incidents::BULK_MAX, layout::Place, search::Asked},
};
use crate::{
    domain::{digest::Digest, id::IncidentId, operator::Operator, search::Filter},
    incident::{
        respond as acts,
        words::{self, NewNote},
    },
    store::{
        self, StoreError,
        bulk_acts::{self, BulkAct, Failed},
        incident_list::{self, Names, Wanted},
    },
};

/// The fields of the list's form, as they come: `id` once for each that is ticked, `seen-204` what was seen of it.
#[derive(Clone, Debug, Default)]
struct Ticked {
    op: Option<Uuid>,
    act: String,
    text: String,
    reason: String,
    query: String,
    under: Option<IncidentId>,
    /// Whether all that match are meant.
    all: bool,
    /// Those that are ticked, with the newest event that was seen of each where that matters.
    ids: Vec<(IncidentId, Option<i64>)>,
}

impl Ticked {
    fn of(fields: Vec<(String, String)>) -> Self {
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

    fn asked(&self) -> Asked {
        Asked {
            under: self.under,
            ..Asked::typed(&self.query)
        }
    }

    /// Those that are meant, at most [`BULK_MAX`].
    async fn incidents(
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
    Resolve,
}

impl Bulk {
    fn named(name: &str) -> Option<Self> {
        match name {
            "acknowledge" => Some(Self::Acknowledge),
            "note" => Some(Self::Note),
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
    let ids = ticked.incidents(&mut tx, &me).await?;
    drop(tx);
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
    let mut outcome = BulkAct {
        act: ticked.act.clone(),
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

/// The act on one incident. A form that is sent again does what the first time left undone, and nothing twice.
async fn one(
    app: &AppState,
    me: &Operator,
    ticked: &Ticked,
    (op, bulk): (Uuid, Bulk),
    id: IncidentId,
    seen: Option<i64>,
) -> Result<(), WebError> {
    let Some(mut act) = Act::begin(app, of_one(op, id), me).await? else {
        return Ok(());
    };
    let now = act.now;
    match bulk {
        Bulk::Acknowledge => acts::acknowledge(act.conn(), id, me, now).await?,
        Bulk::Note => {
            let note = NewNote {
                text: ticked.text.clone(),
                ..NewNote::default()
            };
            words::note(act.conn(), id, me, &note, now).await?;
        }
        Bulk::Resolve => {
            respond::unchanged(&mut act, id, seen, me, "Resolve all the same").await?;
            acts::resolve(act.conn(), id, me, &ticked.reason, now).await?;
        }
    }
    act.commit().await
}

/// The operation on one incident within that on many.
fn of_one(op: Uuid, id: IncidentId) -> Uuid {
    let digest = Digest::of_bytes(format!("{op}/{id}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.0[..16]);
    Uuid::from_bytes(bytes)
}

/// `GET /incidents/resolve`: asks before many are resolved.
pub async fn resolve_form(
    State(app): State<AppState>,
    Responds(me): Responds,
    Query(fields): Query<Vec<(String, String)>>,
) -> Result<Html<String>, WebError> {
    let ticked = Ticked::of(fields);
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let ids = ticked.incidents(&mut tx, &me).await?;
    let back = ticked.asked().address();
    let filter = Filter {
        incidents: ids.iter().map(|(id, _)| *id).collect(),
        ..Filter::default()
    };
    let wanted = Wanted::of(&filter, me.id, &Names::default());
    let lines = match ids.is_empty() {
        true => Vec::new(),
        false => incident_list::page(&mut tx, &wanted, i64::MAX, BULK_MAX).await?,
    };
    let frame = page::frame(&app, &mut tx, &me, "Resolve many", Place::Incidents, now).await?;
    let under = ticked.under.map(|id| id.0);
    let page = ResolvePage::of(frame, &lines, (&ticked.query, under), back, now);
    Ok(Html(page.render()?))
}
