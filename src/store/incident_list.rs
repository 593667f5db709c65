//! The list of incidents: one filter, asked for a page of rows, for counts and for the incidents that an act on all of
//! them is about.
//!
//! The filter is one condition with a parameter for each of its parts, which Postgres must plan by the values it is given:
//! whoever asks calls [`plan_by_values`] first in the same transaction.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection, Postgres, Transaction};

use super::StoreError;
use crate::domain::{
    id::{IncidentId, OperatorId, RunId},
    incident::{IncidentState, Severity},
    search::{Filter, Owner, Trait},
};

/// Incidents that are counted at most; there may be more.
pub const COUNTED_MAX: i64 = 1000;
/// People, and sources, whose names are known to a search.
pub const NAMES_MAX: i64 = 1000;
/// Of this many of the newest incidents it is asked whether they have a word.
const SAMPLE: i64 = 1000;
/// A word that so many of them have is common.
const COMMON: i64 = 40;
/// Incidents that are looked up by a word that is not; more are not found.
const HITS_MAX: i64 = 5000;
/// Deliveries whose alerts are counted at most.
const DELIVERIES_MAX: i64 = 10_000;

/// What is looked for, in the words of the database.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    filter: Filter,
    states: Option<Vec<String>>,
    severities: Option<Vec<i16>>,
    /// Whether it matters whose they are, whose, and whether nobody's count.
    owners: Option<Vec<i64>>,
    nobody: bool,
    not_owners: Vec<i64>,
    not_nobody: bool,
    sources: Option<Vec<i64>>,
    not_sources: Vec<i64>,
    labels: Option<Value>,
    not_labels: Vec<Value>,
    incidents: Option<Vec<i64>>,
    not_incidents: Vec<i64>,
    words: Option<String>,
    under: Option<i64>,
    folds: Folds,
}

/// What becomes of incidents that another one stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Folds {
    /// They are listed like any other.
    #[default]
    Listed,
    /// Left out under one that is open.
    HiddenUnderOpen,
    /// Left out under whichever.
    Hidden,
}

impl Wanted {
    /// A filter, asked by somebody, with what it names known by number. An unknown name is nobody's.
    pub fn of(filter: &Filter, me: OperatorId, names: &Names) -> Self {
        let ids = |owners: &[Owner]| -> Vec<i64> {
            let known = owners.iter().filter_map(|owner| match owner {
                Owner::Me => Some(me.0),
                Owner::Nobody => None,
                Owner::Named(name) => number(&names.people, name),
            });
            known.collect()
        };
        let of_sources = |some: &[String]| -> Vec<i64> {
            some.iter()
                .filter_map(|name| number(&names.sources, name))
                .collect()
        };
        let label = |(name, value): &(String, String)| json!({ name: value });
        let mut labels = serde_json::Map::new();
        for (name, value) in &filter.labels {
            labels.insert(name.clone(), Value::String(value.clone()));
        }
        Self {
            states: filter.states.as_ref().map(|some| state_names(some)),
            severities: filter.severities.as_ref().map(|some| numbers(some)),
            owners: (!filter.owners.is_empty()).then(|| ids(&filter.owners)),
            nobody: filter.owners.contains(&Owner::Nobody),
            not_owners: ids(&filter.not_owners),
            not_nobody: filter.not_owners.contains(&Owner::Nobody),
            sources: (!filter.sources.is_empty()).then(|| of_sources(&filter.sources)),
            not_sources: of_sources(&filter.not_sources),
            labels: (!labels.is_empty()).then_some(Value::Object(labels)),
            not_labels: filter.not_labels.iter().map(label).collect(),
            incidents: (!filter.incidents.is_empty())
                .then(|| filter.incidents.iter().map(|id| id.0).collect()),
            not_incidents: filter.not_incidents.iter().map(|id| id.0).collect(),
            words: words(&filter.words),
            under: None,
            folds: Folds::Listed,
            filter: filter.clone(),
        }
    }

    /// The same with the folded ones treated so.
    pub fn folds(mut self, folds: Folds) -> Self {
        self.folds = folds;
        self
    }

    /// Only those folded under this one.
    pub fn under(mut self, parent: Option<IncidentId>) -> Self {
        self.under = parent.map(|id| id.0);
        self
    }

    /// The same in the other states, when it is about some.
    pub fn other_states(&self) -> Option<Self> {
        let some = self.filter.states.as_ref()?;
        let others = IncidentState::ALL
            .into_iter()
            .filter(|state| !some.contains(state));
        Some(Self {
            states: Some(state_names(&others.collect::<Vec<_>>())),
            ..self.clone()
        })
    }

    /// The same with the other severities, when it is about some.
    pub fn other_severities(&self) -> Option<Self> {
        let some = self.filter.severities.as_ref()?;
        let others = Severity::ALL
            .into_iter()
            .filter(|severity| !some.contains(severity));
        Some(Self {
            severities: Some(numbers(&others.collect::<Vec<_>>())),
            ..self.clone()
        })
    }

    /// The same whoever's they are, when it is about that.
    pub fn any_owner(&self) -> Option<Self> {
        let is_about_owners = self.owners.is_some() || self.not_nobody || !self.not_owners.is_empty();
        is_about_owners.then(|| Self {
            owners: None,
            nobody: false,
            not_owners: Vec::new(),
            not_nobody: false,
            ..self.clone()
        })
    }

    /// The same for every service, when it is about some.
    pub fn any_service(&self) -> Option<Self> {
        let is_about_services = !self.filter.services.is_empty() || !self.filter.not_services.is_empty();
        let mut wanted = self.clone();
        wanted.filter.services.clear();
        wanted.filter.not_services.clear();
        is_about_services.then_some(wanted)
    }

    fn some<T>(list: &[T]) -> Option<&[T]> {
        (!list.is_empty()).then_some(list)
    }

    fn fold_rule(&self) -> i16 {
        self.folds as i16
    }

    /// Nothing can be so: no drill is kept among incidents, and some things contradict each other.
    fn is_nothing(&self) -> bool {
        self.filter.is_impossible() || self.filter.asks(Trait::Drill) == Some(true)
    }
}

fn state_names(states: &[IncidentState]) -> Vec<String> {
    states.iter().map(|state| state.name().to_owned()).collect()
}

fn numbers(severities: &[Severity]) -> Vec<i16> {
    severities.iter().map(|severity| severity.number()).collect()
}

/// What people and sources are called, each with its number.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// The people who can own an incident.
    pub people: Vec<(i64, String)>,
    /// The sources.
    pub sources: Vec<(i64, String)>,
}

/// What has that name, whichever way it is written.
pub fn number(known: &[(i64, String)], name: &str) -> Option<i64> {
    let name = name.to_lowercase();
    let found = known.iter().find(|(_, other)| other.to_lowercase() == name);
    found.map(|(number, _)| *number)
}

/// Words as a text query: each is the beginning of one, those that are not wanted are turned round.
fn words(words: &[(String, bool)]) -> Option<String> {
    let terms: Vec<String> = words
        .iter()
        .map(|(word, wanted)| {
            let word = word.replace('\0', " ").replace('\\', "\\\\").replace('\'', "''");
            let not = if *wanted { "" } else { "!" };
            format!("{not}'{word}':*")
        })
        .collect();
    (!terms.is_empty()).then(|| terms.join(" & "))
}

/// One statement over the incidents `i` that are wanted: what stands before the condition, what after, the filter, and
/// further parameters from `$24`.
macro_rules! found {
    ($head:tt, $tail:tt, $wanted:expr $(, $more:expr)* $(,)?) => {
        sqlx::query!(
            $head + " from incidents i
              where ($1::text[] is null or i.state = any($1))
                and ($2::smallint[] is null or i.severity = any($2))
                and ($3::bigint[] is null or i.acknowledged_by = any($3) or $4::bool and i.acknowledged_by is null)
                and ($5::bigint[] is null or i.acknowledged_by is null or i.acknowledged_by <> all($5))
                and not ($6::bool and i.acknowledged_by is null)
                and ($7::text[] is null or i.service = any($7))
                and ($8::text[] is null or i.service is null or i.service <> all($8))
                and ($9::bigint[] is null or i.source_id = any($9))
                and ($10::bigint[] is null or i.source_id <> all($10))
                and ($11::jsonb is null or i.context -> 'labels' @> $11)
                and ($12::jsonb[] is null
                     or not exists (select from unnest($12) l (label) where i.context -> 'labels' @> l.label))
                and ($13::bigint[] is null or i.id = any($13))
                and ($14::bigint[] is null or i.id <> all($14))
                and ($15::text is null or i.words @@ to_tsquery('simple', $15))
                and ($16::bool is null
                     or $16 = ((select r.id from runs r where r.incident_id = i.id limit 1) is not null))
                and ($17::bool is null or $17 = (i.id = any(array(select incident_id from run_queue))))
                and ($18::bool is null
                     or $18 = (i.id = any(array(select incident_id from approvals where state = 'pending'))))
                and ($19::bool is null or $19 = (i.calm_due is not null))
                and ($20::bool is null or $20 = (i.folded_under is not null))
                and case when $21::bigint is not null then i.folded_under = $21
                         when $22::smallint = 0 then true
                         else i.folded_under is null or $22 = 1 and not exists (
                             select from incidents p where p.id = i.folded_under
                                and p.state in ('triggered', 'acknowledged', 'mitigated')) end
                and not $23::bool " + $tail,
            $wanted.states.as_deref() as Option<&[String]>,
            $wanted.severities.as_deref() as Option<&[i16]>,
            $wanted.owners.as_deref() as Option<&[i64]>,
            $wanted.nobody,
            Wanted::some(&$wanted.not_owners) as Option<&[i64]>,
            $wanted.not_nobody,
            Wanted::some(&$wanted.filter.services) as Option<&[String]>,
            Wanted::some(&$wanted.filter.not_services) as Option<&[String]>,
            $wanted.sources.as_deref() as Option<&[i64]>,
            Wanted::some(&$wanted.not_sources) as Option<&[i64]>,
            $wanted.labels.as_ref() as Option<&Value>,
            Wanted::some(&$wanted.not_labels) as Option<&[Value]>,
            $wanted.incidents.as_deref() as Option<&[i64]>,
            Wanted::some(&$wanted.not_incidents) as Option<&[i64]>,
            $wanted.words.as_deref() as Option<&str>,
            $wanted.filter.asks(Trait::Ran) as Option<bool>,
            $wanted.filter.asks(Trait::Running) as Option<bool>,
            $wanted.filter.asks(Trait::Waiting) as Option<bool>,
            $wanted.filter.asks(Trait::Flapping) as Option<bool>,
            $wanted.filter.asks(Trait::Folded) as Option<bool>,
            $wanted.under as Option<i64>,
            $wanted.fold_rule(),
            $wanted.is_nothing(),
            $($more),*
        )
    };
}

/// One row of the list.
#[derive(Clone, Debug)]
pub struct Line {
    /// Which.
    pub id: IncidentId,
    /// What people call it.
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands.
    pub state: IncidentState,
    /// Name of its source.
    pub source: String,
    /// The service that its first alert named.
    pub service: Option<String>,
    /// When Muster opened it.
    pub opened_at: DateTime<Utc>,
    /// When it was over.
    pub resolved_at: Option<DateTime<Utc>>,
    /// Who took it.
    pub owner: Option<String>,
    /// Alerts that fire.
    pub firing: i64,
    /// Those of them that began after somebody took the incident.
    pub fresh: i64,
    /// Those of them that nobody spoke of for too long.
    pub stale: i64,
    /// Its newest live run.
    pub run: Option<Glance>,
    /// Requests for a decision that are pending.
    pub pending: i64,
    /// Incidents it stands for, open ones only where only open ones are listed.
    pub below: i64,
    /// The one that stands for it.
    pub folded_under: Option<IncidentId>,
    /// Number of the newest event.
    pub last_seq: i64,
}

/// A live run in a few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glance {
    /// Which.
    pub run: RunId,
    /// What its runbook is called.
    pub title: String,
    /// Which version of it.
    pub version: i32,
    /// The step that was last heard of, from 1, when there is one.
    pub step: Option<i64>,
    /// How many steps there are.
    pub steps: i32,
}

/// Has the statements of this transaction planned by the values they are given, not once for all values.
pub async fn plan_by_values(conn: &mut PgConnection) -> Result<(), StoreError> {
    conn.execute("set local plan_cache_mode = force_custom_plan")
        .await?;
    Ok(())
}

/// Looks up words that few incidents have before anything else is asked, in the incidents older than `before`; those that
/// many have are found soonest by going back from the newest. Postgres knows too little of beginnings of words to choose
/// between the two, and the wrong way reads the whole history.
pub async fn look_up_words(
    conn: &mut PgConnection,
    wanted: &mut Wanted,
    before: i64,
) -> Result<(), StoreError> {
    let Some(words) = wanted.words.clone() else {
        return Ok(());
    };
    let common = sqlx::query_scalar!(
        r#"select count(*) as "n!" from (select words from incidents where id < $2 order by id desc limit $3) i
           where i.words @@ to_tsquery('simple', $1)"#,
        words,
        before,
        SAMPLE
    )
    .fetch_one(&mut *conn)
    .await?;
    if common >= COMMON {
        conn.execute("set local enable_bitmapscan = off").await?;
        return Ok(());
    }
    let found = sqlx::query_scalar!(
        "select id from incidents where words @@ to_tsquery('simple', $1) and id < $2 order by id desc limit $3",
        words,
        before,
        HITS_MAX
    )
    .fetch_all(conn)
    .await?;
    wanted.words = None;
    wanted.incidents = Some(match wanted.incidents.take() {
        Some(some) => some.into_iter().filter(|id| found.contains(id)).collect(),
        None => found,
    });
    Ok(())
}

/// Wanted incidents older than `before`, the newest first, at most `limit`. First page with `i64::MAX`.
pub async fn page(
    conn: &mut PgConnection,
    wanted: &Wanted,
    before: i64,
    limit: i64,
) -> Result<Vec<Line>, StoreError> {
    let ids: Vec<i64> = found!(
        "select i.id ",
        " and i.id < $24 order by i.id desc limit $25",
        wanted,
        before,
        limit,
    )
    .fetch_all(&mut *conn)
    .await?
    .into_iter()
    .map(|row| row.id)
    .collect();
    lines(conn, &ids, wanted.folds == Folds::Hidden).await
}

/// The rows of these incidents; `is_all` when those below them count whether they are open or not.
async fn lines(conn: &mut PgConnection, ids: &[i64], is_all: bool) -> Result<Vec<Line>, StoreError> {
    // What is found by number is found the same way whichever the numbers are.
    conn.execute("set local plan_cache_mode = auto").await?;
    let rows = sqlx::query!(
        r#"select i.id, i.title, i.severity, i.state, s.name as source, i.service, i.opened_at, i.resolved_at,
                  o.name as "owner?", i.folded_under, i.next_seq - 1 as "last_seq!",
                  e.firing as "firing!", e.fresh as "fresh!", e.stale as "stale!",
                  (select count(*) from approvals a where a.incident_id = i.id and a.state = 'pending') as "pending!",
                  (select count(*) from incidents c
                   where c.folded_under = i.id and ($2 or c.state in ('triggered', 'acknowledged', 'mitigated')))
                      as "below!"
           from incidents i
           join sources s on s.id = i.source_id
           left join operators o on o.id = i.acknowledged_by
           cross join lateral (
               select count(*) as firing, count(*) filter (where e.opened_at > i.acknowledged_at) as fresh,
                      count(*) filter (where e.stale_since > greatest(a.last_received_at, e.vouched_at)) as stale
               from episodes e join alerts a on a.id = e.alert_id
               where e.incident_id = i.id and e.ends_at is null) e
           where i.id = any($1) order by i.id desc"#,
        ids,
        is_all
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut lines = rows
        .into_iter()
        .map(|row| {
            Ok(Line {
                id: IncidentId(row.id),
                title: row.title,
                severity: Severity::numbered(row.severity)
                    .ok_or_else(|| StoreError::corrupt("incidents", "severity", row.severity))?,
                state: state(&row.state)?,
                source: row.source,
                service: row.service,
                opened_at: row.opened_at,
                resolved_at: row.resolved_at,
                owner: row.owner,
                firing: row.firing,
                fresh: row.fresh,
                stale: row.stale,
                run: None,
                pending: row.pending,
                below: row.below,
                folded_under: row.folded_under.map(IncidentId),
                last_seq: row.last_seq,
            })
        })
        .collect::<Result<Vec<Line>, StoreError>>()?;
    glance(conn, &mut lines).await?;
    Ok(lines)
}

fn state(name: &str) -> Result<IncidentState, StoreError> {
    IncidentState::named(name).ok_or_else(|| StoreError::corrupt("incidents", "state", name))
}

/// Fills in where the newest live run of each incident stands.
async fn glance(conn: &mut PgConnection, lines: &mut [Line]) -> Result<(), StoreError> {
    let ids: Vec<i64> = lines.iter().map(|line| line.id.0).collect();
    let rows = sqlx::query!(
        r#"select distinct on (q.incident_id) q.incident_id, q.run_id, v.number,
                  v.definition ->> 'title' as "title!", jsonb_array_length(v.definition -> 'steps') as "steps!",
                  (select x.n from events e
                   join jsonb_array_elements(v.definition -> 'steps') with ordinality x (step, n)
                        on x.step ->> 'id' = e.body ->> 'step'
                   where e.run_id = q.run_id order by e.seq desc limit 1) as step
           from run_queue q join runs r on r.id = q.run_id join runbook_versions v on v.id = r.version_id
           where q.incident_id = any($1) order by q.incident_id, q.run_id desc"#,
        &ids
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        let line = lines.iter_mut().find(|line| line.id.0 == row.incident_id);
        if let Some(line) = line {
            line.run = Some(Glance {
                run: RunId(row.run_id),
                title: row.title,
                version: row.number,
                step: row.step,
                steps: row.steps,
            });
        }
    }
    Ok(())
}

/// How many of the wanted incidents are how; of the newest [`COUNTED_MAX`] when there are more.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// All together.
    pub all: i64,
    /// Whether there are more than were counted.
    pub is_cut: bool,
    /// By name of the state.
    pub states: Vec<(String, i64)>,
    /// By number of the severity.
    pub severities: Vec<(String, i64)>,
    /// By name of the service, the most first.
    pub services: Vec<(String, i64)>,
    /// By `me`, `nobody` and `other`.
    pub owners: Vec<(String, i64)>,
    /// With a run, live or over.
    pub ran: i64,
    /// With a decision that waits.
    pub waiting: i64,
}

/// Counts the wanted incidents.
pub async fn count(conn: &mut PgConnection, wanted: &Wanted, me: OperatorId) -> Result<Counts, StoreError> {
    let rows = found!(
        "with found as materialized (
             select i.id, i.state, i.severity::text, i.service,
                    case when i.acknowledged_by is null then 'nobody' when i.acknowledged_by = $24 then 'me'
                         else 'other' end as owner ",
        " order by i.id desc limit $25)
        select case when grouping(f.state) = 0 then 'state' when grouping(f.severity) = 0 then 'severity'
                    when grouping(f.service) = 0 then 'service' when grouping(f.owner) = 0 then 'owner'
                    else 'all' end as \"kind!\",
               coalesce(f.state, f.severity, f.service, f.owner) as value, count(*) as \"n!\",
               count(r.id) as \"ran!\",
               count(*) filter (where f.id = any(array(select incident_id from approvals where state = 'pending')))
                   as \"waiting!\"
        from found f left join lateral (select r.id from runs r where r.incident_id = f.id limit 1) r on true
        group by grouping sets ((f.state), (f.severity), (f.service), (f.owner), ())
        order by count(*) desc, 2",
        wanted,
        me.0,
        COUNTED_MAX + 1,
    )
    .fetch_all(conn)
    .await?;
    let mut counts = Counts::default();
    for row in rows {
        let into = match (row.kind.as_str(), &row.value) {
            ("state", _) => &mut counts.states,
            ("severity", _) => &mut counts.severities,
            ("service", Some(_)) => &mut counts.services,
            ("owner", _) => &mut counts.owners,
            ("all", _) => {
                counts.is_cut = row.n > COUNTED_MAX;
                counts.all = row.n.min(COUNTED_MAX);
                (counts.ran, counts.waiting) = (row.ran, row.waiting);
                continue;
            }
            _ => continue,
        };
        into.push((row.value.unwrap_or_default(), row.n));
    }
    Ok(counts)
}

/// The wanted incidents counted, and those that each filter would lead to instead.
#[derive(Clone, Debug, Default)]
pub struct Facets {
    /// What is wanted.
    pub base: Counts,
    /// The same in the other states.
    pub other_states: Option<Counts>,
    /// The same with the other severities.
    pub other_severities: Option<Counts>,
    /// The same whoever's.
    pub any_owner: Option<Counts>,
    /// The same of any service.
    pub any_service: Option<Counts>,
}

/// Counts what is wanted and what is one filter away.
pub async fn facets(conn: &mut PgConnection, wanted: &Wanted, me: OperatorId) -> Result<Facets, StoreError> {
    Ok(Facets {
        base: count(conn, wanted, me).await?,
        other_states: count_some(conn, wanted.other_states(), me).await?,
        other_severities: count_some(conn, wanted.other_severities(), me).await?,
        any_owner: count_some(conn, wanted.any_owner(), me).await?,
        any_service: count_some(conn, wanted.any_service(), me).await?,
    })
}

async fn count_some(
    conn: &mut PgConnection,
    wanted: Option<Wanted>,
    me: OperatorId,
) -> Result<Option<Counts>, StoreError> {
    match wanted {
        Some(wanted) => count(conn, &wanted, me).await.map(Some),
        None => Ok(None),
    }
}

/// No statement of this transaction takes longer than that from here on.
pub async fn hurry(conn: &mut PgConnection, limit: Duration) -> Result<(), StoreError> {
    let limit = format!("set local statement_timeout = {}", limit.as_millis());
    conn.execute(sqlx::AssertSqlSafe(limit)).await?;
    Ok(())
}

/// The newest wanted incidents, at most `limit`: what an act on all of them is about.
pub async fn list_ids(
    conn: &mut PgConnection,
    wanted: &Wanted,
    limit: i64,
) -> Result<Vec<IncidentId>, StoreError> {
    Ok(
        found!("select i.id ", " order by i.id desc limit $24", wanted, limit)
            .fetch_all(conn)
            .await?
            .into_iter()
            .map(|row| IncidentId(row.id))
            .collect(),
    )
}

/// Begins a part of a transaction: when it fails and is dropped, the transaction goes on.
pub async fn begin_part(conn: &mut PgConnection) -> Result<Transaction<'_, Postgres>, StoreError> {
    Ok(conn.begin().await?)
}

/// What a search may name: at most [`NAMES_MAX`] of each.
pub async fn names(conn: &mut PgConnection) -> Result<Names, StoreError> {
    let rows = sqlx::query!(
        r#"(select true as "is_person!", id as "id!", name as "name!" from operators order by name limit $1)
           union all (select false, id, name from sources order by name limit $1)"#,
        NAMES_MAX
    )
    .fetch_all(conn)
    .await?;
    let mut names = Names::default();
    for row in rows {
        let into = if row.is_person {
            &mut names.people
        } else {
            &mut names.sources
        };
        into.push((row.id, row.name));
    }
    Ok(names)
}

/// Whether there has been any incident at all.
pub async fn any(conn: &mut PgConnection) -> Result<bool, StoreError> {
    Ok(
        sqlx::query_scalar!(r#"select exists (select from incidents) as "any!""#)
            .fetch_one(conn)
            .await?,
    )
}

/// The incident that was over last, and when.
pub async fn last_over(conn: &mut PgConnection) -> Result<Option<(IncidentId, DateTime<Utc>)>, StoreError> {
    Ok(sqlx::query!(
        r#"select id, resolved_at as "resolved_at!" from incidents where resolved_at is not null
           order by resolved_at desc limit 1"#
    )
    .fetch_optional(conn)
    .await?
    .map(|row| (IncidentId(row.id), row.resolved_at)))
}

/// Alerts in the deliveries applied since then, and whether there are more than were counted: whether intake is alive.
pub async fn alerts_since(conn: &mut PgConnection, since: DateTime<Utc>) -> Result<(i64, bool), StoreError> {
    let row = sqlx::query!(
        r#"select coalesce(sum(d.alerts), 0)::bigint as "alerts!", count(*) as "deliveries!"
           from (select alerts from deliveries where received_at > $1 and outcome = 'applied'
                 order by received_at desc, id desc limit $2) d"#,
        since,
        DELIVERIES_MAX
    )
    .fetch_one(conn)
    .await?;
    Ok((row.alerts, row.deliveries == DELIVERIES_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_never_becomes_an_operator_of_the_query() {
        let typed = |word: &str| words(&[(word.to_owned(), true)]).unwrap();
        assert_eq!(typed("db"), "'db':*");
        assert_eq!(typed("o'clock & !x | (y)"), "'o''clock & !x | (y)':*");
        assert_eq!(typed("a\\'b"), "'a\\\\''b':*");
        assert_eq!(
            words(&[("a".to_owned(), true), ("b".to_owned(), false)]).unwrap(),
            "'a':* & !'b':*"
        );
        assert_eq!(words(&[]), None);
    }
}
