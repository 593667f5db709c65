//! A request for a decision at a gate: what is known of it, how it stands, and its page.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    decision::{DecisionForm, Others},
    gate::ApprovalFacts,
    layout::Frame,
    parts::{Badge, Said, said},
    record::{RunLog, RunRecord},
    stand::{self, DecisionLine},
    step::href as step_href,
    target::page_of,
    text,
};
use crate::{
    domain::{
        approval::{ApprovalState, Bound, BoundStep, may_decide, named},
        breaker::Admission,
        event::{Event, Recorded},
        evidence::{TooOld, good_until, recent_enough, to_read_again},
        id::{ApprovalId, StepId},
        operator::{Operator, Role},
        run::RunFact,
        step::{Effect, GateRule},
        track::Track,
    },
    execute::standing::Snapshot,
    store::{
        approvals::{Approval, Vote},
        precedents::Precedent,
        reviews::Review,
    },
};

/// Steps whose outcome a request shows.
const OUTCOME_MAX: usize = 100;

/// Everything known of a request for a decision.
#[derive(Clone, Debug)]
pub struct ApprovalRecord {
    /// The request.
    pub approval: Approval,
    /// The votes on it.
    pub votes: Vec<Vote>,
    /// Its run.
    pub run: RunRecord,
    /// The person who started the run.
    pub requester_name: Option<String>,
    /// What opening it alone has left.
    pub review: Option<Review>,
    /// Everybody who can sign in.
    pub people: Vec<Operator>,
    /// What stood over every run when it was read.
    pub stood: Arc<Snapshot>,
    /// What the past of its runbook says.
    pub track: Option<Track>,
    /// Where the targets it names belong: `production`, by target.
    pub environments: BTreeMap<String, String>,
    /// The newest earlier run that has sent what it lets through.
    pub precedent: Option<Precedent>,
    /// The newest earlier run that has taken it back.
    pub undone: Option<Precedent>,
    /// What people asked about it, the oldest first.
    pub questions: Vec<Recorded>,
    /// The request that asks in its place.
    pub successor: Option<ApprovalId>,
}

impl ApprovalRecord {
    /// The first step that was started under this approval, if any: then it cannot be taken back any more.
    pub fn started(&self) -> Option<&StepId> {
        let opened = self.run.facts.iter().position(|(_, fact)| {
            matches!(fact, RunFact::GateApproved { approval, .. } | RunFact::GateBroken { approval, .. }
                     if *approval == self.approval.id)
        });
        self.run.facts[opened?..].iter().find_map(|(_, fact)| match fact {
            RunFact::StepStarted { step, effect, .. } if *effect != Effect::Safe => {
                let is_under = |bound: &BoundStep| bound.step == *step;
                self.approval.bound.steps.iter().any(is_under).then_some(step)
            }
            _ => None,
        })
    }

    /// Whether people can decide it now.
    pub fn is_open(&self, now: DateTime<Utc>) -> bool {
        self.approval.state == ApprovalState::Pending && self.approval.decide_by > now
    }

    /// Which of the findings before the gate can be read again.
    pub fn readable(&self) -> Vec<StepId> {
        to_read_again(&self.run.version.runbook, &self.run.state, &self.approval.step)
    }

    /// Why nobody can approve it by its evidence now.
    pub fn too_old(&self, now: DateTime<Utc>) -> Option<TooOld> {
        let approval = &self.approval;
        recent_enough(&approval.bound, &approval.rule, &self.readable(), now).err()
    }

    /// Until when people can, as far as that is known.
    pub fn good_until(&self) -> Option<DateTime<Utc>> {
        good_until(&self.approval.bound, &self.approval.rule, &self.readable())
    }

    /// Everybody else who may decide it.
    pub fn deciders(&self, but: &Operator) -> impl Iterator<Item = &Operator> {
        let but = but.id;
        self.people.iter().filter(move |person| {
            person.id != but && may_decide(&self.approval.rule, person, self.approval.requester).is_ok()
        })
    }

    /// Where the steps that it let through stand: title, badge, page.
    pub fn outcome(&self, now: DateTime<Utc>) -> Vec<(Said, Badge, String)> {
        let log = RunLog::of(&self.run, now);
        match self.approval.state {
            ApprovalState::Approved | ApprovalState::Void => self
                .approval
                .bound
                .steps
                .iter()
                .take(OUTCOME_MAX)
                .map(|bound| {
                    let badge = stand::standing(&bound.step, &log).0;
                    (
                        said(&bound.title),
                        badge,
                        step_href(self.approval.run, &bound.step),
                    )
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// What became of it by people's hands besides votes: sent back, taken back, opened alone.
    pub fn acts(&self, now: DateTime<Utc>) -> Vec<DecisionLine> {
        let is_its = |act: &&Recorded| match &act.event {
            Event::Run(
                _,
                RunFact::GateSentBack { approval, .. }
                | RunFact::GateWithdrawn { approval, .. }
                | RunFact::GateBroken { approval, .. },
            ) => *approval == self.approval.id,
            _ => false,
        };
        let acts = self.run.acts.iter().rev().filter(is_its);
        acts.map(|act| DecisionLine::of(act, Some(&self.approval.step), now))
            .collect()
    }

    /// The circuits of what it acts on that are not closed.
    pub fn circuits(&self, now: DateTime<Utc>) -> Vec<CircuitLine> {
        let line = |target: &str| {
            let state = self.stood.breakers.get(target)?;
            Some(CircuitLine {
                words: said(&state.why(target, now)?),
                is_held: matches!(state.admission(now), Admission::Held { .. }),
                href: page_of(target),
            })
        };
        targets(&self.approval.bound)
            .into_iter()
            .filter_map(line)
            .collect()
    }
}

/// A circuit that is not closed.
#[derive(Clone, Debug)]
pub struct CircuitLine {
    /// Since when, why, and what comes next.
    pub words: Said,
    /// Whether nothing would be sent this moment; otherwise the next step tries it.
    pub is_held: bool,
    /// The page of its target.
    pub href: String,
}

/// The targets of what a request would change.
pub fn targets(bound: &Bound) -> BTreeSet<&str> {
    let changing = bound.steps.iter().filter(|step| step.changes);
    changing.map(|step| step.request.target.as_str()).collect()
}

/// Who is asked, in words: `ana or ben by name`, `an approver or admin`.
pub fn who(rule: &GateRule) -> String {
    let named = named(rule);
    if !named.is_open() {
        return format!("{} by name", text::visible(&named.words()));
    }
    let mut roles: Vec<&str> = rule.roles.iter().map(|role| role.name()).collect();
    if !rule.roles.contains(&Role::Admin) {
        roles.push(Role::Admin.name());
    }
    roles.join(" or ")
}

/// How a request stands, in a badge. A request that enough people approved is void once its run is over: it was used,
/// not thrown away.
pub fn standing(state: ApprovalState, given: i64, needed: u32, broken: bool) -> Badge {
    match state {
        ApprovalState::Approved if broken => Badge::new("sev3", "triangle", "Opened alone"),
        ApprovalState::Void if broken => Badge::new("sev3", "triangle", "Opened alone, used"),
        ApprovalState::Void if given >= i64::from(needed) => Badge::new("done", "check", "Approved and used"),
        state => state.into(),
    }
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "approval/show.html")]
pub struct ApprovalPage {
    /// The frame.
    pub frame: Frame,
    /// What is asked and shown.
    pub facts: ApprovalFacts,
    /// The form, while it can be decided.
    pub form: Option<DecisionForm>,
    /// What else can be done.
    pub others: Others,
}
