//! Publishing: how a new version of a runbook comes into use, from a person or from the folder, or becomes a proposal where
//! the runbook asks for a review ([`super::review`]).
//!
//! The newest published version is the one in use, wherever it came from. The folder speaks only when a file says
//! something new, so that what somebody published in the browser stays until the file is changed. Whoever publishes locks
//! the runbook's row first: two of them come one after the other.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{Fault, parse_runbook};
use crate::{
    domain::{
        access::{Denial, may_publish},
        audit::{Act, ActKind, Fields, Object},
        digest::Digest,
        id::ProposalId,
        operator::{Actor, Operator, Via},
        proposal::{ProposalState, reviewers},
        runbook::Runbook,
    },
    store::{
        StoreError, audit, operators,
        proposals::{self, NewProposal},
        publications::{self, NewPublication, Standing},
        runbooks::{self, Version},
    },
};

/// The longest word said with a version, in characters.
pub const NOTE_CHARS_MAX: usize = 2000;
/// Where a version comes from that a person published.
pub const BROWSER: &str = "the browser";
/// Where it comes from when a program did.
pub const PROGRAM: &str = "the API";

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The text is no runbook.
    #[error("the text has {} faults, the first: {}", .0.len(), .0.first().map_or_else(String::new, ToString::to_string))]
    Faulty(Vec<Fault>),
    /// This person may not.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// Somebody was faster; nothing was done.
    #[error("{0}")]
    Moved(String),
    /// A rule does not allow it.
    #[error("{0}")]
    Refused(String),
    /// There is no such proposal.
    #[error("there is no such proposal")]
    NotFound,
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What came of a new text.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is the version in use.
    Published(Version),
    /// It says what the version in use says.
    Unchanged(Version),
    /// Others must look at it first.
    Proposed(ProposalId),
}

/// A text that somebody wants in use.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// The runbook whose page it was written on, which it must name; any, when it is `None`.
    pub slug: Option<&'a str>,
    /// As written.
    pub source: &'a str,
    /// What they say with it.
    pub note: &'a str,
    /// Number of the version they began from, 0 for none; when another one stands by now, nothing is published.
    pub base: Option<i32>,
}

/// A person publishes a text, or proposes it where others must look at it first.
pub async fn publish(
    conn: &mut PgConnection,
    text: &Text<'_>,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<Outcome, PublishError> {
    let runbook = parse_runbook(text.source).map_err(PublishError::Faulty)?.runbook;
    if let Some(slug) = text.slug.filter(|slug| *slug != runbook.slug) {
        return Err(PublishError::Refused(format!(
            "this is {slug}, and the text says \"runbook: {}\"; publish that as a runbook of its own",
            runbook.slug
        )));
    }
    let note = note(text.note)?;
    let by = &as_they_are(conn, by).await?;
    let id = runbooks::lock(conn, &runbook.slug).await?;
    let standing = publications::find_standing(conn, id).await?;
    may_publish(
        by,
        standing.as_ref().map(|standing| &standing.version.runbook.access),
        &runbook.access,
    )?;
    let stands = number(standing.as_ref());
    if text.base.is_some_and(|base| base != stands) {
        return Err(PublishError::Moved(overtaken(stands)));
    }
    let origin = match by.via {
        Via::Token { .. } => PROGRAM,
        _ => BROWSER,
    };
    let new = New {
        runbook_id: id,
        runbook: &runbook,
        source: text.source,
        origin,
        by: Some(by),
        note,
    };
    new.bring(conn, standing.as_ref(), now).await
}

/// The folder says what a file holds. Nothing happens when it said so before.
pub async fn take_file(
    conn: &mut PgConnection,
    runbook: &Runbook,
    source: &str,
    origin: &str,
    now: DateTime<Utc>,
) -> Result<Option<Outcome>, StoreError> {
    let id = runbooks::lock(conn, &runbook.slug).await?;
    let digest = Digest::of_bytes(source.as_bytes());
    if !publications::note_file(conn, id, digest).await? {
        return Ok(None);
    }
    let standing = publications::find_standing(conn, id).await?;
    let new = New {
        runbook_id: id,
        runbook,
        source,
        origin,
        by: None,
        note: "",
    };
    match new.bring(conn, standing.as_ref(), now).await {
        Ok(outcome) => Ok(Some(outcome)),
        Err(PublishError::Store(error)) => Err(error),
        Err(other) => Err(StoreError::corrupt("proposals", "state", other)),
    }
}

/// A new text on its way into use.
struct New<'a> {
    runbook_id: i64,
    runbook: &'a Runbook,
    source: &'a str,
    origin: &'a str,
    /// Nobody, for the folder.
    by: Option<&'a Operator>,
    note: &'a str,
}

impl New<'_> {
    async fn bring(
        &self,
        conn: &mut PgConnection,
        standing: Option<&Standing>,
        now: DateTime<Utc>,
    ) -> Result<Outcome, PublishError> {
        let digest = Digest::of_bytes(self.source.as_bytes());
        let by = self.by.map(|by| by.id);
        let last = standing.filter(|standing| standing.version.digest == digest);
        if let Some(standing) = last.filter(|standing| standing.is_current) {
            return Ok(Outcome::Unchanged(standing.version.clone()));
        }
        let needed = reviewers(standing.map(|standing| &standing.version.runbook), self.runbook);
        // A file that comes back as it went brings back what was in use before, and nobody need look again.
        if needed == 0 || last.is_some() {
            let version = self.put_in_use(conn, now).await?;
            return Ok(Outcome::Published(version));
        }
        if let Some(waiting) = proposals::find_waiting(conn, self.runbook_id).await? {
            if waiting.digest == digest && waiting.by == by {
                return Ok(Outcome::Proposed(waiting.id));
            }
            let word = format!(
                "{} proposed a newer one",
                self.by.map_or("the folder", |by| &by.name)
            );
            let replaced = ProposalState::Replaced;
            proposals::settle(conn, waiting.id, replaced, by, &word, None, now).await?;
        }
        let new = NewProposal {
            runbook_id: self.runbook_id,
            runbook: self.runbook,
            source: self.source,
            origin: self.origin,
            by,
            note: self.note,
        };
        let id = proposals::insert(conn, &new, now).await?;
        let what = [("proposal", id.to_string()), ("from", self.origin.to_owned())];
        let by = self.by.map_or(Actor::Terminal, Operator::actor);
        record(
            conn,
            ActKind::RunbookProposed,
            &self.runbook.slug,
            what,
            self.note,
            by,
            now,
        )
        .await?;
        Ok(Outcome::Proposed(id))
    }

    async fn put_in_use(&self, conn: &mut PgConnection, now: DateTime<Utc>) -> Result<Version, StoreError> {
        let (id, runbook) = (self.runbook_id, self.runbook);
        let version = runbooks::add_version(conn, id, runbook, self.source, self.origin, now).await?;
        let by = self.by.map(|by| by.id);
        publications::insert(
            conn,
            &NewPublication {
                runbook_id: id,
                version: version.id,
                by,
                origin: self.origin,
                note: self.note,
                proposal: None,
            },
            now,
        )
        .await?;
        let what = [
            ("version", version.number.to_string()),
            ("from", self.origin.to_owned()),
        ];
        let by = self.by.map_or(Actor::Terminal, Operator::actor);
        record(
            conn,
            ActKind::RunbookPublished,
            &runbook.slug,
            what,
            self.note,
            by,
            now,
        )
        .await?;
        Ok(version)
    }
}

/// The same person as the database has them now, locked until this is done.
pub(super) async fn as_they_are(conn: &mut PgConnection, by: &Operator) -> Result<Operator, PublishError> {
    let found = operators::hold(conn, by.id).await?;
    let found = found.ok_or_else(|| PublishError::Refused("your account has been disabled".to_owned()))?;
    Ok(Operator {
        via: by.via.clone(),
        ..found
    })
}

/// Number of the version that stands, 0 for none.
pub(super) fn number(standing: Option<&Standing>) -> i32 {
    standing.map_or(0, |standing| standing.version.number)
}

/// What somebody is told who looked at another version than the one that stands.
pub fn overtaken(stands: i32) -> String {
    match stands {
        0 => "the version you began from is gone; nothing was done".to_owned(),
        number => format!("version {number} came into use since you looked; look at the difference again"),
    }
}

/// What is said with a text, if it is short enough.
pub(super) fn note(text: &str) -> Result<&str, PublishError> {
    let text = text.trim();
    match text.chars().count() <= NOTE_CHARS_MAX {
        true => Ok(text),
        false => Err(PublishError::Refused(format!(
            "the note is longer than {NOTE_CHARS_MAX} characters"
        ))),
    }
}

/// Leaves an act about a runbook in the audit.
pub(super) async fn record<const N: usize>(
    conn: &mut PgConnection,
    kind: ActKind,
    slug: &str,
    what: [(&str, String); N],
    word: &str,
    by: Actor,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let act = Act::new(by, kind, Object::runbook(slug), word);
    audit::insert(conn, &act.changing(Fields::default(), Fields::of(what)), now).await?;
    Ok(())
}
