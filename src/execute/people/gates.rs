//! What people say at gates. An approval can be taken back until something has started under it.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{PeopleError, as_they_are, lock, moved, pinned, record, refused};
use crate::{
    domain::{
        access,
        approval::{ApprovalState, Refusal, Verdict, may_break, may_decide},
        digest::Digest,
        event::{IncidentFact, NewEvent},
        evidence::{recent_enough, to_read_again},
        id::{ApprovalId, IncidentId, StepId},
        operator::Operator,
        permission::Permission,
        proof::{self, Presence},
        run::RunFact,
        runbook::Runbook,
        span::Span,
        state::{RunState, StepState},
        step::Effect,
    },
    store::{
        StoreError,
        approvals::{self, Approval},
        events, reviews,
    },
};

/// The shortest reason for breaking the glass, in characters: a key pressed by chance is no reason.
pub const BREAK_REASON_MIN: usize = 10;

/// What a person says at a gate, and what they show besides.
#[derive(Clone, Copy, Debug)]
pub struct Word<'a> {
    /// Whether it shall be done.
    pub verdict: Verdict,
    /// The hash of what they saw; when it is not the one the gate holds now, nothing is decided.
    pub digest: Digest,
    /// Why.
    pub reason: &'a str,
    /// The name of the target, where what is let through cannot be taken back.
    pub typed: &'a str,
    /// How they have shown who they are.
    pub presence: Presence,
}

/// A person approves or rejects. To approve takes evidence that is recent enough, and more than a word where what is let
/// through cannot be taken back; to reject takes a reason.
pub async fn decide(
    conn: &mut PgConnection,
    id: ApprovalId,
    word: &Word<'_>,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<ApprovalState, PeopleError> {
    let by = &as_they_are(conn, by).await?;
    let (approval, state) = locked(conn, id).await?;
    still_asked(conn, &approval, &state, word.digest, now).await?;
    may_decide(&approval.rule, by, approval.requester)?;
    let (verdict, reason) = (word.verdict, word.reason.trim());
    match verdict {
        Verdict::Reject if reason.is_empty() => return Err(refused("say in a few words why you reject")),
        Verdict::Reject => {}
        Verdict::Approve => {
            let version = pinned(conn, approval.run).await?;
            let again = to_read_again(&version.runbook, &state, &approval.step);
            recent_enough(&approval.bound, &approval.rule, &again, now)
                .map_err(|old| refused(old.to_string()))?;
            proof::suffices(&approval.bound, &word.presence, word.typed, now)
                .map_err(|lack| refused(lack.to_string()))?;
        }
    }
    if !approvals::insert_vote(conn, id, by.id, verdict, reason, now).await? {
        return Err(moved("you have decided here already"));
    }
    // Of those before, only who still may decide counts.
    let standing = approvals::givers(conn, id).await?;
    let given = standing.iter().filter(|giver| giver.may(&approval)).count() as u32;
    let needed = approval.rule.approvals;
    let step = approval.step.clone();
    let reason = reason.to_owned();
    let mut facts = Vec::new();
    let state = match verdict {
        Verdict::Reject => {
            facts.push(RunFact::GateRejected {
                step,
                approval: id,
                reason,
            });
            ApprovalState::Rejected
        }
        Verdict::Approve => {
            facts.push(RunFact::GateApproval {
                step: step.clone(),
                approval: id,
                reason,
                given,
                needed,
            });
            match given >= needed {
                true => {
                    let use_by = now + approval.rule.use_within.as_delta();
                    facts.push(RunFact::GateApproved {
                        step,
                        approval: id,
                        use_by,
                    });
                    ApprovalState::Approved
                }
                false => ApprovalState::Pending,
            }
        }
    };
    if state != ApprovalState::Pending {
        let use_by = (state == ApprovalState::Approved).then(|| now + approval.rule.use_within.as_delta());
        approvals::set_state(conn, id, ApprovalState::Pending, state, use_by, now).await?;
    }
    record(conn, approval.incident, approval.run, facts, by, now).await?;
    Ok(state)
}

/// Locks the run of a request and reads both anew.
async fn locked(conn: &mut PgConnection, id: ApprovalId) -> Result<(Approval, RunState), PeopleError> {
    let found = approvals::find(conn, id)
        .await?
        .ok_or(PeopleError::NotFound("approval"))?;
    let (_, state) = lock(conn, found.run).await?;
    // Read again under the lock: whoever held it before may have decided.
    let approval = approvals::find(conn, id)
        .await?
        .ok_or(PeopleError::NotFound("approval"))?;
    Ok((approval, state))
}

/// What became of a request that does not wait any more, in words: who settled it and how long ago, if a person did.
async fn settled_by(
    conn: &mut PgConnection,
    approval: &Approval,
    now: DateTime<Utc>,
) -> Result<PeopleError, StoreError> {
    let last = approvals::votes(conn, approval.id).await?.pop();
    let told = match (approval.state, last) {
        (ApprovalState::Approved | ApprovalState::Rejected, Some(vote)) => {
            let verb = if vote.verdict == Verdict::Approve.name() {
                "approved"
            } else {
                "rejected"
            };
            let ago = Span::from_secs((now - vote.at).num_seconds().max(0).unsigned_abs());
            format!("{} {verb} {ago} ago", vote.name)
        }
        (state, _) => format!("this request is {}", state.name()),
    };
    Ok(moved(format!("{told}; nothing of yours was sent")))
}

/// Checks that a request still waits and is the one the person saw.
async fn still_asked(
    conn: &mut PgConnection,
    approval: &Approval,
    state: &RunState,
    digest: Digest,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    if approval.state != ApprovalState::Pending {
        return Err(settled_by(conn, approval, now).await?);
    }
    if approval.step.undone().is_none() && state.ending.is_some() {
        return Err(moved("the steps of the run are over; nothing was decided"));
    }
    if approval.decide_by <= now {
        return Err(moved("the time to decide is over; nothing was decided"));
    }
    if approval.digest != digest {
        return Err(moved(
            "what would be done has changed since you looked; nothing was decided",
        ));
    }
    Ok(())
}

/// A person wants something changed before they decide: the run pauses with their note, and once it goes on the gate
/// asks again with what is true then: what only read since the run last changed something is read again before.
pub async fn send_back(
    conn: &mut PgConnection,
    id: ApprovalId,
    digest: Digest,
    note: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    let (approval, state) = locked(conn, id).await?;
    still_asked(conn, &approval, &state, digest, now).await?;
    may_decide(&approval.rule, by, approval.requester)?;
    let version = pinned(conn, approval.run).await?;
    let note = note.trim();
    if note.is_empty() {
        return Err(refused("say what has to change"));
    }
    approvals::set_state(
        conn,
        id,
        ApprovalState::Pending,
        ApprovalState::Returned,
        None,
        now,
    )
    .await?;
    let sent_back = RunFact::GateSentBack {
        step: approval.step.clone(),
        approval: id,
        note: note.to_owned(),
    };
    let again = to_read_again(&version.runbook, &state, &approval.step);
    let again = again.into_iter().map(|step| RunFact::StepReopened { step });
    let facts = std::iter::once(sent_back).chain(again).collect();
    record(conn, approval.incident, approval.run, facts, by, now).await
}

/// A person wants the evidence of a request read again: what only read since the run last changed something is, and then
/// the gate asks anew with what is true by then. Approvals given so far were for the old evidence, so they end.
pub async fn read_again(
    conn: &mut PgConnection,
    id: ApprovalId,
    digest: Digest,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    let (approval, state) = locked(conn, id).await?;
    still_asked(conn, &approval, &state, digest, now).await?;
    may_decide(&approval.rule, by, approval.requester)?;
    if state.paused.is_some() {
        return Err(refused(
            "the run is paused, so nothing is read; let it go on first",
        ));
    }
    let version = pinned(conn, approval.run).await?;
    let again = to_read_again(&version.runbook, &state, &approval.step);
    if again.is_empty() {
        return Err(refused(
            "nothing that was found before this gate can be read again without changing something",
        ));
    }
    let (from, to) = (ApprovalState::Pending, ApprovalState::Returned);
    approvals::set_state(conn, id, from, to, None, now).await?;
    let sent_back = RunFact::GateSentBack {
        step: approval.step.clone(),
        approval: id,
        note: "its evidence is read again".to_owned(),
    };
    let again = again.into_iter().map(|step| RunFact::StepReopened { step });
    let facts = std::iter::once(sent_back).chain(again);
    // Sending back pauses a run until people have changed something; here there is nothing to change.
    let facts = facts.chain([RunFact::PauseEnded]).collect();
    record(conn, approval.incident, approval.run, facts, by, now).await
}

/// A person takes an approval back, or the approvals given so far. Possible until something has started under it; then
/// the run can only be stopped. The gate asks again.
pub async fn withdraw(
    conn: &mut PgConnection,
    id: ApprovalId,
    reason: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    let (approval, state) = locked(conn, id).await?;
    if !matches!(approval.state, ApprovalState::Pending | ApprovalState::Approved) {
        return Err(settled_by(conn, &approval, now).await?);
    }
    let votes = approvals::votes(conn, id).await?;
    let has_voted = votes.iter().any(|vote| vote.name == by.name);
    let has_broken = reviews::find_of(conn, id)
        .await?
        .is_some_and(|review| review.opened_by == by.id.0);
    if !has_voted && !has_broken && approval.requester != Some(by.id) {
        may_decide(&approval.rule, by, approval.requester)?;
    }
    if approval.state == ApprovalState::Pending && votes.is_empty() {
        return Err(refused(
            "nobody has approved it yet; reject it or send it back instead",
        ));
    }
    if let Some(step) = started_under(conn, &approval, &state).await? {
        return Err(moved(format!(
            "the step {step} has started under it already; stop the run instead"
        )));
    }
    approvals::set_state(conn, id, approval.state, ApprovalState::Withdrawn, None, now).await?;
    let fact = RunFact::GateWithdrawn {
        step: approval.step.clone(),
        approval: id,
        reason: reason.trim().to_owned(),
    };
    record(conn, approval.incident, approval.run, vec![fact], by, now).await
}

/// The first step that was started under this approval, if any.
async fn started_under(
    conn: &mut PgConnection,
    approval: &Approval,
    state: &RunState,
) -> Result<Option<StepId>, PeopleError> {
    if approval.state != ApprovalState::Approved {
        return Ok(None);
    }
    let version = pinned(conn, approval.run).await?;
    let log = events::run_log(conn, approval.run).await?;
    let since = log.iter().position(|(_, fact)| {
        matches!(fact, RunFact::GateApproved { approval: given, .. } | RunFact::GateBroken { approval: given, .. }
                 if *given == approval.id)
    });
    let under = |step: &StepId| is_under(&version.runbook, &approval.step, step);
    let started = log
        .iter()
        .skip(since.unwrap_or(0))
        .find_map(|(_, fact)| match fact {
            RunFact::StepStarted { step, effect, .. } if *effect != Effect::Safe && under(step) => {
                Some(step.clone())
            }
            _ => None,
        });
    debug_assert!(matches!(state.step(&approval.step), StepState::Approved { .. }));
    Ok(started)
}

/// Whether a step, or the undo of one, stands under this gate, or under the gate as it is asked before an undo.
fn is_under(runbook: &Runbook, gate: &StepId, step: &StepId) -> bool {
    gate.undone().is_some() == step.undone().is_some()
        && runbook
            .gate_over(step)
            .is_some_and(|over| over.id.0 == gate.base())
}

/// A person opens a gate alone, with a reason that stays: it goes into the timeline, and a review is opened that
/// somebody else must close. Old evidence does not keep them out, since it is for when there is no time; what cannot be
/// taken back asks them for the same as anybody. The verdict of the word is not looked at.
pub async fn break_glass(
    conn: &mut PgConnection,
    id: ApprovalId,
    word: &Word<'_>,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    let by = &as_they_are(conn, by).await?;
    let (approval, state) = locked(conn, id).await?;
    still_asked(conn, &approval, &state, word.digest, now).await?;
    let version = pinned(conn, approval.run).await?;
    may_break(&approval.rule, &version.runbook.access.start, by).map_err(|refusal| match refusal {
        Refusal::Unbreakable => refused(refusal.to_string()),
        Refusal::Denied(denial) => PeopleError::Denied {
            permission: Permission::BreakGlass,
            denial,
        },
        other => PeopleError::Forbidden(other),
    })?;
    let reason = word.reason.trim();
    if reason.chars().count() < BREAK_REASON_MIN {
        return Err(refused(format!(
            "say why this cannot wait for somebody else, in at least {BREAK_REASON_MIN} characters"
        )));
    }
    proof::suffices(&approval.bound, &word.presence, word.typed, now)
        .map_err(|lack| refused(lack.to_string()))?;
    let use_by = now + approval.rule.use_within.as_delta();
    let to = ApprovalState::Approved;
    approvals::set_state(conn, id, ApprovalState::Pending, to, Some(use_by), now).await?;
    reviews::insert(conn, id, approval.incident, by.id, reason, now).await?;
    let fact = RunFact::GateBroken {
        step: approval.step.clone(),
        approval: id,
        reason: reason.to_owned(),
        use_by,
    };
    record(conn, approval.incident, approval.run, vec![fact], by, now).await
}

/// A second person says what they found when they looked at a broken glass.
pub async fn close_review(
    conn: &mut PgConnection,
    id: i64,
    finding: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(), PeopleError> {
    let review = reviews::lock(conn, id)
        .await?
        .ok_or(PeopleError::NotFound("review"))?;
    if let Some(name) = review.closed_by_name {
        return Err(moved(format!("this review was closed by {name} already")));
    }
    if review.opened_by == by.id.0 {
        return Err(refused(
            "somebody else has to look at it: you opened this gate alone",
        ));
    }
    let permission = Permission::Review;
    access::may(by, permission).map_err(|denial| PeopleError::Denied { permission, denial })?;
    let finding = finding.trim();
    if finding.is_empty() {
        return Err(refused("say what you found"));
    }
    reviews::close(conn, id, by.id, finding, now).await?;
    let fact = IncidentFact::GlassReviewed {
        approval: ApprovalId(review.approval),
        title: review.title,
        finding: finding.to_owned(),
    };
    let event = NewEvent::by(by.actor(), fact, now);
    events::append(conn, IncidentId(review.incident), &[event], now).await?;
    Ok(())
}
