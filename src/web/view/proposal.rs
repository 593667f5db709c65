//! A version that others are to look at: what it has otherwise, who has approved, and what this person may say.

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    coverage::LossPart,
    diff::DiffView,
    format,
    layout::Frame,
    parts::{Ago, Badge, Hidden, Said, ago, hidden, said},
};
use crate::{
    catalog::{publish::NOTE_CHARS_MAX, review::Review},
    domain::{operator::Operator, proposal::ProposalState},
    store::proposals::ProposalLine,
    web::error::sentence,
};

impl From<ProposalState> for Badge {
    fn from(state: ProposalState) -> Self {
        match state {
            ProposalState::Waiting => Self::new("gate", "lock", "Waits for review"),
            ProposalState::Published => Self::new("done", "check", "Published"),
            ProposalState::Returned => Self::new("quiet", "bent", "Sent back"),
            ProposalState::Replaced => Self::new("quiet", "barred", "Replaced"),
            ProposalState::Withdrawn => Self::new("quiet", "bent", "Taken back"),
        }
    }
}

/// One line of what waits, on the library and on a runbook's page.
#[derive(Clone, Debug)]
pub struct WaitingRow {
    /// Its page.
    pub href: String,
    /// Of which runbook.
    pub slug: String,
    /// Who proposes it.
    pub by: String,
    /// Since when.
    pub since: Ago,
    /// What they say with it.
    pub note: Said,
    /// Whether it waits for the person who looks.
    pub is_mine: bool,
}

impl WaitingRow {
    /// The row of a proposal, as this person sees it.
    pub fn of(line: &ProposalLine, me: &Operator, now: DateTime<Utc>) -> Self {
        Self {
            is_mine: line.waits_for(me),
            href: format!("/runbooks/{}/proposals/{}", line.slug, line.id),
            slug: line.slug.clone(),
            by: line.by.clone().unwrap_or_else(|| FOLDER.to_owned()),
            since: ago(line.proposed_at, now),
            note: said(&line.note),
        }
    }
}

/// Who proposes what a file says.
const FOLDER: &str = "the folder";

/// One approval.
#[derive(Clone, Debug)]
pub struct ApprovalRow {
    /// Who.
    pub name: Said,
    /// When.
    pub at: Ago,
    /// What they said with it.
    pub note: Said,
    /// Why it does not count, if it does not.
    pub void: Option<String>,
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "runbook/proposal.html")]
pub struct ProposalPage {
    /// The frame.
    pub frame: Frame,
    /// Of which runbook.
    pub slug: String,
    /// Its number.
    pub id: i64,
    /// Where it stands.
    pub badge: Badge,
    /// Whether it waits.
    pub is_waiting: bool,
    /// What the runbook is called.
    pub title: Said,
    /// Who proposes it, from where, and when.
    pub by: Said,
    /// From where.
    pub origin: Said,
    /// When.
    pub since: Ago,
    /// What they say with it.
    pub note: Said,
    /// How far it is.
    pub standing: String,
    /// Its approvals.
    pub approvals: Vec<ApprovalRow>,
    /// Number of the version it is compared with, 0 for none.
    pub base: i32,
    /// What it has otherwise.
    pub difference: DiffView,
    /// What it un-drills.
    pub loss: LossPart,
    /// The hash an approval carries.
    pub digest: String,
    /// Why this person may not judge it.
    pub refusal: Option<String>,
    /// Whether this person may take it back.
    pub is_theirs: bool,
    /// What became of it, once it is settled.
    pub settled: Option<String>,
}

impl ProposalPage {
    /// The page of a proposal for this person.
    pub fn of(frame: Frame, review: &Review, loss: LossPart, me: &Operator, now: DateTime<Utc>) -> Self {
        let proposal = &review.proposal;
        let stands = review.standing.as_ref();
        let old = stands.map(|standing| &standing.version.runbook);
        let source = stands.map_or("", |standing| standing.source.as_str());
        let is_waiting = proposal.state == ProposalState::Waiting;
        let has_approved = review
            .approvals
            .iter()
            .any(|(given, counts)| *counts && given.person.id == me.id);
        let refusal = match review.may_judge(me) {
            Err(error) => Some(error.to_string()),
            Ok(()) => has_approved.then(|| "you have approved it already".to_owned()),
        };
        let who = proposal.settled_by_name.as_deref().unwrap_or(FOLDER);
        let settled = match proposal.state {
            ProposalState::Waiting => None,
            ProposalState::Published => Some(format!(
                "It is version {} since {who} approved it.",
                proposal.number.unwrap_or_default()
            )),
            ProposalState::Returned => Some(format!("{who} sent it back: {}", proposal.word)),
            ProposalState::Withdrawn => Some(format!("{who} took it back.")),
            ProposalState::Replaced => Some(sentence(&proposal.word)),
        };
        Self {
            frame,
            loss,
            slug: proposal.runbook.slug.clone(),
            id: proposal.id.0,
            badge: proposal.state.into(),
            is_waiting,
            title: said(&proposal.runbook.title),
            by: said(proposal.by_name.as_deref().unwrap_or(FOLDER)),
            origin: said(&proposal.origin),
            since: ago(proposal.proposed_at, now),
            note: said(&proposal.note),
            standing: format!(
                "{} of {} given that count",
                review.given(),
                format::count(i64::from(review.needed), "approval", "approvals")
            ),
            approvals: review
                .approvals
                .iter()
                .map(|(given, counts)| ApprovalRow {
                    name: said(&given.person.name),
                    at: ago(given.at, now),
                    note: said(&given.note),
                    void: (is_waiting && !counts).then(|| match given.base_number.unwrap_or_default() {
                        base if base != review.base() => format!(
                            "it was compared with {}, and {} is in use since: it must be looked at again",
                            version(base),
                            version(review.base())
                        ),
                        _ => format!("{} may no longer approve it", given.person.name),
                    }),
                })
                .collect(),
            base: review.base(),
            difference: DiffView::between((old, source), (Some(&proposal.runbook), &proposal.source)),
            digest: proposal.digest.to_string(),
            refusal: refusal.filter(|_| is_waiting).map(|refusal| sentence(&refusal)),
            is_theirs: is_waiting && proposal.by == Some(me.id),
            settled,
        }
    }

    fn hidden(&self) -> Hidden {
        hidden(None)
    }

    fn note_chars_max(&self) -> usize {
        NOTE_CHARS_MAX
    }
}

fn version(number: i32) -> String {
    match number {
        0 => "nothing".to_owned(),
        number => format!("version {number}"),
    }
}
