//! A request for a decision at a gate: what is known of it, how it stands, and its page.

use std::collections::{BTreeMap, BTreeSet};

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
    text,
};
use crate::{
    domain::{
        approval::{ApprovalState, Bound, BoundStep, may_decide, named},
        event::{Event, Recorded},
        evidence::to_read_again,
        id::{ApprovalId, StepId},
        operator::{Operator, Role},
        run::RunFact,
        step::{Effect, GateRule},
    },
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

    /// Whether what was found before the gate can be read again, now, by this person.
    pub fn may_read_again(&self, me: &Operator, now: DateTime<Utc>) -> bool {
        let runbook = &self.run.version.runbook;
        self.is_open(now)
            && self.run.state.paused.is_none()
            && may_decide(&self.approval.rule, me, self.approval.requester).is_ok()
            && !to_read_again(runbook, &self.run.state, &self.approval.step).is_empty()
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

    /// Why nothing may be sent now to what it acts on.
    pub fn held(&self, now: DateTime<Utc>) -> Vec<Said> {
        let targets = targets(&self.approval.bound);
        targets
            .into_iter()
            .filter_map(|target| self.run.standing.held(target, now))
            .map(|held| said(&held.reason))
            .collect()
    }
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
