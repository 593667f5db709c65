//! A gate's page, where a person decides; and the inbox, where nobody can by mistake.

use std::collections::BTreeSet;

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    format,
    incident::key,
    layout::Frame,
    parts::{Ago, At, Badge, Hidden, Said, ago, at, hidden, said},
    record::{RunLog, RunRecord},
    review::ReviewCard,
    stand::{self, DecisionLine},
    text,
};
use crate::{
    domain::{
        approval::{ApprovalState, Bound, BoundStep, may_decide, named},
        event::{Event, Recorded},
        id::StepId,
        operator::{Operator, Role},
        run::RunFact,
        step::{Effect, GateRule},
    },
    store::{
        approvals::{Approval, ApprovalLine, Vote},
        reviews::Review,
    },
};

/// Reasons that one tap gives.
const PHRASES: [&str; 3] = [
    "The evidence is clear",
    "Agreed with the team",
    "Waiting costs more",
];
/// Open reviews in the inbox.
pub const REVIEWS_MAX: usize = 50;
/// Steps whose outcome a request shows.
const OUTCOME_MAX: usize = 100;
/// Evidence older than this is marked, in seconds.
const OLD_EVIDENCE_S: i64 = 120;
/// Characters of the question inside a button.
pub const BUTTON_CHARS_MAX: usize = 60;

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
}

impl ApprovalRecord {
    /// The first step that was started under this approval, if any: then it cannot be taken back any more.
    fn started(&self) -> Option<&StepId> {
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

    /// Where the steps that it let through stand.
    fn outcome(&self, now: DateTime<Utc>) -> Vec<(Said, Badge)> {
        let log = RunLog::of(&self.run, now);
        match self.approval.state {
            ApprovalState::Approved | ApprovalState::Void => self
                .approval
                .bound
                .steps
                .iter()
                .take(OUTCOME_MAX)
                .map(|bound| (said(&bound.title), stand::standing(&bound.step, &log).0))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// What became of it by people's hands besides votes: sent back, taken back, opened alone.
    fn acts(&self, now: DateTime<Utc>) -> Vec<DecisionLine> {
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
    fn held(&self, now: DateTime<Utc>) -> Vec<Said> {
        let targets = targets(&self.approval.bound);
        targets
            .into_iter()
            .filter_map(|target| self.run.standing.held(target, now))
            .map(|held| said(&held.reason))
            .collect()
    }
}

/// The targets of what a request would change.
fn targets(bound: &Bound) -> BTreeSet<&str> {
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

/// What happens when nobody decides in time.
fn expiry(approval: &Approval) -> String {
    match (&approval.rule.on_expiry, approval.step.undone()) {
        (_, Some(_)) => "then it is not taken back".to_owned(),
        (Some(step), None) => format!("then nothing below it runs, and the run goes on at {step}"),
        (None, None) => "then nothing runs, and the run ends".to_owned(),
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
    runbook: (String, i32),
    opened: Ago,
    decide_by: Ago,
    decide_by_clock: At,
    expiry: String,
    use_by: Option<Ago>,
    who: String,
    given: usize,
    needed: u32,
    votes: Vec<VoteRow>,
    evidence: Vec<EvidenceRow>,
    steps: Vec<StepRow>,
    undo: Vec<Said>,
    is_pending: bool,
    is_open: bool,
    paused: Option<Said>,
    held: Vec<Said>,
    acts: Vec<DecisionLine>,
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
fn standing(state: ApprovalState, given: i64, needed: u32, broken: bool) -> Badge {
    match state {
        ApprovalState::Approved if broken => Badge::new("sev3", "triangle", "Opened alone"),
        ApprovalState::Void if broken => Badge::new("sev3", "triangle", "Opened alone, over"),
        ApprovalState::Void if given >= i64::from(needed) => Badge::new("done", "check", "Approved, over"),
        state => state.into(),
    }
}

impl ApprovalFacts {
    /// What is shown of a request.
    pub fn of(record: &ApprovalRecord, now: DateTime<Utc>) -> Self {
        let approval = &record.approval;
        let changing = || approval.bound.steps.iter().filter(|step| step.changes);
        let given = record
            .votes
            .iter()
            .filter(|vote| vote.verdict == "approve")
            .count();
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
            targets: targets(&approval.bound).into_iter().map(said).collect(),
            services: record.run.version.runbook.services.clone(),
            by: said(record.requester_name.as_deref().unwrap_or("Muster")),
            run: approval.run.0,
            runbook: (record.run.version.runbook.slug.clone(), record.run.version.number),
            opened: ago(approval.opened_at, now),
            decide_by: ago(approval.decide_by, now),
            decide_by_clock: at(approval.decide_by, now),
            expiry: expiry(approval),
            use_by: approval.use_by.map(|use_by| ago(use_by, now)),
            who: who(&approval.rule),
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
            paused: record.run.state.paused.as_deref().map(said),
            held: record.held(now),
            acts: record.acts(now),
            outcome: record.outcome(now),
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
    /// The code of the link by which the person came.
    pub code: Option<String>,
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
            Ok(_) => voted.then(|| "you have decided here already".to_owned()),
        };
        let question = text::visible(approval.title.trim_end_matches(['?', ' ']));
        Some(Self {
            id: approval.id.0,
            digest: approval.digest.to_string(),
            code: None,
            hidden: hidden(Some(seen)),
            seen,
            approve_words: format!("Approve: {}", text::cut(&question, BUTTON_CHARS_MAX)),
            refusal,
            phrases: PHRASES,
        })
    }
}

/// What can be done at a gate besides approving and rejecting: send it back, take an approval back, break the glass.
#[derive(Clone, Debug, Template)]
#[template(path = "approval/_others.html")]
pub struct Others {
    id: i64,
    digest: String,
    seen: i64,
    may_send_back: bool,
    withdraw: Option<Withdrawal>,
    glass: Option<Glass>,
    review: Option<ReviewCard>,
}

impl HtmlSafe for Others {}

/// Whether an approval can be taken back.
#[derive(Clone, Debug)]
enum Withdrawal {
    /// By this person, now.
    Open,
    /// Not any more: this step has started under it.
    Started(Said),
}

/// Whether one person can open the gate alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Glass {
    /// This person can.
    Breakable,
    /// Nobody can.
    Forbidden,
}

impl Others {
    /// What this person can do besides.
    pub fn of(record: &ApprovalRecord, me: &Operator, seen: i64, now: DateTime<Utc>) -> Self {
        let approval = &record.approval;
        let is_pending = approval.state == ApprovalState::Pending && approval.decide_by > now;
        let may_decide = may_decide(&approval.rule, me, approval.requester).is_ok();
        let is_theirs = may_decide
            || approval.requester == Some(me.id)
            || record.votes.iter().any(|vote| vote.name == me.name)
            || record
                .review
                .as_ref()
                .is_some_and(|review| review.opened_by == me.id.0);
        let is_given = match approval.state {
            ApprovalState::Pending => is_pending && !record.votes.is_empty(),
            ApprovalState::Approved => true,
            _ => false,
        };
        Self {
            id: approval.id.0,
            digest: approval.digest.to_string(),
            seen,
            may_send_back: is_pending && may_decide,
            withdraw: (is_given && is_theirs).then(|| match record.started() {
                Some(step) => Withdrawal::Started(said(&step.0)),
                None => Withdrawal::Open,
            }),
            glass: (is_pending && me.role >= Role::Responder).then_some(match approval.rule.break_glass {
                true => Glass::Breakable,
                false => Glass::Forbidden,
            }),
            review: record
                .review
                .as_ref()
                .map(|review| ReviewCard::of(review, me, "approval", now)),
        }
    }

    fn hidden(&self) -> Hidden {
        hidden(Some(self.seen))
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
    reviews: Vec<ReviewCard>,
    more_reviews: bool,
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
    /// Who is asked.
    pub who: String,
    /// When it lapses, or when it was settled.
    pub when: Ago,
    /// Why this person may not decide.
    pub refusal: Option<String>,
}

impl Inbox {
    /// The inbox of this person. `reviews` are the open ones, one more than is shown when there are more.
    pub fn of(lines: &[ApprovalLine], reviews: &[Review], me: &Operator, now: DateTime<Utc>) -> Self {
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
                state: standing(line.state, line.given, line.rule.approvals, line.broken),
                title: said(&line.title),
                targets: format::listed(&targets),
                incident: key(line.incident.0),
                incident_title: said(&line.incident_title),
                by: said(line.requester_name.as_deref().unwrap_or("Muster")),
                given: format!("{} of {}", line.given, line.rule.approvals),
                who: who(&line.rule),
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
            reviews: reviews
                .iter()
                .take(REVIEWS_MAX)
                .map(|review| ReviewCard::of(review, me, "", now))
                .collect(),
            more_reviews: reviews.len() > REVIEWS_MAX,
        }
    }
}
