//! The inbox, where nobody can decide by mistake: what waits for me, for others, and what was decided lately.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::{
    approval::{standing, who},
    drill::mark,
    format,
    incident::key,
    layout::Frame,
    parts::{Ago, Badge, Left, Said, ago, left, said},
    review::ReviewCard,
    text,
};
use crate::{
    domain::{
        approval::{ApprovalState, may_decide},
        operator::Operator,
        step::StepKind,
    },
    store::{approvals::ApprovalLine, reviews::Review, runbooks::Version},
};

/// Requests in the inbox.
pub const LINES_MAX: usize = 100;
/// Open reviews in the inbox.
pub const REVIEWS_MAX: usize = 50;
/// Runbooks named of those whose gates a person may decide.
const NAMED_MAX: usize = 12;

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
    /// Runbooks whose gates this person may decide, when nothing waits for them.
    may: Option<String>,
    is_cut: bool,
    reviews: Vec<ReviewCard>,
    more_reviews: bool,
}

impl HtmlSafe for Inbox {}

/// One request.
#[derive(Clone, Debug)]
pub struct InboxRow {
    /// Its number.
    pub id: i64,
    /// Its page.
    pub href: String,
    /// `DRILL-17`, where it is part of one.
    pub drill: Option<Badge>,
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
    /// What is left to decide.
    pub left: Left,
    /// When it was settled.
    pub when: Ago,
    /// Why this person may not decide.
    pub refusal: Option<String>,
}

impl Inbox {
    /// The inbox of this person. `lines` and `reviews` may be one more than is shown, when there are more.
    pub fn of(
        lines: &[ApprovalLine],
        reviews: &[Review],
        runbooks: &[Version],
        me: &Operator,
        now: DateTime<Utc>,
    ) -> Self {
        let (mut mine, mut others, mut settled) = (Vec::new(), Vec::new(), Vec::new());
        for line in lines.iter().take(LINES_MAX) {
            let refusal = may_decide(&line.rule, me, line.requester).err();
            let pending = line.state == ApprovalState::Pending;
            let place = match (pending, refusal.is_none()) {
                (false, _) => &mut settled,
                (true, true) => &mut mine,
                (true, false) => &mut others,
            };
            let targets: Vec<String> = line.targets.iter().map(|target| text::visible(target)).collect();
            place.push(InboxRow {
                id: line.id.0,
                href: format!("/approvals/{}", line.id),
                drill: line.drill.map(mark),
                severity: line.severity.into(),
                state: standing(line.state, line.given, line.rule.approvals, line.broken),
                title: said(&line.title),
                targets: format::listed(&targets),
                incident: key(line.incident.0),
                incident_title: said(&line.incident_title),
                by: said(line.requester_name.as_deref().unwrap_or("Muster")),
                given: format!("{} of {}", line.given, line.rule.approvals),
                who: who(&line.rule),
                left: left(line.decide_by, now),
                when: ago(line.decided_at.unwrap_or(line.decide_by), now),
                refusal: refusal.map(|refusal| refusal.to_string()),
            });
        }
        Self {
            may: mine.is_empty().then(|| may(runbooks, me)),
            is_cut: lines.len() > LINES_MAX,
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

/// Which runbooks have a gate that this person may decide, in words; nothing when none has.
fn may(runbooks: &[Version], me: &Operator) -> String {
    let decides = |version: &&Version| {
        let mut steps = version.runbook.all_steps();
        steps.any(|step| matches!(&step.kind, StepKind::Gate(rule) if may_decide(rule, me, None).is_ok()))
    };
    let slugs: Vec<&str> = runbooks
        .iter()
        .filter(decides)
        .map(|version| version.runbook.slug.as_str())
        .collect();
    match slugs.len().saturating_sub(NAMED_MAX) {
        0 => slugs.join(", "),
        more => format!("{} and {more} more", slugs[..NAMED_MAX].join(", ")),
    }
}
