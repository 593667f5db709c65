//! What a gate asks and shows, in the order a person decides by: what will happen to what, why, on which evidence, what
//! it reaches, what takes it back, who has said what, and how much time is left.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    approval::{ApprovalRecord, CircuitLine, standing, targets, who},
    format,
    incident::key,
    parts::{Ago, At, Badge, Left, Said, ago, at, left, said},
    precedent::Since,
    stand::DecisionLine,
    text,
    track::TrackPart,
};
use crate::{
    domain::{
        approval::ApprovalState,
        event::{Event, IncidentFact},
    },
    store::approvals::Approval,
};

/// Characters of a finding.
const FINDING_CHARS_MAX: usize = 300;

/// What is asked and shown; kept up to date.
#[derive(Clone, Debug, Template)]
#[template(path = "approval/_facts.html")]
pub struct ApprovalFacts {
    incident: i64,
    incident_key: String,
    incident_title: Said,
    severity: Badge,
    state: Badge,
    title: Said,
    impact: Said,
    targets: Vec<(Said, Option<String>)>,
    /// Whether it is practice, and its targets are no real ones.
    is_drill: bool,
    reach: String,
    by: Said,
    is_by_person: bool,
    run: i64,
    runbook: (String, i32),
    opened: Ago,
    left: Left,
    decide_by: At,
    expiry: String,
    use_by: Option<Left>,
    who: String,
    given: usize,
    needed: u32,
    votes: Vec<VoteRow>,
    evidence: Vec<EvidenceRow>,
    evidence_stays: bool,
    track: TrackPart,
    steps: Vec<StepRow>,
    undo: Vec<Said>,
    irreversible: Vec<Said>,
    undone: Option<(Ago, i64)>,
    since: Since,
    questions: Vec<Question>,
    is_open: bool,
    is_approved: bool,
    expired: Option<At>,
    may_ask_again: bool,
    successor: Option<i64>,
    paused: Option<Said>,
    circuits: Vec<CircuitLine>,
    acts: Vec<DecisionLine>,
    outcome: Vec<(Said, Badge, String)>,
}

impl HtmlSafe for ApprovalFacts {}

/// One vote.
#[derive(Clone, Debug)]
pub struct VoteRow {
    /// Who.
    pub name: Said,
    /// `approved` or `rejected`
    pub verb: &'static str,
    /// Why.
    pub reason: Said,
    /// When.
    pub at: At,
}

/// One finding.
#[derive(Clone, Debug)]
pub struct EvidenceRow {
    /// What was asked.
    pub title: Said,
    /// What was found.
    pub summary: Said,
    /// When that was true.
    pub at: Ago,
    /// Whether that was long ago.
    pub is_old: bool,
}

/// One action that the gate lets through.
#[derive(Clone, Debug)]
pub struct StepRow {
    /// What people read.
    pub title: Said,
    /// What will be sent.
    pub command: Said,
    /// Whether it changes anything.
    pub changes: bool,
}

/// What somebody asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// Who.
    pub by: Said,
    /// When.
    pub at: At,
    /// What.
    pub words: Said,
}

impl ApprovalFacts {
    /// What is shown of a request.
    pub fn of(record: &ApprovalRecord, now: DateTime<Utc>) -> Self {
        let approval = &record.approval;
        let given = record
            .votes
            .iter()
            .filter(|vote| vote.verdict == "approve")
            .count();
        let is_past = approval.state == ApprovalState::Expired
            || (approval.state == ApprovalState::Pending && approval.decide_by <= now);
        let has_lapsed_unused = approval.use_by.is_some();
        Self {
            incident: approval.incident.0,
            incident_key: key(approval.incident.0),
            incident_title: said(&record.run.incident.title),
            severity: record.run.incident.severity.into(),
            state: standing(
                approval.state,
                given as i64,
                approval.rule.approvals,
                record.review.is_some(),
            ),
            title: said(&approval.title),
            impact: said(&approval.impact),
            targets: targets(&approval.bound)
                .into_iter()
                .map(|target| (said(target), record.environments.get(target).cloned()))
                .collect(),
            is_drill: record.run.incident.drill.is_some(),
            reach: reach(record),
            by: said(record.requester_name.as_deref().unwrap_or("Muster")),
            is_by_person: approval.requester.is_some(),
            run: approval.run.0,
            runbook: (record.run.version.runbook.slug.clone(), record.run.version.number),
            opened: ago(approval.opened_at, now),
            left: left(approval.decide_by, now),
            decide_by: at(approval.decide_by, now),
            expiry: expiry(approval),
            use_by: approval.use_by.map(|use_by| left(use_by, now)),
            who: who(&approval.rule),
            given,
            needed: approval.rule.approvals,
            votes: votes(record, now),
            evidence: approval
                .bound
                .evidence
                .iter()
                .map(|found| EvidenceRow {
                    title: said(&found.title),
                    summary: said(&text::cut(&found.summary, FINDING_CHARS_MAX)),
                    at: ago(found.at, now),
                    is_old: now - found.at > approval.rule.evidence_within.as_delta(),
                })
                .collect(),
            evidence_stays: record.readable().is_empty(),
            track: TrackPart::of(record.track.as_ref(), record.run.version.number, now),
            steps: approval
                .bound
                .steps
                .iter()
                .map(|step| StepRow {
                    title: said(&step.title),
                    command: said(&step.command),
                    changes: step.changes,
                })
                .collect(),
            undo: approval
                .bound
                .steps
                .iter()
                .filter(|step| step.changes)
                .filter_map(|step| step.undo.as_deref().map(said))
                .collect(),
            irreversible: approval
                .bound
                .steps
                .iter()
                .filter(|step| step.irreversible)
                .map(|step| said(&step.title))
                .collect(),
            undone: record
                .undone
                .as_ref()
                .map(|undone| (ago(undone.at, now), undone.run.0)),
            since: Since::of(record, now),
            questions: questions(record, now),
            is_open: record.is_open(now),
            is_approved: approval.state == ApprovalState::Approved,
            expired: (is_past && !has_lapsed_unused).then(|| at(approval.decide_by, now)),
            may_ask_again: is_past
                && record.run.run.finished_at.is_some()
                && record.run.continued_by.is_none()
                && record.run.incident.state.is_open(),
            successor: record.successor.map(|id| id.0),
            paused: record.run.state.paused.as_deref().map(said),
            circuits: record.circuits(now),
            acts: record.acts(now),
            outcome: record.outcome(now),
        }
    }

    /// Whether some of the evidence is old by now.
    fn has_old_evidence(&self) -> bool {
        self.evidence.iter().any(|found| found.is_old)
    }
}

/// What happens when nobody decides in time.
fn expiry(approval: &Approval) -> String {
    match (&approval.rule.on_expiry, approval.step.undone()) {
        (_, Some(_)) => "then it is not taken back".to_owned(),
        (Some(step), None) => format!("then nothing below it runs, and the run goes on at {step}"),
        (None, None) => "then nothing runs, and the run ends".to_owned(),
    }
}

/// `3 requests to 2 targets, for shop and checkout`
fn reach(record: &ApprovalRecord) -> String {
    let bound = &record.approval.bound;
    let changing = bound.steps.iter().filter(|step| step.changes).count();
    let services: Vec<String> = record
        .run
        .version
        .runbook
        .services
        .iter()
        .map(|service| text::visible(service))
        .collect();
    let sent = format!(
        "{} to {}",
        format::count(changing as i64, "request", "requests"),
        format::count(targets(bound).len() as i64, "target", "targets"),
    );
    match services.len() {
        0 => sent,
        n => format!(
            "{sent}; {} {}",
            if n == 1 { "serves" } else { "serve" },
            format::listed(&services)
        ),
    }
}

fn votes(record: &ApprovalRecord, now: DateTime<Utc>) -> Vec<VoteRow> {
    let row = |vote: &crate::store::approvals::Vote| VoteRow {
        name: said(&vote.name),
        verb: if vote.verdict == "approve" {
            "approved"
        } else {
            "rejected"
        },
        reason: said(&vote.reason),
        at: at(vote.at, now),
    };
    record.votes.iter().map(row).collect()
}

fn questions(record: &ApprovalRecord, now: DateTime<Utc>) -> Vec<Question> {
    let asked = record.questions.iter();
    asked
        .filter_map(|recorded| match &recorded.event {
            Event::Incident(IncidentFact::QuestionAsked { question, .. }) => Some(Question {
                by: said(&recorded.actor.to_string()),
                at: at(recorded.recorded_at, now),
                words: said(question),
            }),
            _ => None,
        })
        .collect()
}
