//! The page of one incident.

use std::collections::BTreeSet;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Html,
};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::PgConnection;

use super::{
    caller::Reads,
    error::WebError,
    extract::Path,
    page, runs as run_page,
    state::AppState,
    timeline,
    view::{
        alert_rate::Scale,
        alerts::ALERTS_MAX,
        incident::{IncidentPage, IncidentRecord, Sections, UndoLine, key, note_at},
        layout::Place,
        lens::{Asked, Lens},
        services::{OTHERS_MAX, SERVICES_MAX, named_in},
        text,
        timeline::AwayLine,
    },
};
use crate::{
    domain::{
        access::may,
        id::{IncidentId, RunId},
        operator::Operator,
        permission::Permission,
    },
    execute::standing::Standing,
    incident::taking_back,
    store::{
        self, StoreError, alerts,
        apart::{self, Failed},
        approvals, briefs, coverage,
        cursors::{self, Cursor},
        duties, folds, incidents,
        incidents::Incident,
        matches, merges, operators, preflights, reviews,
        runbooks::{self, Version},
        runs, services, silences, timelines, tracks, visits,
    },
};

/// Runs shown on the page.
const RUNS_MAX: i64 = 20;
/// Requests for a decision shown on the page.
const APPROVALS_MAX: i64 = 20;
/// Merged incidents named on the page.
const MERGED_MAX: i64 = 20;
/// Silences shown on the page.
const SILENCES_MAX: i64 = 30;
/// Reviews shown on the page, the open ones first.
const REVIEWS_MAX: i64 = 20;

/// What of the page is asked for besides its timeline.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ShowQuery {
    /// When what a note tells of happened.
    #[serde(default)]
    pub at: String,
}

/// `GET /incidents/{id}`
pub async fn show(
    State(app): State<AppState>,
    Reads(me): Reads,
    Path(id): Path<IncidentId>,
    Query(asked): Query<Asked>,
    Query(query): Query<ShowQuery>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let lens = Lens::read(&asked);
    let mut tx = store::begin_reading(&app.db).await?;
    let record = load(&mut tx, &app.standing, id, Some(&lens), now)
        .await?
        .ok_or_else(|| WebError::not_found("incident"))?;
    let incident = &record.incident;
    let title = format!(
        "{} {} · {} · {}",
        incident.severity,
        incident.state,
        text::visible(&incident.title),
        key(id.0)
    );
    let cursor = cursors::find(&mut tx, id).await?.unwrap_or_default();
    let (away, undo) = personal(&mut tx, incident, &me, now).await?;
    let frame = page::frame(&app, &mut tx, &me, title, Place::Incidents, now)
        .await?
        .of_drill(incident.drill);
    let page = IncidentPage {
        frame: frame.live(live(id, cursor, &lens)),
        id: id.0,
        seen: incident.last_seq,
        sections: Sections::of(&record, &lens, &me, now),
        away,
        undo,
        note_at: note_at(&query.at),
    };
    Ok(Html(page.render()?))
}

/// The address that keeps the page up to date, as it is seen.
fn live(id: IncidentId, cursor: Cursor, lens: &Lens) -> String {
    let mut parameters = vec![
        ("scope", format!("incident:{id}")),
        ("rows", if lens.grows_on_top() { "" } else { "no" }.to_owned()),
        ("after", cursor.to_string()),
    ];
    parameters.extend(lens.parameters());
    let parameters: Vec<(&str, &str)> = parameters
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    text::with_query("/live", &parameters)
}

/// What only this person is told: what happened while they were away, and what they can take back.
async fn personal(
    conn: &mut PgConnection,
    incident: &Incident,
    me: &Operator,
    now: DateTime<Utc>,
) -> Result<(Option<AwayLine>, Option<UndoLine>), StoreError> {
    let id = incident.id;
    let visit = visits::find(conn, me.id, id).await?;
    let away = match visit.and_then(|visit| visit.away(now)) {
        Some(away) => {
            let counts = timelines::counts(conn, id, away.seq).await?;
            AwayLine::of(id, away.seq, away.since, &counts, now)
        }
        None => None,
    };
    let undo = match may(me, Permission::Respond) {
        Ok(_) => taking_back::find(conn, id, incident.state, incident.last_seq, me, now).await?,
        Err(_) => None,
    };
    Ok((away, undo.map(UndoLine::from)))
}

/// Everything the page shows, `None` when there is no such incident. Each part is read for itself: one that cannot be
/// leaves the others as they are. Of the timeline only what stands around its rows, without a lens to see them through.
pub async fn load(
    conn: &mut PgConnection,
    standing: &Standing,
    id: IncidentId,
    lens: Option<&Lens>,
    now: DateTime<Utc>,
) -> Result<Option<IncidentRecord>, StoreError> {
    let Some(incident) = incidents::find(conn, id).await? else {
        return Ok(None);
    };
    let mut record = IncidentRecord::of(incident);
    let mut failed = BTreeSet::new();

    let mut part = apart::begin(conn).await?;
    let read = head(&mut part, &mut record, now).await;
    note(&mut failed, "head", apart::settle(part, "head", read).await?);

    let mut part = apart::begin(conn).await?;
    let read = decisions(&mut part, &mut record).await;
    note(
        &mut failed,
        "decisions",
        apart::settle(part, "decisions", read).await?,
    );

    let mut part = apart::begin(conn).await?;
    let read = runs_of(&mut part, standing, &mut record).await;
    note(&mut failed, "runs", apart::settle(part, "runs", read).await?);

    let mut part = apart::begin(conn).await?;
    let read = team(&mut part, &mut record).await;
    note(&mut failed, "team", apart::settle(part, "team", read).await?);

    let mut part = apart::begin(conn).await?;
    let read = alerts::list_members(&mut part, id, ALERTS_MAX).await;
    let read = apart::settle(part, "alerts", read).await?;
    note(
        &mut failed,
        "alerts",
        read.map(|members| record.members = members),
    );

    // After those that name services, so that these are known.
    let mut part = apart::begin(conn).await?;
    let read = others(&mut part, &mut record).await;
    note(
        &mut failed,
        "services",
        apart::settle(part, "services", read).await?,
    );

    let mut part = apart::begin(conn).await?;
    let read = silences_of(&mut part, &mut record).await;
    note(
        &mut failed,
        "silences",
        apart::settle(part, "silences", read).await?,
    );

    let mut part = apart::begin(conn).await?;
    let read = match lens {
        Some(lens) => timeline::load(&mut part, id, lens).await,
        None => timeline::around(&mut part, id).await,
    };
    record.timeline = apart::settle(part, "timeline", read).await?.ok();

    record.failed = failed;
    Ok(Some(record))
}

fn note(failed: &mut BTreeSet<&'static str>, name: &'static str, read: Result<(), Failed>) {
    if read.is_err() {
        failed.insert(name);
    }
}

async fn head(
    conn: &mut PgConnection,
    record: &mut IncidentRecord,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let id = record.incident.id;
    record.below = folds::count_below(conn, id).await?;
    record.merged = merges::list_in(conn, id, MERGED_MAX).await?;
    let scale = Scale::of(&record.incident, now);
    let counted = timelines::alert_rate(conn, id, scale.from, scale.stretch_s).await?;
    record.rate = Some((scale, counted));
    Ok(())
}

async fn decisions(conn: &mut PgConnection, record: &mut IncidentRecord) -> Result<(), StoreError> {
    let id = record.incident.id;
    for approval in approvals::list_pending(conn, Some(id), APPROVALS_MAX).await? {
        let votes = approvals::votes(conn, approval.id).await?;
        let given = votes.iter().filter(|vote| vote.verdict == "approve").count();
        record.approvals.push((approval, given as i64));
    }
    record.reviews = reviews::list(conn, Some(id), REVIEWS_MAX).await?;
    Ok(())
}

async fn runs_of(
    conn: &mut PgConnection,
    standing: &Standing,
    record: &mut IncidentRecord,
) -> Result<(), StoreError> {
    let id = record.incident.id;
    for found in matches::list(conn, id).await? {
        let version = runbooks::find_version(conn, found.version_id).await?;
        record.matches.push((found, version));
    }
    record.preflights = preflights::list(conn, id).await?;
    let names: Vec<String> = record
        .matches
        .iter()
        .map(|(found, _)| found.slug.clone())
        .collect();
    record.tracks = tracks::list(conn, &names).await?;
    let versions: Vec<&Version> = record
        .matches
        .iter()
        .filter_map(|(_, version)| version.as_ref())
        .collect();
    let of: Vec<_> = versions
        .iter()
        .map(|version| (version.runbook_id, &version.runbook))
        .collect();
    let covered = coverage::list(conn, &of, None).await?;
    let tallies = versions.iter().zip(covered);
    record.coverages = tallies
        .map(|(version, coverage)| (version.id, coverage.tally()))
        .collect();
    let mut past_runs = runs::list_of_incident(conn, id, RUNS_MAX).await?;
    let mut shown: Vec<RunId> = past_runs
        .iter()
        .filter(|line| line.finished_at.is_none())
        .map(|line| line.id)
        .collect();
    if shown.is_empty() {
        shown.extend(past_runs.first().map(|line| line.id));
    }
    past_runs.retain(|line| !shown.contains(&line.id));
    record.past_runs = past_runs;
    for run in shown {
        record.runs.extend(run_page::load(conn, standing, run).await?);
    }
    Ok(())
}

async fn team(conn: &mut PgConnection, record: &mut IncidentRecord) -> Result<(), StoreError> {
    let id = record.incident.id;
    record.brief = briefs::find(conn, id).await?;
    record.duties = duties::list(conn, id).await?;
    if record.incident.state.is_open() {
        record.people = operators::list(conn).await?;
        record
            .people
            .retain(|person| may(person, Permission::Respond).is_ok());
    }
    Ok(())
}

async fn others(conn: &mut PgConnection, record: &mut IncidentRecord) -> Result<(), StoreError> {
    let names: Vec<String> = named_in(record)
        .into_iter()
        .take(SERVICES_MAX)
        .map(|(name, _)| name)
        .collect();
    record.others = services::list_open(conn, &names, record.incident.id, OTHERS_MAX as i64 + 1).await?;
    Ok(())
}

async fn silences_of(conn: &mut PgConnection, record: &mut IncidentRecord) -> Result<(), StoreError> {
    let id = record.incident.id;
    record.alertmanager = silences::target_of(conn, id).await?;
    record.silences = silences::list(conn, id, SILENCES_MAX).await?;
    Ok(())
}
