//! A run: its steps in order, where it stands, what it waits for, and what a person can do about it.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    ask::AskCard,
    controls::Controls,
    format,
    groups::{StepGroup, UNDOING, groups},
    layout::Frame,
    parts::{Ago, Badge, Said, ago, said},
    record::{RunLog, RunRecord},
    stand::DecisionLine,
};
use crate::domain::{
    access::may_within,
    event::Event,
    operator::{Operator, Role},
    permission::Permission,
    run::{RunFact, RunResult},
    sentence::{Category, category},
    state::StepState,
};

/// A run as people see it.
#[derive(Clone, Debug)]
pub struct RunView {
    /// Its number.
    pub id: i64,
    /// What the runbook is called.
    pub title: Said,
    /// The runbook's slug.
    pub slug: String,
    /// Number of the version.
    pub number: i32,
    /// How it stands.
    pub badge: Badge,
    /// `4 of 9 steps`
    pub progress: String,
    /// Who started it.
    pub by: Said,
    /// When.
    pub started: Ago,
    /// How long it took, once it is over.
    pub took: Option<String>,
    /// Why it ended as it did.
    pub reason: Said,
    /// Its inputs.
    pub inputs: Vec<(String, Said)>,
    /// The lock it waits for.
    pub lock: Option<LockLine>,
    /// What keeps Muster from going on with it.
    pub fault: Option<FaultLine>,
    /// Its steps; then what takes them back, then what runs at the end.
    pub groups: Vec<StepGroup>,
    /// Why nothing new begins, and who wanted that.
    pub paused: Option<PausedLine>,
    /// Why it is to stop, when somebody asked.
    pub stopping: Option<Said>,
    /// What it does once its steps are over.
    pub ending: Option<Said>,
    /// The run it goes on from.
    pub continues: Option<i64>,
    /// The run that goes on from here.
    pub continued_by: Option<i64>,
    /// Whether it ended so that another run may go on from here.
    pub may_resume: bool,
    /// What can be done to it, while it goes on.
    pub controls: Option<Controls>,
    /// Where its forms lead: `run` back to the run's page, otherwise to the incident's.
    pub back: &'static str,
}

/// A lock that a run waits for.
#[derive(Clone, Debug)]
pub struct LockLine {
    /// The lock.
    pub lock: Said,
    /// Since when.
    pub since: Ago,
    /// The run that holds it, and its incident.
    pub holder: Option<(i64, i64)>,
}

/// What keeps Muster from going on with a run.
#[derive(Clone, Debug)]
pub struct FaultLine {
    /// How often in a row: `3 times`.
    pub times: String,
    /// What is in the way.
    pub reason: Said,
    /// When it is tried again.
    pub next: Ago,
}

/// That a run is paused.
#[derive(Clone, Debug)]
pub struct PausedLine {
    /// Who wanted it.
    pub by: Said,
    /// Since when.
    pub since: Option<Ago>,
    /// Why.
    pub reason: Said,
}

impl RunView {
    /// The run as people see it, on a page whose forms lead `back`.
    pub fn of(log: &RunLog<'_>, back: &'static str) -> Self {
        let (record, now) = (log.record, log.now);
        let runbook = &record.version.runbook;
        let reason = record.facts.iter().rev().find_map(|(_, fact)| match fact {
            RunFact::RunFinished { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        let over = runbook.steps.iter().filter(|step| {
            let parts = match log.state(&step.id) {
                StepState::Listed { items } => (0..items.len()).map(|at| step.id.item(at)).collect(),
                _ => vec![step.id.clone()],
            };
            parts.iter().all(|id| super::stand::is_over(log.state(id)))
        });
        let ended_early = record
            .run
            .result
            .is_some_and(|result| result != RunResult::Succeeded);
        Self {
            id: record.run.id.0,
            title: said(&runbook.title),
            slug: runbook.slug.clone(),
            number: record.version.number,
            badge: match record.run.result {
                Some(result) => result.into(),
                None => live_badge(log),
            },
            progress: format!("{} of {} steps", over.count(), runbook.steps.len()),
            by: said(record.requested_by.as_deref().unwrap_or("Muster")),
            started: ago(record.run.started_at, now),
            took: record
                .run
                .finished_at
                .map(|end| format::length(end - record.run.started_at)),
            reason: said(&reason.unwrap_or_default()),
            inputs: record
                .run
                .inputs
                .iter()
                .map(|(name, value)| (name.clone(), said(value)))
                .collect(),
            lock: lock(log),
            fault: record.fault.as_ref().map(|fault| FaultLine {
                times: format::count(i64::from(fault.times), "time", "times"),
                reason: said(&fault.reason),
                next: ago(fault.next, now),
            }),
            groups: groups(log),
            paused: paused(log),
            stopping: record
                .state
                .stop_requested
                .as_deref()
                .filter(|_| record.is_live())
                .map(said),
            ending: record
                .state
                .ending
                .as_ref()
                .filter(|_| record.is_live())
                .map(|ending| said(&ending.reason)),
            continues: record.run.continues.map(|run| run.0),
            continued_by: record.continued_by.map(|run| run.0),
            may_resume: ended_early && record.continued_by.is_none() && record.incident.state.is_open(),
            controls: Controls::of(log),
            back,
        }
    }

    /// Whether it still goes on.
    pub fn is_live(&self) -> bool {
        self.controls.is_some()
    }

    /// Whether what was done is being taken back.
    pub fn is_undoing(&self) -> bool {
        self.groups.iter().any(|group| group.heading == Some(UNDOING))
    }
}

fn live_badge(log: &RunLog<'_>) -> Badge {
    let run = &log.record.state;
    let stands = |holds: fn(&StepState) -> bool| run.steps.values().any(holds);
    if stands(|state| matches!(state, StepState::Unknown { .. })) {
        Badge::new("unknown", "question", "Outcome unknown")
    } else if run.paused.is_some() {
        Badge::new("sev3", "pause", "Paused")
    } else if stands(|state| matches!(state, StepState::GateOpen { .. })) {
        Badge::new("gate", "lock", "Waits at a gate")
    } else if stands(|state| matches!(state, StepState::ManualOpen { .. })) {
        Badge::new("gate", "person", "Waits for a person")
    } else if let Some(ending) = &run.ending {
        match ending.undo {
            true => Badge::new("running", "bent", "Taking back"),
            false => Badge::new("running", "play", "Running its last steps"),
        }
    } else if run.stop_requested.is_some() {
        Badge::new("running", "barred", "Stopping")
    } else if run.lock_awaited.is_some() {
        Badge::new("gate", "lock", "Waits for a lock")
    } else {
        Badge::new("running", "play", "Running")
    }
}

/// A lock the run waits for.
fn lock(log: &RunLog<'_>) -> Option<LockLine> {
    let record = log.record;
    let since = record.state.lock_awaited.filter(|_| record.is_live())?;
    let lock = record.facts.iter().rev().find_map(|(_, fact)| match fact {
        RunFact::LockAwaited { lock, .. } => Some(lock),
        _ => None,
    })?;
    Some(LockLine {
        lock: said(lock),
        since: ago(since, log.now),
        holder: record
            .holder
            .as_ref()
            .map(|holder| (holder.run.0, holder.incident.0)),
    })
}

fn paused(log: &RunLog<'_>) -> Option<PausedLine> {
    let record = log.record;
    let reason = record.state.paused.as_deref().filter(|_| record.is_live())?;
    let act = record.acts.iter().find(|act| {
        matches!(
            act.event,
            Event::Run(_, RunFact::PauseRequested { .. } | RunFact::GateSentBack { .. })
        )
    });
    Some(PausedLine {
        by: said(&act.map_or_else(|| "somebody".to_owned(), |act| act.actor.to_string())),
        since: act.map(|act| ago(act.recorded_at, log.now)),
        reason: said(reason),
    })
}

/// The page of one run.
#[derive(Clone, Debug, Template)]
#[template(path = "run/show.html")]
pub struct RunPage {
    /// The frame.
    pub frame: Frame,
    /// The run.
    pub run: RunView,
    /// The part of it that changes.
    pub part: RunPart,
    /// Number of its incident.
    pub incident: i64,
}

/// The part of a run's page that changes while it goes on.
#[derive(Clone, Debug, Template)]
#[template(path = "run/_live.html")]
pub struct RunPart {
    run: RunView,
    asks: Vec<AskCard>,
    acts: Vec<DecisionLine>,
    may_act: bool,
    is_approver: bool,
}

impl HtmlSafe for RunPart {}

impl RunPart {
    /// The part as this person sees it.
    pub fn of(record: &RunRecord, me: &Operator, now: DateTime<Utc>) -> Self {
        let log = RunLog::of(record, now);
        let is_decision = |event: &Event| {
            let is_skip = matches!(
                event,
                Event::Run(_, RunFact::StepSkipped { .. } | RunFact::RunStarted { .. })
            );
            let is_noise = matches!(event, Event::Run(_, RunFact::GateApproved { .. }));
            is_skip || (category(event) == Category::Decision && !is_noise)
        };
        Self {
            run: RunView::of(&log, "run"),
            asks: AskCard::of(&log, "run"),
            acts: record
                .acts
                .iter()
                .filter(|act| is_decision(&act.event))
                .map(|act| DecisionLine::of(act, None, now))
                .collect(),
            may_act: may_within(me, Permission::Run, &record.version.runbook.access.start).is_ok(),
            is_approver: me.role >= Role::Approver,
        }
    }
}
