//! What waits for a person in an incident: gates, steps to be done by hand or of unknown outcome, reviews, a promised update.

use std::collections::BTreeSet;

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    approval::who,
    ask::AskCard,
    incident::IncidentRecord,
    parts::{Ago, Left, Said, ago, left, said},
    record::RunLog,
    review::ReviewCard,
    text,
};
use crate::domain::{
    access::may_within,
    approval::may_decide,
    operator::{Operator, Role},
    permission::Permission,
};

/// Characters of a finding on a card.
const FINDING_CHARS_MAX: usize = 200;

/// What waits for a person.
#[derive(Clone, Debug, Template)]
#[template(path = "incident/_decisions.html")]
pub struct Decisions {
    gates: Vec<GateCard>,
    /// Steps that wait, each with the reason why this person may not answer.
    asks: Vec<(AskCard, Option<String>)>,
    reviews: Vec<ReviewCard>,
    /// Since when a status update is overdue.
    overdue: Option<Ago>,
    is_approver: bool,
    is_open: bool,
    /// Whether the runs, of which some may ask something, could not be read.
    is_partial: bool,
}

impl HtmlSafe for Decisions {}

/// A gate that waits.
#[derive(Clone, Debug)]
pub struct GateCard {
    /// Its page.
    pub href: String,
    /// What is asked.
    pub title: Said,
    /// What people will notice.
    pub impact: Said,
    /// What it acts on.
    pub targets: Vec<Said>,
    /// `1 of 2`
    pub given: String,
    /// Who is asked.
    pub who: String,
    /// What is left to decide.
    pub left: Left,
    /// What was found before it, the newest: what, how it was, when it was read.
    pub evidence: Option<(Said, Said, Ago)>,
    /// Why this person may not decide.
    pub refusal: Option<String>,
}

impl Decisions {
    /// What waits, as this person sees it.
    pub fn of(record: &IncidentRecord, me: &Operator, now: DateTime<Utc>) -> Self {
        let gates = record
            .approvals
            .iter()
            .map(|(approval, given)| {
                let targets: BTreeSet<&str> = approval
                    .bound
                    .steps
                    .iter()
                    .filter(|step| step.changes)
                    .map(|step| step.request.target.as_str())
                    .collect();
                GateCard {
                    href: format!("/approvals/{}", approval.id),
                    title: said(&approval.title),
                    impact: said(&approval.impact),
                    targets: targets.into_iter().map(said).collect(),
                    given: format!("{given} of {}", approval.rule.approvals),
                    who: who(&approval.rule),
                    left: left(approval.decide_by, now),
                    evidence: approval
                        .bound
                        .evidence
                        .iter()
                        .max_by_key(|found| found.at)
                        .map(|found| {
                            let summary = text::cut(&found.summary, FINDING_CHARS_MAX);
                            (said(&found.title), said(&summary), ago(found.at, now))
                        }),
                    refusal: may_decide(&approval.rule, me, approval.requester)
                        .err()
                        .map(|refusal| refusal.to_string()),
                }
            })
            .collect();
        let asks = record
            .live_runs()
            .flat_map(|run| {
                let refusal = may_within(me, Permission::Run, &run.version.runbook.access.start)
                    .err()
                    .map(|denial| denial.to_string());
                let cards = AskCard::of(&RunLog::of(run, now), "");
                cards.into_iter().map(move |card| (card, refusal.clone()))
            })
            .collect();
        Self {
            gates,
            asks,
            reviews: record
                .reviews
                .iter()
                .map(|review| ReviewCard::of(review, me, "incident", now))
                .collect(),
            overdue: record
                .brief
                .update_due
                .filter(|due| *due <= now && record.incident.state.is_open())
                .map(|due| ago(due, now)),
            is_approver: me.role >= Role::Approver,
            is_open: record.incident.state.is_open(),
            is_partial: record.has_failed("runs"),
        }
    }
}
