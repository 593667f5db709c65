//! A gate's page, where a person decides; and the inbox, where nobody can by mistake.

use std::collections::BTreeSet;

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    format,
    incident::key,
    layout::Frame,
    parts::{Ago, At, Badge, Hidden, Said, ago, at, hidden, said},
    text,
};
use crate::{
    domain::{
        approval::{ApprovalState, may_decide},
        incident::Severity,
        operator::Operator,
    },
    store::{
        approvals::{Approval, ApprovalLine, Vote},
        runbooks::Version,
    },
};

/// Reasons that one tap gives.
const PHRASES: [&str; 3] = [
    "The evidence is clear",
    "Agreed with the team",
    "Waiting costs more",
];
/// Evidence older than this is marked, in seconds.
const OLD_EVIDENCE_S: i64 = 120;
/// Characters of the question inside a button.
const BUTTON_CHARS_MAX: usize = 60;

/// Everything known of a request for a decision.
#[derive(Clone, Debug)]
pub struct ApprovalRecord {
    /// The request.
    pub approval: Approval,
    /// The votes on it.
    pub votes: Vec<Vote>,
    /// What the incident is called.
    pub incident_title: String,
    /// How bad it is.
    pub severity: Severity,
    /// The version its run is pinned to.
    pub version: Option<Version>,
    /// The person who started the run.
    pub requester_name: Option<String>,
    /// Where the steps below the gate stand, once it is open.
    pub outcome: Vec<(Said, Badge)>,
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
}

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
    targets: Vec<Said>,
    services: Vec<String>,
    by: Said,
    run: i64,
    runbook: Option<(String, i32)>,
    opened: Ago,
    decide_by: Ago,
    decide_by_clock: At,
    use_by: Option<Ago>,
    given: usize,
    needed: u32,
    votes: Vec<VoteRow>,
    evidence: Vec<EvidenceRow>,
    steps: Vec<StepRow>,
    undo: Vec<Said>,
    is_pending: bool,
    is_open: bool,
    outcome: Vec<(Said, Badge)>,
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
    /// What it acts on.
    pub target: Said,
    /// What will be sent.
    pub command: Said,
    /// Whether it changes anything.
    pub changes: bool,
}

/// How a request stands, in a badge. A request that enough people approved is void once its run is over: it was used,
/// not thrown away.
fn standing(state: ApprovalState, given: i64, needed: u32) -> Badge {
    match state {
        ApprovalState::Void if given >= i64::from(needed) => Badge::new("done", "check", "Approved, over"),
        state => state.into(),
    }
}

impl ApprovalFacts {
    /// What is shown of a request.
    pub fn of(record: &ApprovalRecord, now: DateTime<Utc>) -> Self {
        let approval = &record.approval;
        let changing = || approval.bound.steps.iter().filter(|step| step.changes);
        let targets: BTreeSet<&str> = changing().map(|step| step.request.target.as_str()).collect();
        let given = record
            .votes
            .iter()
            .filter(|vote| vote.verdict == "approve")
            .count();
        Self {
            incident: approval.incident.0,
            incident_key: key(approval.incident.0),
            incident_title: said(&record.incident_title),
            severity: record.severity.into(),
            state: standing(approval.state, given as i64, approval.rule.approvals),
            title: said(&approval.title),
            impact: said(&approval.impact),
            targets: targets.into_iter().map(said).collect(),
            services: record
                .version
                .as_ref()
                .map_or_else(Vec::new, |version| version.runbook.services.clone()),
            by: said(record.requester_name.as_deref().unwrap_or("Muster")),
            run: approval.run.0,
            runbook: record
                .version
                .as_ref()
                .map(|version| (version.runbook.slug.clone(), version.number)),
            opened: ago(approval.opened_at, now),
            decide_by: ago(approval.decide_by, now),
            decide_by_clock: at(approval.decide_by, now),
            use_by: approval.use_by.map(|use_by| ago(use_by, now)),
            given,
            needed: approval.rule.approvals,
            votes: record
                .votes
                .iter()
                .map(|vote| VoteRow {
                    name: said(&vote.name),
                    verb: if vote.verdict == "approve" {
                        "approved"
                    } else {
                        "rejected"
                    },
                    reason: said(&vote.reason),
                    at: at(vote.at, now),
                })
                .collect(),
            evidence: approval
                .bound
                .evidence
                .iter()
                .map(|found| EvidenceRow {
                    title: said(&found.title),
                    summary: said(&text::cut(&found.summary, 300)),
                    at: ago(found.at, now),
                    is_old: (now - found.at).num_seconds() > OLD_EVIDENCE_S,
                })
                .collect(),
            steps: approval
                .bound
                .steps
                .iter()
                .map(|step| StepRow {
                    title: said(&step.title),
                    target: said(&step.request.target),
                    command: said(&step.command),
                    changes: step.changes,
                })
                .collect(),
            undo: changing()
                .filter_map(|step| step.undo.as_deref().map(said))
                .collect(),
            is_pending: approval.state == ApprovalState::Pending,
            is_open: approval.state == ApprovalState::Approved,
            outcome: record.outcome.clone(),
        }
    }
}

/// What a person decides with.
#[derive(Clone, Debug)]
pub struct DecisionForm {
    /// The request.
    pub id: i64,
    /// The hash of what is shown above.
    pub digest: String,
    /// Operation id.
    pub hidden: Hidden,
    /// The number of the newest event the person has seen.
    pub seen: i64,
    /// What approving does, in the button.
    pub approve_words: String,
    /// Why this person may not decide.
    pub refusal: Option<String>,
    /// One-tap reasons.
    pub phrases: [&'static str; 3],
}

impl DecisionForm {
    /// The form, while the request is pending and its time is not over.
    pub fn of(record: &ApprovalRecord, me: &Operator, seen: i64, now: DateTime<Utc>) -> Option<Self> {
        let approval = &record.approval;
        if approval.state != ApprovalState::Pending || approval.decide_by <= now {
            return None;
        }
        let voted = record.votes.iter().any(|vote| vote.name == me.name);
        let refusal = match may_decide(&approval.rule, me, approval.requester) {
            Err(refusal) => Some(refusal.to_string()),
            Ok(()) => voted.then(|| "you have decided here already".to_owned()),
        };
        let question = text::visible(approval.title.trim_end_matches(['?', ' ']));
        Some(Self {
            id: approval.id.0,
            digest: approval.digest.to_string(),
            hidden: hidden(Some(seen)),
            seen,
            approve_words: format!("Approve: {}", text::cut(&question, BUTTON_CHARS_MAX)),
            refusal,
            phrases: PHRASES,
        })
    }
}

/// The inbox.
#[derive(Clone, Debug, Template)]
#[template(path = "approval/list.html")]
pub struct InboxPage {
    /// The frame.
    pub frame: Frame,
    /// Its lists.
    pub inbox: Inbox,
}

/// Waiting for me, waiting for others, decided lately.
#[derive(Clone, Debug, Template)]
#[template(path = "approval/_inbox.html")]
pub struct Inbox {
    mine: Vec<InboxRow>,
    others: Vec<InboxRow>,
    settled: Vec<InboxRow>,
}

impl HtmlSafe for Inbox {}

/// One request.
#[derive(Clone, Debug)]
pub struct InboxRow {
    /// Its page.
    pub href: String,
    /// How bad the incident is.
    pub severity: Badge,
    /// How the request stands.
    pub state: Badge,
    /// What is asked.
    pub title: Said,
    /// What it acts on.
    pub targets: String,
    /// Of which incident.
    pub incident: String,
    /// What that is called.
    pub incident_title: Said,
    /// Who started the run.
    pub by: Said,
    /// `1 of 2`
    pub given: String,
    /// When it lapses, or when it was settled.
    pub when: Ago,
    /// Why this person may not decide.
    pub refusal: Option<String>,
}

impl Inbox {
    /// The inbox of this person.
    pub fn of(lines: &[ApprovalLine], me: &Operator, now: DateTime<Utc>) -> Self {
        let (mut mine, mut others, mut settled) = (Vec::new(), Vec::new(), Vec::new());
        for line in lines {
            let refusal = may_decide(&line.rule, me, line.requester).err();
            let pending = line.state == ApprovalState::Pending;
            let place = match (pending, refusal.is_none()) {
                (false, _) => &mut settled,
                (true, true) => &mut mine,
                (true, false) => &mut others,
            };
            let targets: Vec<String> = line.targets.iter().map(|target| text::visible(target)).collect();
            place.push(InboxRow {
                href: format!("/approvals/{}", line.id),
                severity: line.severity.into(),
                state: standing(line.state, line.given, line.rule.approvals),
                title: said(&line.title),
                targets: format::listed(&targets),
                incident: key(line.incident.0),
                incident_title: said(&line.incident_title),
                by: said(line.requester_name.as_deref().unwrap_or("Muster")),
                given: format!("{} of {}", line.given, line.rule.approvals),
                when: ago(
                    match pending {
                        true => line.decide_by,
                        false => line.decided_at.unwrap_or(line.decide_by),
                    },
                    now,
                ),
                refusal: refusal.map(|refusal| refusal.to_string()),
            });
        }
        Self {
            mine,
            others,
            settled,
        }
    }
}
