//! Silencing the alerts of an incident: what people ask for, and what became of it. Nothing is sent from here.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::respond::RespondError;
use crate::{
    domain::{
        drill,
        event::{IncidentFact, NewEvent},
        id::{IncidentId, SilenceId},
        matcher::Matcher,
        operator::Operator,
        silence::{self, COMMENT_CHARS_MAX, LONGEST, SHORTEST, SilenceState},
        span::Span,
    },
    store::{
        StoreError, drills, events, incidents,
        silences::{self, NewSilence, Silence},
    },
};

/// Silences of one incident that are wanted or hold at once.
pub const LIVE_MAX: i64 = 20;

/// What a person wants silenced.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Matchers, one a line.
    pub matchers: &'a str,
    /// A length of time, as it was typed.
    pub duration: &'a str,
    /// Why.
    pub comment: &'a str,
    /// Where the incident can be seen: it stands in Alertmanager beside the person's name.
    pub link: &'a str,
    /// Names this wish, however often it comes.
    pub key: &'a str,
}

fn refused(message: impl Into<String>) -> RespondError {
    RespondError::Refused {
        message: message.into(),
    }
}

fn moved(message: impl Into<String>) -> RespondError {
    RespondError::Moved {
        message: message.into(),
    }
}

/// A person wants the alerts of an incident silenced; a worker carries it out.
pub async fn ask(
    conn: &mut PgConnection,
    id: IncidentId,
    by: &Operator,
    wanted: Wanted<'_>,
    now: DateTime<Utc>,
) -> Result<(), RespondError> {
    incidents::lock(conn, id).await?.ok_or(RespondError::NotFound)?;
    if let Some(drill) = drills::of_incident(conn, id).await? {
        let name = drill::name(drill);
        return Err(refused(format!(
            "INC-{id} is a drill ({name}), and nothing of a drill leaves it: a silence would hide real alerts. Let a step of \
             its runbook silence the twin, or note what you would have silenced"
        )));
    }
    let target = silences::target_of(conn, id).await?.ok_or_else(|| {
        refused("the source of this incident names no Alertmanager; an admin can, on its page")
    })?;
    let matchers = silence::parse(wanted.matchers).map_err(refused)?;
    let duration: Span = wanted
        .duration
        .trim()
        .parse()
        .map_err(|_| refused("say for how long, like 30m, 2h or 1d"))?;
    if !(SHORTEST..=LONGEST).contains(&duration) {
        return Err(refused(format!("a silence lasts from {SHORTEST} to {LONGEST}")));
    }
    let comment = wanted.comment.trim();
    if comment.is_empty() || comment.chars().count() > COMMENT_CHARS_MAX / 2 {
        let most = COMMENT_CHARS_MAX / 2;
        return Err(refused(format!("say why, in at most {most} characters")));
    }
    if silences::count_live(conn, id).await? >= LIVE_MAX {
        return Err(refused(format!(
            "{LIVE_MAX} silences of this incident hold already; end one first"
        )));
    }
    let words: Vec<String> = matchers.iter().map(Matcher::to_string).collect();
    // A database stores no U+0000, and Alertmanager shows a comment in one piece.
    let plain = |text: &str| text.replace('\0', "\u{2400}");
    let matchers = plain(&words.join(", "));
    let full = plain(&format!("{comment} ({}, {})", by.name, wanted.link));
    let until = now + duration.as_delta();
    let new = NewSilence {
        incident: id,
        target: &target,
        matchers: &matchers,
        comment: &full,
        key: wanted.key,
        by: by.id,
        until,
    };
    if silences::insert(conn, &new, now).await?.is_none() {
        return Err(moved("this silence was asked for already"));
    }
    let fact = IncidentFact::SilenceAsked {
        target,
        matchers,
        until,
        comment: plain(comment),
    };
    events::append(conn, id, &[NewEvent::by(by.actor(), fact, now)], now).await?;
    Ok(())
}

/// A person wants a silence of an incident ended before its time; a worker carries it out.
pub async fn ask_end(
    conn: &mut PgConnection,
    incident: IncidentId,
    id: SilenceId,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), RespondError> {
    let silence = silences::lock(conn, id).await?;
    let silence = silence
        .filter(|silence| silence.incident == incident)
        .ok_or(RespondError::NotFound)?;
    if !silences::ask_end(conn, id, by.id, now).await? {
        return Err(moved(match silence.state {
            SilenceState::Asked => "the silence is about to be made; wait a moment, then end it",
            SilenceState::Ending => "the silence is about to be ended",
            _ => "the silence is over already",
        }));
    }
    let fact = IncidentFact::SilenceEndAsked {
        target: silence.target.clone(),
        silence: name(&silence),
    };
    let event = NewEvent::by(by.actor(), fact, now);
    events::append(conn, silence.incident, &[event], now).await?;
    Ok(())
}

/// What people call a silence: Alertmanager's word for it, or the key it is found by.
pub fn name(silence: &Silence) -> String {
    silence.remote_id.clone().unwrap_or_else(|| silence.key.clone())
}

/// How carrying out a claim went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// It holds, by this name.
    Made(String),
    /// It is over.
    Over,
    /// It is tried again then.
    Later(DateTime<Utc>, String),
    /// It is given up. `true` when it may have been done all the same.
    GivenUp(String, bool),
}

/// Writes how carrying out a claim went, unless another claim came after it; whether it was written.
pub async fn settle(
    conn: &mut PgConnection,
    claimed: &Silence,
    came: &Came,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let (target, by) = (claimed.target.clone(), claimed.asked_by.clone());
    let (written, fact) = match came {
        Came::Made(remote_id) => {
            let fact = IncidentFact::SilenceCreated {
                target,
                silence: remote_id.clone(),
                matchers: claimed.matchers.clone(),
                until: claimed.until,
                by,
            };
            (silences::set_made(conn, claimed, remote_id).await?, Some(fact))
        }
        Came::Over => {
            let by = claimed.end_asked_by.clone();
            let fact = IncidentFact::SilenceExpired {
                target,
                silence: name(claimed),
                by: by.filter(|_| claimed.state == SilenceState::Ending),
            };
            (silences::set_over(conn, claimed, now).await?, Some(fact))
        }
        Came::Later(due, problem) => (silences::put_off(conn, claimed, *due, problem).await?, None),
        Came::GivenUp(reason, is_unknown) => {
            let fact = match claimed.state {
                SilenceState::Ending => IncidentFact::SilenceEndFailed {
                    target,
                    silence: name(claimed),
                    by: claimed.end_asked_by.clone().unwrap_or(by),
                    reason: reason.clone(),
                },
                _ => IncidentFact::SilenceFailed {
                    target,
                    matchers: claimed.matchers.clone(),
                    by,
                    reason: reason.clone(),
                    is_unknown: *is_unknown,
                },
            };
            (silences::give_up(conn, claimed, reason, now).await?, Some(fact))
        }
    };
    if let (true, Some(fact)) = (written, fact) {
        let event = NewEvent::automatic(fact, now);
        events::append(conn, claimed.incident, &[event], now).await?;
    }
    Ok(written)
}
