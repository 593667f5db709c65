//! Reviews: a proposed version as it compares with the one that stands, and what others say about it.
//!
//! Each word comes under the lock of the runbook's row, so that of two reviewers the second sees what the first did. An
//! approval is bound to the proposed text and to the version it was compared with; when another one came into use
//! meanwhile it does not count, and whoever gave it must look again.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::publish::{PublishError, as_they_are, note, number, overtaken, record};
use crate::{
    domain::{
        access::{Denial, may_publish},
        audit::ActKind,
        digest::Digest,
        id::{ProposalId, VersionId},
        operator::{Operator, Via},
        proposal::{ProposalState, Weighed, reviewers},
    },
    store::{
        StoreError,
        proposals::{self, Proposal},
        publications::{self, NewPublication, Standing},
        runbooks::{self, Version},
    },
};

/// What a reviewer had before them.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// SHA-256 of the proposed text.
    pub digest: Digest,
    /// Number of the version it was compared with, 0 for none.
    pub base: i32,
}

/// A proposal, what it is compared with, and how far it is.
#[derive(Clone, Debug)]
pub struct Review {
    /// The proposal.
    pub proposal: Proposal,
    /// What stands now.
    pub standing: Option<Standing>,
    /// How many others must approve.
    pub needed: u32,
    /// Its approvals, each with whether it counts.
    pub approvals: Vec<(proposals::ProposalApproval, bool)>,
}

impl Review {
    /// A proposal as it is now.
    pub async fn find(
        conn: &mut PgConnection,
        slug: &str,
        id: ProposalId,
    ) -> Result<Option<Self>, StoreError> {
        let Some(proposal) = proposals::find(conn, slug, id).await? else {
            return Ok(None);
        };
        let standing = publications::find_standing(conn, proposal.runbook_id).await?;
        let stands = standing.as_ref().map(|standing| &standing.version);
        // One that waits was asked for, even when nobody asks for it any more.
        let needed = reviewers(stands.map(|version| &version.runbook), &proposal.runbook).max(1);
        let weighed = Weighed {
            author: proposal.by,
            standing: stands.map(|version| &version.runbook.access),
            new: &proposal.runbook.access,
            base: stands.map(|version| version.id),
        };
        let approvals = proposals::approvals(conn, id)
            .await?
            .into_iter()
            .map(|given| {
                let counts = weighed.counts(&given.person, given.is_enabled, given.base);
                (given, counts)
            })
            .collect();
        Ok(Some(Self {
            needed,
            approvals,
            standing,
            proposal,
        }))
    }

    /// How many approvals count.
    pub fn given(&self) -> u32 {
        self.approvals.iter().filter(|(_, counts)| *counts).count() as u32
    }

    /// Number of the version it is compared with, 0 for none.
    pub fn base(&self) -> i32 {
        number(self.standing.as_ref())
    }

    fn base_id(&self) -> Option<VersionId> {
        self.standing.as_ref().map(|standing| standing.version.id)
    }

    /// Whether this person may look at it and say something: whoever may publish it, but not its author.
    pub fn may_judge(&self, by: &Operator) -> Result<(), PublishError> {
        if self.proposal.by == Some(by.id) {
            return Err(PublishError::Refused(
                "somebody else has to look at it: you proposed it".to_owned(),
            ));
        }
        // A program's token is no second pair of eyes.
        if matches!(by.via, Via::Token { .. }) {
            return Err(Denial::Token.into());
        }
        let standing = self.standing.as_ref();
        let standing = standing.map(|standing| &standing.version.runbook.access);
        may_publish(by, standing, &self.proposal.runbook.access)?;
        Ok(())
    }
}

/// Somebody approves a proposal. With enough of them it is the version in use, which is returned.
pub async fn approve(
    conn: &mut PgConnection,
    slug: &str,
    id: ProposalId,
    seen: Seen,
    text: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<Option<Version>, PublishError> {
    let text = note(text)?;
    let by = &as_they_are(conn, by).await?;
    let review = locked(conn, slug, id).await?;
    review.may_judge(by)?;
    if review.proposal.digest != seen.digest || review.base() != seen.base {
        return Err(PublishError::Moved(overtaken(review.base())));
    }
    if !proposals::insert_approval(conn, id, by.id, review.base_id(), text, now).await? {
        return Err(PublishError::Moved("you have approved it already".to_owned()));
    }
    let what = [("proposal", id.to_string())];
    record(conn, ActKind::ProposalApproved, slug, what, text, by.actor(), now).await?;
    let review = Review::find(conn, slug, id)
        .await?
        .ok_or(PublishError::NotFound)?;
    if review.given() < review.needed {
        return Ok(None);
    }
    let proposal = &review.proposal;
    let version = runbooks::add_version(
        conn,
        proposal.runbook_id,
        &proposal.runbook,
        &proposal.source,
        &proposal.origin,
        now,
    )
    .await?;
    let new = NewPublication {
        runbook_id: proposal.runbook_id,
        version: version.id,
        by: proposal.by,
        origin: &proposal.origin,
        note: &proposal.note,
        proposal: Some(id),
    };
    publications::insert(conn, &new, now).await?;
    let published = ProposalState::Published;
    proposals::settle(conn, id, published, Some(by.id), text, Some(version.id), now).await?;
    let what = [
        ("version", version.number.to_string()),
        ("proposal", id.to_string()),
    ];
    let word = &proposal.note;
    record(conn, ActKind::RunbookPublished, slug, what, word, by.actor(), now).await?;
    Ok(Some(version))
}

/// Somebody who may approve a proposal wants it changed first: it waits no longer, and stays to be read.
pub async fn send_back(
    conn: &mut PgConnection,
    slug: &str,
    id: ProposalId,
    word: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PublishError> {
    let word = note(word)?;
    if word.is_empty() {
        return Err(PublishError::Refused("say what has to change".to_owned()));
    }
    let by = &as_they_are(conn, by).await?;
    locked(conn, slug, id).await?.may_judge(by)?;
    settle(conn, slug, id, ProposalState::Returned, by, word, now).await
}

/// Its author takes a proposal back.
pub async fn withdraw(
    conn: &mut PgConnection,
    slug: &str,
    id: ProposalId,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PublishError> {
    let review = locked(conn, slug, id).await?;
    if review.proposal.by != Some(by.id) {
        return Err(PublishError::Refused(
            "only who proposed it takes it back; send it back instead".to_owned(),
        ));
    }
    settle(conn, slug, id, ProposalState::Withdrawn, by, "", now).await
}

async fn settle(
    conn: &mut PgConnection,
    slug: &str,
    id: ProposalId,
    state: ProposalState,
    by: &Operator,
    word: &str,
    now: DateTime<Utc>,
) -> Result<(), PublishError> {
    proposals::settle(conn, id, state, Some(by.id), word, None, now).await?;
    let kind = match state {
        ProposalState::Withdrawn => ActKind::ProposalWithdrawn,
        _ => ActKind::ProposalSentBack,
    };
    let what = [("proposal", id.to_string())];
    record(conn, kind, slug, what, word, by.actor(), now).await?;
    Ok(())
}

/// A proposal that waits, under the lock of its runbook.
async fn locked(conn: &mut PgConnection, slug: &str, id: ProposalId) -> Result<Review, PublishError> {
    // Looked for first, so that no runbook is made by a wrong address.
    if proposals::find(conn, slug, id).await?.is_none() {
        return Err(PublishError::NotFound);
    }
    runbooks::lock(conn, slug).await?;
    let review = Review::find(conn, slug, id)
        .await?
        .ok_or(PublishError::NotFound)?;
    let proposal = &review.proposal;
    if proposal.state == ProposalState::Waiting {
        return Ok(review);
    }
    let who = proposal.settled_by_name.as_deref().unwrap_or("the folder");
    Err(PublishError::Moved(match proposal.state {
        ProposalState::Published => format!("it is published since {who} approved it"),
        ProposalState::Returned => format!("{who} has sent it back: {}", proposal.word),
        ProposalState::Withdrawn => format!("{who} has taken it back"),
        ProposalState::Replaced | ProposalState::Waiting => proposal.word.clone(),
    }))
}
