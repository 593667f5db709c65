//! The list of incidents: what is open or was searched for, and what of it needs this person.

use std::time::Duration;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::{Html, Redirect},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    boots,
    caller::{Anyone, Reads},
    error::WebError,
    page,
    state::AppState,
    view::{
        bulk::Result as Outcome,
        drill::going_on::GoingOnPart,
        format,
        incident::key,
        incidents::{Around, Empty, List, ListPage, Needs, OfferPart, ROWS_MAX, may_act},
        layout::Place,
        search::{Asked, Filters, SearchBox},
        text,
    },
};
use crate::{
    domain::{
        id::{DrillId, IncidentId, RunId},
        incident::IncidentState,
        nearest::nearest,
        operator::Operator,
        search::{OPEN, Trait, What},
        titles::Titles,
    },
    store::{
        self, StoreError, approvals, bulk_acts,
        incident_list::{self, Facets, Folds, Names, Wanted},
        incidents, playing, runs, saved_views,
        saved_views::View,
        titles,
    },
};

/// Steps waiting for a person that are looked at.
const AWAITING_MAX: i64 = 50;
/// Requests for a decision that are looked at.
const PENDING_MAX: i64 = 100;
/// Drills named on top of the list.
const DRILLS_MAX: i64 = 5;
/// How long a statement that reads the rows may take.
pub const READING_MAX: Duration = Duration::from_secs(3);
/// How long a statement that counts may take; then the list is shown without counts.
const COUNTING_MAX: Duration = Duration::from_secs(1);

/// `GET /`
pub async fn home(State(_): State<AppState>, _: Anyone) -> Redirect {
    Redirect::to("/incidents")
}

/// The list's filter and place.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ListQuery {
    /// What was typed.
    pub q: Option<String>,
    /// `all`, in links that are older than the query.
    #[serde(default)]
    pub state: String,
    /// Those folded under this one.
    pub under: Option<IncidentId>,
    /// Those older than this one.
    pub before: Option<i64>,
    /// An act on many of them, whose outcome is told.
    pub result: Option<Uuid>,
}

impl ListQuery {
    /// What is asked for, with what the list opens with where nothing is said.
    pub fn asked(&self, views: &[View]) -> Asked {
        let opening = views.iter().find(|view| view.is_default).map(|view| &view.query);
        let text = match (&self.q, self.state.as_str(), opening) {
            (Some(text), ..) => text.as_str(),
            (None, "all", _) => "state:all",
            (None, "", Some(text)) if self.under.is_none() => text.as_str(),
            _ => "state:open",
        };
        Asked {
            under: self.under,
            before: self.before,
            ..Asked::typed(text)
        }
    }
}

/// `GET /incidents`
pub async fn list(
    State(app): State<AppState>,
    Reads(me): Reads,
    Query(query): Query<ListQuery>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let mut frame = page::frame(&app, &mut tx, &me, "Incidents", Place::Incidents, now).await?;
    let views = saved_views::list(&mut tx, me.id).await?;
    let mut asked = query.asked(&views);
    let cursor = cursor(&mut tx, wants_drills(&asked)).await?;
    let needs = needs(&mut tx, &me, now).await?;
    let away = boots::banner(&mut tx, now).await?;
    let drills = playing::going_on(&mut tx, me.id, DRILLS_MAX).await?;
    let offer = playing::offer(&mut tx).await?;
    let outcome = match query.result {
        Some(op) => bulk_acts::find(&mut tx, op, me.id).await?,
        None => None,
    };
    let ticked: Vec<IncidentId> = outcome
        .iter()
        .flat_map(|outcome| outcome.failed.iter().map(|failed| failed.incident))
        .collect();
    let listed = listed(&mut tx, &me, &mut asked, (&ticked, None), now).await;
    if asked.before.is_none() && asked.under.is_none() {
        let parameters = [
            ("scope", "incidents"),
            (
                "q",
                if asked.text.is_empty() {
                    "state:all"
                } else {
                    &asked.text
                },
            ),
            ("after", cursor.as_str()),
        ];
        frame = frame.live(text::with_query("/live", &parameters));
    }
    let (list, filters) = match listed {
        Ok(listed) => (Some(listed.list), Filters::of(&asked, listed.facets.as_ref())),
        Err(error) => {
            tracing::error!(%error, query = asked.text, "the list of incidents could not be read");
            (None, Filters::of(&asked, None))
        }
    };
    let page = ListPage {
        frame,
        drills: GoingOnPart::of(&drills, now),
        offer: offer.map(OfferPart::of),
        away,
        needs,
        result: outcome.as_ref().map(Outcome::of),
        search: SearchBox::of(&asked, &views),
        filters,
        list,
        here: asked.address_before(asked.before),
        under: asked.under.map(|id| id.0),
        may_act: may_act(&me),
    };
    Ok(Html(page.render()?))
}

/// Whether drills are asked for: what happens in them is no news to anybody else.
pub fn wants_drills(asked: &Asked) -> bool {
    asked.search.filter().asks(Trait::Drill) == Some(true)
}

/// What changes whenever the list may; a list of drills, or one with them, when `drills`.
pub async fn cursor(conn: &mut PgConnection, drills: bool) -> Result<String, StoreError> {
    let pulse = incidents::pulse(conn, drills).await?;
    Ok(format!("{}-{}-{}", pulse.open, pulse.events, pulse.newest))
}

/// What needs this person: of drills only what they play in themselves.
pub async fn needs(conn: &mut PgConnection, me: &Operator, now: DateTime<Utc>) -> Result<Needs, StoreError> {
    let playing = playing::going_on(conn, me.id, DRILLS_MAX).await?;
    let is_theirs =
        |drill: Option<DrillId>| drill.is_none_or(|drill| playing.iter().any(|played| played.drill == drill));
    let mut pending = approvals::list_lines(conn, None, PENDING_MAX).await?;
    pending.retain(|line| is_theirs(line.drill));
    let mut awaiting = runs::list_awaiting(conn, AWAITING_MAX).await?;
    awaiting.retain(|line| is_theirs(line.drill));
    let titles = match awaiting.is_empty() {
        true => Titles::default(),
        false => {
            let runs: Vec<RunId> = awaiting.iter().map(|line| line.run).collect();
            titles::list_of(conn, &runs).await?
        }
    };
    Ok(Needs::of(&pending, &awaiting, &titles, me, now))
}

/// The rows that were asked for and what is counted around them.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The rows.
    pub list: List,
    /// The counts, unless they took too long.
    pub facets: Option<Facets>,
}

/// The rows that were asked for, with counts that are known already or are made now. A failure leaves the transaction as
/// it was, so that the rest of the page is still shown.
pub async fn listed(
    conn: &mut PgConnection,
    me: &Operator,
    asked: &mut Asked,
    (ticked, known): (&[IncidentId], Option<Facets>),
    now: DateTime<Utc>,
) -> Result<Listed, StoreError> {
    let mut part = incident_list::begin_part(conn).await?;
    let read = read(&mut part, me, asked, now).await;
    let (wanted, lines, empty) = match read {
        Ok(read) => {
            part.commit().await?;
            read
        }
        Err(error) => {
            part.rollback().await?;
            return Err(error);
        }
    };
    let facets = match known {
        Some(known) => Some(known),
        None => facets(conn, &wanted, me).await?,
    };
    let around = Around {
        empty,
        total: facets
            .as_ref()
            .map(|facets| (facets.base.all, facets.base.is_cut)),
        ticked,
        may_act: may_act(me),
    };
    let list = List::of(&lines, asked, &around, now);
    Ok(Listed { list, facets })
}

/// The counts, or none when they take too long.
async fn facets(
    conn: &mut PgConnection,
    wanted: &Wanted,
    me: &Operator,
) -> Result<Option<Facets>, StoreError> {
    let mut part = incident_list::begin_part(conn).await?;
    incident_list::hurry(&mut part, COUNTING_MAX).await?;
    match incident_list::facets(&mut part, wanted, me.id).await {
        Ok(facets) => {
            part.commit().await?;
            Ok(Some(facets))
        }
        Err(error) => {
            tracing::warn!(%error, "the incidents could not be counted in time");
            part.rollback().await?;
            Ok(None)
        }
    }
}

async fn read(
    conn: &mut PgConnection,
    me: &Operator,
    asked: &mut Asked,
    now: DateTime<Utc>,
) -> Result<(Wanted, Vec<incident_list::Line>, Option<Empty>), StoreError> {
    incident_list::hurry(conn, READING_MAX).await?;
    let mut wanted = wanted(conn, me, asked).await?;
    let before = asked.before.unwrap_or(i64::MAX);
    incident_list::look_up_words(conn, &mut wanted, before).await?;
    let lines = incident_list::page(conn, &wanted, before, ROWS_MAX as i64 + 1).await?;
    let empty = match lines.is_empty() {
        true => Some(empty(conn, asked, now).await?),
        false => None,
    };
    Ok((wanted, lines, empty))
}

/// What is asked, in the words of the database. A person or a source that nobody knows becomes a fault of the query.
pub async fn wanted(conn: &mut PgConnection, me: &Operator, asked: &mut Asked) -> Result<Wanted, StoreError> {
    incident_list::plan_by_values(conn).await?;
    let named = asked.named();
    let names = match named.is_empty() {
        true => Names::default(),
        false => incident_list::names(conn).await?,
    };
    for (term, name) in named {
        let (known, missing) = match &term.what {
            What::Source(_) => (&names.sources, "no source is called"),
            _ => (&names.people, "nobody is called"),
        };
        if incident_list::number(known, &name).is_none() {
            let near = nearest(&name, known.iter().map(|(_, name)| name.as_str()));
            asked.unknown(&term, &name, missing, near);
        }
    }
    let filter = asked.search.filter();
    // An incident stands for others only where whoever looks sees it.
    let folds = match filter.states.as_deref() {
        _ if !asked.search.is_plain() => Folds::Listed,
        None => Folds::Hidden,
        Some(some) if some.len() == IncidentState::ALL.len() => Folds::Hidden,
        Some(some) if some == OPEN => Folds::HiddenUnderOpen,
        Some(_) => Folds::Listed,
    };
    Ok(Wanted::of(&filter, me.id, &names).folds(folds).under(asked.under))
}

/// Why there is nothing: what was last, and whether alerts arrive at all.
async fn empty(conn: &mut PgConnection, asked: &Asked, now: DateTime<Utc>) -> Result<Empty, StoreError> {
    if asked.under.is_some() {
        return Ok(Empty::NoneBelow);
    }
    if !incident_list::any(conn).await? {
        return Ok(Empty::Never);
    }
    if !asked.is_open_only() || asked.before.is_some() {
        return Ok(Empty::Filtered);
    }
    let mut lines = Vec::new();
    if let Some((id, at)) = incident_list::last_over(conn).await? {
        lines.push(format!("Last: {}, {} ago.", key(id.0), format::rough(now - at)));
    }
    let (alerts, is_cut) = incident_list::alerts_since(conn, now - TimeDelta::hours(24)).await?;
    let plus = if is_cut { "+" } else { "" };
    lines.push(format!(
        "Alerts received in 24 h: {}{plus}.",
        format::grouped(alerts)
    ));
    if alerts == 0 {
        lines.push(
            "If alerts should have come, look at the deliveries: a wrong token shows there.".to_owned(),
        );
    }
    Ok(Empty::NoneOpen(lines))
}
