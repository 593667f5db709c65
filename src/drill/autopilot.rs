//! The people of an unattended drill: they do what the scenario expects, each thing a moment after its turn has come, or
//! one wrong thing that the scenario knows. They act as people do, with the same rights and by the same functions.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::{DrillError, INCIDENTS_MAX, happen, score};
use crate::{
    domain::{
        approval::{ApprovalState, Verdict},
        drill::DrillFact,
        id::{DrillId, IncidentId, RunId, StepId},
        operator::{Operator, Role, Via},
        proof::{Presence, irreversible},
        scenario::{Deed, Expected, Scenario},
        score::Seen,
        span::Span,
    },
    execute::people::{self, PeopleError, Word},
    incident::{self, respond::RespondError, words::NewNote},
    simulate::Simulator,
    store::{StoreError, approvals, drills, operators, playing, runbooks, runs},
};

/// How long they think before they act.
pub const REACTION: Span = Span::from_secs(10);
/// Nobody acts at the very moment at which something happens: what was done before what can then be told.
const NOTICE: Span = Span::from_secs(1);
/// How many there are: one who leads and enough to decide at any gate.
const PEOPLE: usize = 4;
/// Gates looked at.
const PENDING_MAX: i64 = 100;
/// Runs of an incident looked at.
const RUNS_MAX: i64 = 100;

/// Plays one drill.
#[derive(Debug)]
pub struct Autopilot {
    people: Vec<Operator>,
    /// What is done in place of what is expected.
    wrong: Option<(Deed, Option<String>)>,
    done: BTreeMap<String, DateTime<Utc>>,
    has_done_wrong: bool,
    /// What they know, and where the drill stood then: they read its timelines again when something has happened.
    known: Option<(String, Times)>,
}

impl Autopilot {
    /// People who play `scenario` as it expects; with `wrong`, the name of something wrong, they do that instead.
    pub async fn new(
        conn: &mut PgConnection,
        scenario: &Scenario,
        wrong: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Self, DrillError> {
        let wrong = match wrong {
            None => None,
            Some(id) => match scenario.wrong.iter().find(|wrong| wrong.id == id) {
                Some(wrong) => Some((wrong.deed.clone(), wrong.instead_of.clone())),
                None => {
                    let known: Vec<&str> = scenario.wrong.iter().map(|wrong| wrong.id.as_str()).collect();
                    return Err(DrillError::Refused(format!(
                        "{} knows nothing wrong called {id}; it knows {}",
                        scenario.slug,
                        known.join(", ")
                    )));
                }
            },
        };
        let mut people = Vec::new();
        for number in 1..=PEOPLE {
            // Who leads may do everything; the others decide at gates in the role that gates ask for.
            let role = if number == 1 { Role::Admin } else { Role::Approver };
            people.push(person(conn, &format!("drill-player-{number}"), role, now).await?);
        }
        Ok(Self {
            people,
            wrong,
            done: BTreeMap::new(),
            has_done_wrong: false,
            known: None,
        })
    }

    /// Who leads.
    pub fn leader(&self) -> &Operator {
        &self.people[0]
    }

    /// Does what there is to do now; whether there was something.
    pub async fn act(
        &mut self,
        pool: &PgPool,
        simulator: &Simulator,
        id: DrillId,
        now: DateTime<Utc>,
    ) -> Result<bool, DrillError> {
        let mut conn = pool.acquire().await?;
        let rules = simulator.rules(&mut conn, id).await?;
        let of_drill = drills::incidents(&mut conn, id, INCIDENTS_MAX).await?;
        let Some(main) = of_drill.first().copied() else {
            return Ok(false);
        };
        let times = self.times(&mut conn, id).await?;
        drop(conn);
        if times.newest >= Some(now) {
            return Ok(false);
        }
        let mut has_acted = false;
        if let Some((deed, None)) = self.wrong.clone()
            && !self.has_done_wrong
            && self.try_deed(pool, &of_drill, main, &deed, now).await?
        {
            self.has_done_wrong = true;
            has_acted = true;
        }
        for expected in &rules.scenario.expected {
            if self.done.contains_key(&expected.id) || !self.is_turn(expected, &times, now) {
                continue;
            }
            let is_replaced = matches!(&self.wrong, Some((_, Some(id))) if *id == expected.id);
            let deed = match &self.wrong {
                Some((deed, _)) if is_replaced => deed.clone(),
                _ => expected.deed.clone(),
            };
            if self.try_deed(pool, &of_drill, main, &deed, now).await? {
                // What follows from the right thing does not follow from the wrong one.
                let name = if is_replaced {
                    self.has_done_wrong = true;
                    format!("instead of {}", expected.id)
                } else {
                    expected.id.clone()
                };
                self.done.insert(expected.id.clone(), now);
                if is_replaced {
                    self.done.insert(name, now);
                }
                has_acted = true;
            }
        }
        Ok(has_acted)
    }

    /// When the next thing may be done at the earliest, if its turn has come but the moment to think is not over.
    pub async fn next(
        &mut self,
        conn: &mut PgConnection,
        simulator: &Simulator,
        id: DrillId,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, DrillError> {
        let rules = simulator.rules(conn, id).await?;
        let times = self.times(conn, id).await?;
        let open = rules
            .scenario
            .expected
            .iter()
            .filter(|expected| !self.done.contains_key(&expected.id));
        let ready = open.filter_map(|expected| Some(self.since(expected, &times)? + REACTION.as_delta()));
        let (due, later): (Vec<_>, Vec<_>) = ready.partition(|at| *at <= now);
        let soon = (!due.is_empty() && times.newest >= Some(now)).then(|| now + NOTICE.as_delta());
        Ok(later.into_iter().chain(soon).min())
    }

    fn since(&self, expected: &Expected, times: &Times) -> Option<DateTime<Utc>> {
        match &expected.after {
            None => times.opened,
            Some(after) => match times.injects.get(after) {
                Some(at) => Some(*at),
                None if self.is_spoilt(after) => None,
                None => self.done.get(after).copied(),
            },
        }
    }

    /// Whether the wrong thing was done in its place.
    fn is_spoilt(&self, expected: &str) -> bool {
        self.done.contains_key(&format!("instead of {expected}"))
    }

    fn is_turn(&self, expected: &Expected, times: &Times, now: DateTime<Utc>) -> bool {
        self.since(expected, times)
            .is_some_and(|since| since + REACTION.as_delta() <= now)
    }

    async fn times(&mut self, conn: &mut PgConnection, id: DrillId) -> Result<Times, DrillError> {
        let pulse = playing::pulse(conn, id).await?.unwrap_or_default();
        if let Some((at, times)) = &self.known
            && *at == pulse
        {
            return Ok(times.clone());
        }
        let times = self.read(conn, id).await?;
        self.known = Some((pulse, times.clone()));
        Ok(times)
    }

    async fn read(&self, conn: &mut PgConnection, id: DrillId) -> Result<Times, DrillError> {
        let mut times = Times::default();
        for logged in happen::log(conn, id).await? {
            times.newest = times.newest.max(Some(logged.at));
            if let DrillFact::InjectSent { inject, .. } = logged.fact {
                times.injects.entry(inject).or_insert(logged.at);
            }
        }
        let observed = score::observed(conn, id).await?;
        let opened = observed.iter().find(|one| one.seen == Seen::Opened);
        times.opened = opened.map(|one| one.at);
        times.newest = times.newest.max(observed.last().map(|one| one.at));
        Ok(times)
    }

    /// Tries to do something; false when it cannot be done yet, or was done by somebody else.
    async fn try_deed(
        &self,
        pool: &PgPool,
        of_drill: &[IncidentId],
        main: IncidentId,
        deed: &Deed,
        now: DateTime<Utc>,
    ) -> Result<bool, DrillError> {
        let leader = self.leader();
        match deed {
            Deed::Decide { gate, verdict } => self.decide(pool, of_drill, gate, *verdict, now).await,
            Deed::Manual { step } => {
                self.at_run(pool, of_drill, async |conn, run| {
                    people::manual_done(conn, run, &StepId(step.clone()), "done", leader, now).await
                })
                .await
            }
            Deed::Settle { step, choice } => {
                self.at_run(pool, of_drill, async |conn, run| {
                    let step = StepId(step.clone());
                    people::decide_unknown(conn, run, &step, *choice, "looked at it", leader, now).await
                })
                .await
            }
            Deed::Stop { runbook } => {
                let mut conn = pool.acquire().await?;
                let wanted = self.runs(&mut conn, of_drill, Some(runbook)).await?;
                drop(conn);
                for run in wanted {
                    let mut tx = pool.begin().await?;
                    match people::stop(&mut tx, run, "it does harm", leader, now).await {
                        Ok(()) => {
                            tx.commit().await?;
                            return Ok(true);
                        }
                        Err(error) => possible(error)?,
                    }
                }
                Ok(false)
            }
            Deed::Start { runbook } => {
                let mut tx = pool.begin().await?;
                let versions = runbooks::list_current(&mut tx).await?;
                let Some(version) = versions.iter().find(|version| version.runbook.slug == *runbook) else {
                    return Ok(false);
                };
                match people::start(&mut tx, main, version.id, &BTreeMap::new(), leader, now).await {
                    Ok(_) => {
                        tx.commit().await?;
                        Ok(true)
                    }
                    Err(error) => possible(error).map(|()| false),
                }
            }
            deed => {
                let mut tx = pool.begin().await?;
                let conn = &mut tx;
                let done = match deed {
                    Deed::Acknowledge => incident::respond::acknowledge(conn, main, leader, now).await,
                    Deed::Mitigate => {
                        incident::respond::mitigate(conn, main, leader, "the harm is over", now).await
                    }
                    Deed::Resolve => {
                        incident::respond::resolve(conn, main, leader, "it works again", now).await
                    }
                    Deed::Severity(severity) => {
                        let why = "as it turned out";
                        incident::respond::set_severity(conn, main, leader, *severity, why, now).await
                    }
                    _ => {
                        let note = NewNote {
                            text: "We know what it is and are at it; more in a few minutes.".to_owned(),
                            tag: None,
                            happened_at: None,
                        };
                        incident::words::note(conn, main, leader, &note, now)
                            .await
                            .map(|_| ())
                    }
                };
                match done {
                    Ok(()) => {
                        tx.commit().await?;
                        Ok(true)
                    }
                    Err(RespondError::Store(error)) => Err(error.into()),
                    Err(_) => Ok(false),
                }
            }
        }
    }

    /// All of them say the same at a gate until it has its answer.
    async fn decide(
        &self,
        pool: &PgPool,
        of_drill: &[IncidentId],
        gate: &str,
        verdict: Verdict,
        now: DateTime<Utc>,
    ) -> Result<bool, DrillError> {
        let mut conn = pool.acquire().await?;
        let pending = approvals::list_pending(&mut conn, None, PENDING_MAX).await?;
        drop(conn);
        let asked = pending
            .into_iter()
            .find(|approval| approval.step.0 == gate && of_drill.contains(&approval.incident));
        let Some(approval) = asked else {
            return Ok(false);
        };
        let typed = irreversible(&approval.bound).map(|step| step.request.target.clone());
        let mut has_decided = false;
        for person in self.people.iter().rev() {
            let word = Word {
                verdict,
                digest: approval.digest,
                reason: "as the evidence says",
                typed: typed.as_deref().unwrap_or_default(),
                presence: Presence {
                    since: Some(now),
                    by_passkey: false,
                    has_passkey: false,
                },
            };
            let mut tx = pool.begin().await?;
            match people::decide(&mut tx, approval.id, &word, person, now).await {
                Ok(state) => {
                    tx.commit().await?;
                    has_decided = true;
                    if state != ApprovalState::Pending {
                        break;
                    }
                }
                Err(error) => possible(error)?,
            }
        }
        Ok(has_decided)
    }

    async fn at_run(
        &self,
        pool: &PgPool,
        of_drill: &[IncidentId],
        act: impl AsyncFn(&mut PgConnection, RunId) -> Result<(), PeopleError>,
    ) -> Result<bool, DrillError> {
        let mut conn = pool.acquire().await?;
        let live = self.runs(&mut conn, of_drill, None).await?;
        drop(conn);
        for run in live {
            let mut tx = pool.begin().await?;
            match act(&mut tx, run).await {
                Ok(()) => {
                    tx.commit().await?;
                    return Ok(true);
                }
                Err(error) => possible(error)?,
            }
        }
        Ok(false)
    }

    /// Runs of these incidents that go on, the newest first; all or those of one runbook.
    async fn runs(
        &self,
        conn: &mut PgConnection,
        of_drill: &[IncidentId],
        runbook: Option<&str>,
    ) -> Result<Vec<RunId>, DrillError> {
        let mut live = BTreeSet::new();
        for incident in of_drill {
            for run in runs::list_live(conn, *incident, runbook, RUNS_MAX).await? {
                live.insert(run);
            }
        }
        Ok(live.into_iter().rev().collect())
    }
}

/// When things came that deeds follow.
#[derive(Clone, Debug, Default)]
struct Times {
    opened: Option<DateTime<Utc>>,
    /// When anything happened last.
    newest: Option<DateTime<Utc>>,
    injects: BTreeMap<String, DateTime<Utc>>,
}

/// What cannot be done now can be tried again; a database that does not answer is no matter of the drill.
fn possible(error: PeopleError) -> Result<(), DrillError> {
    match error {
        PeopleError::Store(error) => Err(error.into()),
        _ => Ok(()),
    }
}

async fn person(
    conn: &mut PgConnection,
    name: &str,
    role: Role,
    now: DateTime<Utc>,
) -> Result<Operator, DrillError> {
    // Nobody can sign in with what is no hash of any password.
    operators::insert(conn, name, "none", role, now).await?;
    let found = operators::find_by_name(conn, name).await?;
    let (person, _) = found.ok_or(StoreError::Contended)?;
    Ok(Operator {
        via: Via::Session,
        ..person
    })
}
