//! Starting a run: inputs resolved, the version pinned, the first event written, the queue told.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{
    domain::{
        access::may_within,
        event::{Event, IncidentFact, NewEvent},
        freeze::{self, Freeze},
        id::{IncidentId, RunId},
        labels::Labels,
        operator::{Actor, Operator},
        permission::Permission,
        run::RunFact,
        runbook::{MissingInputs, StartMode},
    },
    store::{
        StoreError, drills, events, flaps, freezes, matches, operators, pauses, publications,
        runbooks::Version, runs,
    },
};

/// Who starts a run.
#[derive(Clone, Copy, Debug)]
pub enum Starter<'a> {
    /// A person.
    Person(&'a Operator),
    /// Muster, because the runbook says `start: automatic`.
    Automation,
}

/// Why a run could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Values are missing.
    #[error(transparent)]
    Inputs(#[from] MissingInputs),
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Starts a run on a locked incident; `None` when Muster has started this runbook on it before. It is about the alert
/// that the version matched.
pub async fn begin(
    conn: &mut PgConnection,
    incident: IncidentId,
    version: &Version,
    given: &BTreeMap<String, String>,
    starter: Starter<'_>,
    now: DateTime<Utc>,
) -> Result<Option<RunId>, StartError> {
    let context = matches::run_context(conn, incident, version.id).await?;
    let inputs = version.runbook.resolve_inputs(given, &context)?;
    let (requested_by, actor, mode) = match starter {
        Starter::Person(person) => (Some(person.id), person.actor(), StartMode::Manual),
        Starter::Automation => (None, Actor::Automation, StartMode::Automatic),
    };
    let new = runs::NewRun {
        incident,
        runbook_id: version.runbook_id,
        version: version.id,
        requested_by,
        inputs: &inputs,
        context: &context,
        continues: None,
    };
    let Some(run) = runs::insert(conn, &new, now).await? else {
        return Ok(None);
    };
    let fact = RunFact::RunStarted {
        runbook: version.runbook.slug.clone(),
        version: version.number,
        digest: version.digest,
        mode,
        inputs,
        continues: None,
    };
    events::append(
        conn,
        incident,
        &[NewEvent::by(actor, Event::Run(run, fact), now)],
        now,
    )
    .await?;
    Ok(Some(run))
}

/// Starts a run by itself, or writes down why it is only suggested: all automation is paused, a freeze holds for its
/// alert, who published the version may not start it, its incident flaps, the budget is spent, its source has started too
/// many runs lately, or an input is missing.
pub async fn begin_automatically(
    conn: &mut PgConnection,
    incident: IncidentId,
    version: &Version,
    now: DateTime<Utc>,
) -> Result<Option<RunId>, StoreError> {
    let mut held_back = held_by_people(conn, incident, version, now).await?;
    if held_back.is_none() {
        held_back = beyond_its_publisher(conn, version).await?;
    }
    if held_back.is_none() {
        held_back = flaps::flapping_since(conn, incident).await?.map(|since| {
            format!(
                "its incident flaps since {}",
                since.format("%-d %b %Y %H:%M:%S UTC")
            )
        });
    }
    if held_back.is_none() {
        held_back = over_budget(conn, incident, version, now).await?;
    }
    if held_back.is_none() {
        held_back = in_a_storm(conn, incident, now).await?;
    }
    let reason = match held_back {
        Some(reason) => reason,
        None => match begin(
            conn,
            incident,
            version,
            &BTreeMap::new(),
            Starter::Automation,
            now,
        )
        .await
        {
            Ok(run) => return Ok(run),
            Err(StartError::Store(error)) => return Err(error),
            Err(StartError::Inputs(missing)) => missing.to_string(),
        },
    };
    hold_back(conn, incident, version, reason, now).await?;
    Ok(None)
}

/// Writes down why a runbook that starts by itself is only suggested.
pub async fn hold_back(
    conn: &mut PgConnection,
    incident: IncidentId,
    version: &Version,
    reason: String,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let fact = IncidentFact::StartHeldBack {
        runbook: version.runbook.slug.clone(),
        reason,
    };
    events::append(conn, incident, &[NewEvent::automatic(fact, now)], now).await?;
    Ok(())
}

/// The pause or the freeze that stands against a start. Read here and not from a replica's snapshot, which is a moment
/// old.
async fn held_by_people(
    conn: &mut PgConnection,
    incident: IncidentId,
    version: &Version,
    now: DateTime<Utc>,
) -> Result<Option<String>, StoreError> {
    if let Some(pause) = pauses::find(conn).await? {
        return Ok(Some(pause.why()));
    }
    let freezes = freezes::list(conn, now).await?;
    // A freeze protects what is real: while one holds is a good time to practise.
    if freezes.is_empty() || drills::of_incident(conn, incident).await?.is_some() {
        return Ok(None);
    }
    let mut context = matches::run_context(conn, incident, version.id).await?;
    let labels: Labels = serde_json::from_value(context["labels"].take())
        .map_err(|error| StoreError::corrupt("alerts", "labels", error))?;
    Ok(freeze::holding(&freezes, &labels, now).map(Freeze::why))
}

/// Why whoever published a version may not start it themselves now: automation acts with their rights and never with
/// more. What lies in the server's own folder was put there by whoever keeps the server, who may all. What a run that was
/// started does later, taking back and cleaning up included, belongs to that run and is not asked for again.
async fn beyond_its_publisher(
    conn: &mut PgConnection,
    version: &Version,
) -> Result<Option<String>, StoreError> {
    let Some(publisher) = publications::find_publisher(conn, version.id).await? else {
        return Ok(None);
    };
    let why = match operators::find(conn, publisher.id).await? {
        None => "their account is disabled".to_owned(),
        Some(person) => match may_within(&person, Permission::Run, &version.runbook.access.start) {
            Ok(_) => return Ok(None),
            Err(denial) => denial.to_string(),
        },
    };
    Ok(Some(format!(
        "{} published it as version {} and may not start it: {why}",
        publisher.name, version.number
    )))
}

/// The budget of a runbook that is spent.
async fn over_budget(
    conn: &mut PgConnection,
    incident: IncidentId,
    version: &Version,
    now: DateTime<Utc>,
) -> Result<Option<String>, StoreError> {
    let Some(budget) = version.runbook.budget else {
        return Ok(None);
    };
    let since = now - budget.per.as_delta();
    runs::lock_budget(conn, version.runbook_id).await?;
    let started = runs::count_automatic_since(conn, incident, version.runbook_id, since).await?;
    Ok((started >= i64::from(budget.runs)).then(|| {
        format!(
            "it started {started} times in {}, and its budget is {}",
            budget.per, budget.runs
        )
    }))
}

/// The storm limit of a source that is reached: what it sends is taken all the same, and people decide what to run.
async fn in_a_storm(
    conn: &mut PgConnection,
    incident: IncidentId,
    now: DateTime<Utc>,
) -> Result<Option<String>, StoreError> {
    let Some((source, storm)) = runs::lock_storm(conn, incident).await? else {
        return Ok(None);
    };
    let since = now - storm.within.as_delta();
    let started = runs::count_automatic_of_source(conn, source, since, storm.starts).await?;
    Ok((started >= i64::from(storm.starts)).then(|| {
        format!(
            "its source started {started} runs in {}, and its storm limit is {}",
            storm.within, storm.starts
        )
    }))
}
