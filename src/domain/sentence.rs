//! Every fact as one sentence, and the group people filter it by.

use super::{
    boot::away,
    event::{Event, IncidentFact},
    id::IncidentId,
    run::{RunFact, RunResult, Settled, UnknownChoice},
    runbook::StartMode,
    titles::Titles,
};

/// The groups the timeline is filtered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    /// A person decided something.
    Decision,
    /// A step moved.
    Step,
    /// Alerts moved.
    Alert,
    /// A person wrote something down.
    Note,
    /// The team was told how it stands.
    Update,
    /// Muster's own bookkeeping.
    System,
}

impl Category {
    /// All of them, in the order they are shown.
    pub const ALL: [Self; 6] = [
        Self::Decision,
        Self::Step,
        Self::Alert,
        Self::Note,
        Self::Update,
        Self::System,
    ];

    /// Its name in addresses and on the page.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decision => "decisions",
            Self::Step => "steps",
            Self::Alert => "alerts",
            Self::Note => "notes",
            Self::Update => "updates",
            Self::System => "system",
        }
    }
}

/// The group of a fact.
pub fn category(event: &Event) -> Category {
    match event {
        Event::Incident(fact) => match fact {
            IncidentFact::Note { .. }
            | IncidentFact::NoteCorrected { .. }
            | IncidentFact::QuestionAsked { .. } => Category::Note,
            IncidentFact::ImpactStated { .. }
            | IncidentFact::UpdatePosted { .. }
            | IncidentFact::SaidInDrill { .. }
            | IncidentFact::LeftInDrill { .. } => Category::Update,
            IncidentFact::Acknowledged
            | IncidentFact::Unacknowledged
            | IncidentFact::DutyTaken { .. }
            | IncidentFact::DutyLaidDown { .. }
            | IncidentFact::Mitigated { .. }
            | IncidentFact::Resolved { .. }
            | IncidentFact::Closed
            | IncidentFact::MergedInto { .. }
            | IncidentFact::TookIn { .. }
            | IncidentFact::Unmerged { .. }
            | IncidentFact::GaveBack { .. }
            | IncidentFact::GlassReviewed { .. }
            | IncidentFact::SilenceAsked { .. }
            | IncidentFact::SilenceEndAsked { .. }
            | IncidentFact::SeverityChanged { .. } => Category::Decision,
            IncidentFact::Matched { .. }
            | IncidentFact::NoMatch { .. }
            | IncidentFact::StartMoved { .. }
            | IncidentFact::RefirePending { .. }
            | IncidentFact::SeverityRuled { .. }
            | IncidentFact::FoldedUnder { .. }
            | IncidentFact::Folded { .. }
            | IncidentFact::Unfolded { .. }
            | IncidentFact::FoldOpened { .. }
            | IncidentFact::Pinned { .. }
            | IncidentFact::Unpinned { .. }
            | IncidentFact::StartHeldBack { .. } => Category::System,
            IncidentFact::Opened { .. }
            | IncidentFact::AlertsFired { .. }
            | IncidentFact::AlertsResolved { .. }
            | IncidentFact::LeasesOver { .. }
            | IncidentFact::Truncated { .. }
            | IncidentFact::RecoveryBegan { .. }
            | IncidentFact::Flapping { .. }
            | IncidentFact::CalmAgain { .. }
            | IncidentFact::RecoveryBroken { .. }
            | IncidentFact::Recovered { .. }
            | IncidentFact::Reopened { .. }
            | IncidentFact::Recurrence { .. }
            | IncidentFact::HeartbeatMissed { .. }
            | IncidentFact::HeartbeatHeard { .. }
            | IncidentFact::SilenceCreated { .. }
            | IncidentFact::SilenceFailed { .. }
            | IncidentFact::SilenceExpired { .. }
            | IncidentFact::SilenceEndFailed { .. }
            | IncidentFact::AlertsStale { .. }
            | IncidentFact::StillFiring { .. }
            | IncidentFact::AlertsSettled { .. }
            | IncidentFact::TruncationSettled { .. }
            // Not bookkeeping: nobody would have heard an alert, so it belongs into every story.
            | IncidentFact::MusterWasDown { .. }
            | IncidentFact::DrillEnded { .. } => Category::Alert,
        },
        Event::Run(_, fact) => match fact {
            RunFact::GateApproval { .. }
            | RunFact::GateApproved { .. }
            | RunFact::GateBroken { .. }
            | RunFact::GateRejected { .. }
            | RunFact::GateWithdrawn { .. }
            | RunFact::GateSentBack { .. }
            | RunFact::ManualDone { .. }
            | RunFact::UnknownDecided { .. }
            | RunFact::PauseRequested { .. }
            | RunFact::PauseEnded
            | RunFact::StopRequested { .. }
            | RunFact::UndoRequested { .. } => Category::Decision,
            _ => Category::Step,
        },
    }
}

fn listed(count: usize, names: &[String]) -> String {
    let more = count.saturating_sub(names.len());
    match more {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

fn alerts_of(count: i64) -> String {
    match count {
        1 => "1 alert".to_owned(),
        count => format!("{count} alerts"),
    }
}

fn keys(incidents: &[IncidentId]) -> Vec<String> {
    incidents.iter().map(|id| format!("INC-{id}")).collect()
}

/// A moment as people read it, in UTC.
fn clock(at: chrono::DateTime<chrono::Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

fn because(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}

/// The fact as one sentence, without its actor and time.
pub fn sentence(event: &Event) -> String {
    match event {
        Event::Incident(fact) => of_incident(fact),
        Event::Run(_, fact) => {
            let words = of_run(fact);
            // No author writes `undo:`, and nobody should have to read it.
            let undone = fact.step().and_then(|step| Some((step, step.undone()?)));
            match undone.and_then(|(step, undone)| Some((undone, words.strip_prefix(&step.0)?))) {
                Some((undone, rest)) => format!("taking back {undone}{rest}"),
                None => words,
            }
        }
    }
}

/// The same for people: steps by what they are called instead of by the names that runbooks use inside.
pub fn told(event: &Event, titles: &Titles) -> String {
    let Event::Run(run, fact) = event else {
        return sentence(event);
    };
    let named = fact
        .step()
        .and_then(|step| Some((&step.0, titles.name(*run, step)?)));
    let words = of_run(fact);
    match named.and_then(|(step, title)| Some((title, words.strip_prefix(step)?))) {
        Some((title, rest)) => after_title(&title, rest),
        None => sentence(event),
    }
}

/// A title that is a question or a sentence has an end of its own.
fn after_title(title: &str, rest: &str) -> String {
    match (rest.strip_prefix(": "), title.ends_with(['?', '!', '.'])) {
        (Some(rest), true) => format!("{title} {rest}"),
        _ => format!("{title}{rest}"),
    }
}

fn of_incident(fact: &IncidentFact) -> String {
    use IncidentFact as Fact;
    match fact {
        Fact::Opened {
            title,
            severity,
            reason,
        } => format!("Opened as {severity}: {title} ({reason})"),
        Fact::SeverityRuled { severity, rule } => format!("{severity} by the severity rule \"{rule}\""),
        Fact::Flapping {
            times,
            first_at,
            last_at,
            calm_after,
        } => format!(
            "Flapping: {times} times in {}; it stays open and starts nothing until it is calm for {calm_after}",
            match *last_at - *first_at {
                short if short < chrono::TimeDelta::minutes(1) => "less than a minute".to_owned(),
                time => format!("{} min", time.num_minutes()),
            }
        ),
        Fact::CalmAgain { times } => {
            format!("Calm again; it came back {times} times while it flapped")
        }
        Fact::AlertsFired { count: 1, names, .. } => format!("Alert fired: {}", listed(1, names)),
        Fact::AlertsFired { count, names, .. } => format!("{count} alerts fired: {}", listed(*count, names)),
        Fact::LeasesOver { count, names } => {
            format!("Not reported again in time, so over: {}", listed(*count, names))
        }
        Fact::AlertsResolved { count: 1, names, .. } => format!("Alert resolved: {}", listed(1, names)),
        Fact::AlertsResolved { count, names, .. } => {
            format!("{count} alerts resolved: {}", listed(*count, names))
        }
        Fact::StartMoved { name, .. } => format!("{name} fires with a later start; its sender restarted"),
        Fact::RefirePending { count, names, .. } => {
            format!(
                "{} said to fire again; believed if it lasts",
                listed(*count, names)
            )
        }
        Fact::Truncated { hidden: 1 } => "The sender left 1 alert out of its list".to_owned(),
        Fact::Truncated { hidden } => format!(
            "The sender left {hidden} alerts out of its list; recovery cannot be seen from its deliveries alone"
        ),
        Fact::Matched {
            runbook,
            version,
            line,
        } => format!("Runbook {runbook} v{version} matched: {line}"),
        Fact::NoMatch { considered: 0 } => "No runbook matched: there are none".to_owned(),
        Fact::NoMatch { considered } => format!("No runbook matched; {considered} were considered"),
        Fact::RecoveryBegan { .. } => "Every alert has ended; watching that it stays so".to_owned(),
        Fact::RecoveryBroken { name } => format!("{name} fires again; not recovered"),
        Fact::Recovered { .. } => "Recovered: every alert stayed ended".to_owned(),
        Fact::Reopened { name } => format!("Reopened: {name} fires again"),
        Fact::Recurrence { of } => format!("The same as INC-{of} before it"),
        Fact::MergedInto { into, alerts, reason } => {
            format!(
                "Merged into INC-{into}, with {}{}",
                alerts_of(*alerts),
                because(reason)
            )
        }
        Fact::TookIn {
            from,
            title,
            alerts,
            reason,
        } => format!(
            "Took in INC-{from}, “{title}”, with {}{}",
            alerts_of(*alerts),
            because(reason)
        ),
        Fact::Unmerged { from, alerts, reason } => {
            format!(
                "Taken out of INC-{from} again, with {}{}",
                alerts_of(*alerts),
                because(reason)
            )
        }
        Fact::GaveBack { to, alerts, reason } => {
            format!(
                "Gave INC-{to} back, with {}{}",
                alerts_of(*alerts),
                because(reason)
            )
        }
        Fact::FoldedUnder { parent, reason } => format!("Folded under INC-{parent}{}", because(reason)),
        Fact::Folded { count, first, reason } => {
            format!(
                "Folded under it: {}{}",
                listed(*count, &keys(first)),
                because(reason)
            )
        }
        Fact::Unfolded { parent } => format!("No longer folded under INC-{parent}"),
        Fact::FoldOpened { count, first } => {
            format!("No longer folded under it: {}", listed(*count, &keys(first)))
        }
        Fact::Acknowledged => "Acknowledged".to_owned(),
        Fact::Mitigated { reason } => format!("Mitigated{}", because(reason)),
        Fact::Resolved { reason } => format!("Resolved{}", because(reason)),
        Fact::Closed => "Closed".to_owned(),
        Fact::SeverityChanged { from, to, reason } => format!("Severity {from} → {to}{}", because(reason)),
        Fact::Unacknowledged => "Took back the acknowledgement; nobody has it".to_owned(),
        Fact::Note { text, tag: None } => text.clone(),
        Fact::Note { text, tag: Some(tag) } => format!("{}: {text}", tag.word()),
        Fact::NoteCorrected { note, text } => format!("Corrected note {note}: {text}"),
        Fact::DutyTaken {
            duty,
            name,
            from,
            summary,
            ..
        } => match from {
            Some(from) => format!("{} passes from {from} to {name}{}", duty.word(), because(summary)),
            None => format!("{name} is {} now{}", duty.word().to_lowercase(), because(summary)),
        },
        Fact::DutyLaidDown { duty, name } => {
            format!("{name} is no longer {}; nobody is", duty.word().to_lowercase())
        }
        Fact::ImpactStated { text } if text.is_empty() => "Took back what was said of the impact".to_owned(),
        Fact::ImpactStated { text } => format!("Impact: {text}"),
        Fact::UpdatePosted {
            condition,
            action,
            need,
            next_due,
        } => {
            let mut parts = vec![format!("Condition: {condition}")];
            parts.extend((!action.is_empty()).then(|| format!("Action: {action}")));
            parts.extend((!need.is_empty()).then(|| format!("Need: {need}")));
            parts.extend(next_due.map(|due| format!("Next update due {}", clock(due))));
            parts.join("; ")
        }
        Fact::Pinned { seq } => format!("Pinned event {seq}"),
        Fact::Unpinned { seq } => format!("No longer pinned: event {seq}"),
        Fact::GlassReviewed { title, finding, .. } => {
            format!("Reviewed what was opened alone, “{title}”: {finding}")
        }
        Fact::QuestionAsked { title, question, .. } => format!("Asks about “{title}”: {question}"),
        Fact::HeartbeatMissed { name, .. } => format!("No sign of life from {name}"),
        Fact::HeartbeatHeard { name } => format!("{name} is heard again"),
        Fact::SilenceAsked {
            target,
            matchers,
            until,
            comment,
        } => format!(
            "Asked {target} to silence {{{matchers}}} until {}{}",
            clock(*until),
            because(comment)
        ),
        Fact::SilenceCreated {
            target,
            silence,
            matchers,
            until,
            by,
        } => format!(
            "Silence {silence} holds in {target} until {}, asked for by {by}: {{{matchers}}}",
            clock(*until)
        ),
        Fact::SilenceFailed {
            target,
            matchers,
            by,
            reason,
            is_unknown,
        } => {
            let rest = match is_unknown {
                true => "; whether it stands there is not known, look for it in Alertmanager",
                false => "",
            };
            format!("No silence of {{{matchers}}} in {target}, asked for by {by}: {reason}{rest}")
        }
        Fact::SilenceEndAsked { target, silence } => format!("Asked {target} to end silence {silence}"),
        Fact::SilenceExpired {
            target,
            silence,
            by: Some(by),
        } => format!("Silence {silence} in {target} is over, ended by {by}"),
        Fact::SilenceExpired {
            target,
            silence,
            by: None,
        } => format!("The time of silence {silence} in {target} is over"),
        Fact::SilenceEndFailed {
            target,
            silence,
            by,
            reason,
        } => format!("Silence {silence} in {target} was not ended, asked for by {by}: {reason}"),
        Fact::AlertsStale {
            count,
            names,
            last_heard_at,
            reason,
        } => format!(
            "No news of {} since {}: still firing?{}",
            listed(*count, names),
            clock(*last_heard_at),
            match reason.as_str() {
                "" => String::new(),
                reason => format!(" ({reason})"),
            }
        ),
        Fact::StillFiring { count, names, reason } => {
            format!("Still firing: {}{}", listed(*count, names), because(reason))
        }
        Fact::AlertsSettled { count, names, reason } => {
            format!("Over: {}{}", listed(*count, names), because(reason))
        }
        Fact::TruncationSettled { hidden: 1, reason } => {
            format!(
                "What the sender left out of its list, 1 alert, is over as well{}",
                because(reason)
            )
        }
        Fact::TruncationSettled { hidden, reason } => format!(
            "What the sender left out of its list, {hidden} alerts, is over as well{}",
            because(reason)
        ),
        Fact::StartHeldBack { runbook, reason } => format!("{runbook} was not started by itself: {reason}"),
        Fact::SaidInDrill { who, text } => format!("DRILL: {who} says: {text}"),
        Fact::LeftInDrill { role } => {
            format!("DRILL: whoever plays {role} drops out; somebody else takes it over")
        }
        Fact::DrillEnded { reason } => format!("The drill is over: {reason}"),
        Fact::MusterWasDown {
            since,
            until,
            clean_stop,
            ..
        } => format!(
            "{}; it received nothing and did nothing meanwhile",
            away(*since, *until, *clean_stop)
        ),
    }
}

fn of_run(fact: &RunFact) -> String {
    use RunFact as Fact;
    match fact {
        Fact::RunStarted {
            runbook,
            version,
            continues: Some(run),
            ..
        } => format!("Went on with {runbook} v{version} where run {run} ended"),
        Fact::RunStarted {
            runbook,
            version,
            mode,
            ..
        } => match mode {
            StartMode::Automatic => format!("Started {runbook} v{version} by itself"),
            StartMode::Suggest | StartMode::Manual => format!("Started {runbook} v{version}"),
        },
        Fact::StepCarried { step, from } => format!("{step}: counts as done since run {from}"),
        Fact::ItemsListed { step, items } => match items.len() {
            0 => format!("{step}: nothing to do, the list is empty"),
            1 => format!("{step}: one item"),
            count => format!("{step}: {count} items"),
        },
        Fact::StepHeld { step, reason, .. } => format!("{step}: {reason}"),
        Fact::LockAwaited { lock, holder } => format!("Waits for the lock {lock}, held by {holder}"),
        Fact::StepSatisfied { step, summary } => {
            format!("{step}: done already{}; nothing sent", because(summary))
        }
        Fact::StepStarted {
            step,
            attempt: 1,
            command,
            ..
        } => format!("{step}: {command}"),
        Fact::StepStarted {
            step,
            attempt,
            command,
            ..
        } => format!("{step}, attempt {attempt}: {command}"),
        Fact::StepSucceeded {
            step,
            summary,
            settled: Settled::Answer,
            ..
        } => {
            format!("{step}: done{}", because(summary))
        }
        Fact::StepSucceeded {
            step,
            summary,
            settled: Settled::Probe,
            ..
        } => {
            format!("{step}: done, as its verify probe shows{}", because(summary))
        }
        Fact::StepFailed {
            step,
            message,
            retry_at: Some(_),
            ..
        } => format!("{step}: failed, will retry: {message}"),
        Fact::StepFailed {
            step,
            message,
            retry_at: None,
            ..
        } => format!("{step}: failed: {message}"),
        Fact::StepInterrupted { step, attempt } => {
            format!("{step}: attempt {attempt} was cut off by a stop of Muster; it may be repeated")
        }
        Fact::OutcomeUnknown { step, reason, .. } => format!("{step}: outcome unknown: {reason}"),
        Fact::ProbeInconclusive { step, finding } => {
            format!("{step}: the verify probe does not settle it: {finding}")
        }
        Fact::StepSkipped { step, reason } => format!("{step}: skipped: {reason}"),
        Fact::StepReopened { step } => format!("{step}: to be read again"),
        Fact::GateOpened { step, needed: 1, .. } => format!("{step}: waits for a decision"),
        Fact::GateOpened { step, needed, .. } => format!("{step}: waits for {needed} approvals"),
        Fact::GateApproval {
            step,
            reason,
            given,
            needed,
            ..
        } => {
            format!("{step}: approved, {given} of {needed}{}", because(reason))
        }
        Fact::GateApproved { step, .. } => format!("{step}: goes on"),
        Fact::GateBroken { step, reason, .. } => {
            format!(
                "{step}: opened alone by breaking the glass{}; to be reviewed",
                because(reason)
            )
        }
        Fact::GateWithdrawn { step, reason, .. } => {
            format!(
                "{step}: the approval was taken back{}; it asks again",
                because(reason)
            )
        }
        Fact::GateSentBack { step, note, .. } => {
            format!("{step}: sent back{}; the run pauses", because(note))
        }
        Fact::GateRejected { step, reason, .. } => format!("{step}: rejected{}", because(reason)),
        Fact::GateExpired {
            step, unused: false, ..
        } => format!("{step}: nobody decided in time; nothing ran"),
        Fact::GateExpired {
            step, unused: true, ..
        } => {
            format!("{step}: the approval lapsed before every step had started; it asks again")
        }
        Fact::GateVoided { step, why, .. } => format!("{step}: what was asked is void: {why}"),
        Fact::ManualOverdue { step } => format!("{step}: nobody did it in time"),
        Fact::ManualAsked {
            step, instruction, ..
        } => format!("{step}: asks a person: {instruction}"),
        Fact::ManualDone { step, note } => format!("{step}: done by hand{}", because(note)),
        Fact::WaitBegan { step, .. } => format!("{step}: waits"),
        Fact::WaitOver { step } => format!("{step}: waited"),
        Fact::UnknownDecided {
            step,
            choice,
            evidence,
        } => {
            let choice = match choice {
                UnknownChoice::RunCheck => "run the check again",
                UnknownChoice::MarkDone => "it was done",
                UnknownChoice::MarkNotDone => "it was not done",
                UnknownChoice::RetrySameKey => "send it again with the same key",
                UnknownChoice::RetryNewKey => "send it again with a new key",
            };
            format!("{step}: decided: {choice}{}", because(evidence))
        }
        Fact::PauseRequested { reason } => format!("Paused the run{}", because(reason)),
        Fact::PauseEnded => "Let the run go on".to_owned(),
        Fact::UndoRequested { reason } => {
            format!(
                "Asked the run to stop and to take back what it did{}",
                because(reason)
            )
        }
        Fact::RunEnding {
            undo: true, reason, ..
        } => format!("Takes back what was done{}", because(reason)),
        Fact::RunEnding {
            undo: false, reason, ..
        } => format!("Runs its last steps{}", because(reason)),
        Fact::StopRequested { reason } => format!("Asked the run to stop{}", because(reason)),
        Fact::RunFinished { result, reason } => {
            let word = match result {
                RunResult::Succeeded => "The run succeeded",
                RunResult::Failed => "The run failed",
                RunResult::Rejected => "The run ended at its gate",
                RunResult::Stopped => "The run was stopped",
            };
            format!("{word}{}", because(reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::RunId;

    #[test]
    fn a_storm_of_returns_is_not_told_as_no_time() {
        let first_at: chrono::DateTime<chrono::Utc> = "2026-11-21T03:00:00Z".parse().unwrap();
        for (seconds, words) in [(4, "6 times in less than a minute;"), (300, "6 times in 5 min;")] {
            let fact = IncidentFact::Flapping {
                times: 6,
                first_at,
                last_at: first_at + chrono::TimeDelta::seconds(seconds),
                calm_after: crate::domain::span::Span::from_secs(1800),
            };
            assert!(of_incident(&fact).contains(words), "{}", of_incident(&fact));
        }
    }

    #[test]
    fn people_read_the_titles_of_steps() {
        let mut titles = Titles::default();
        titles.call(RunId(1), "gone", "Is main gone?".to_owned());
        titles.call(RunId(1), "look", "Look around".to_owned());
        let of = |run: i64, step: &str| {
            let fact = RunFact::StepSkipped {
                step: step.into(),
                reason: "no time".to_owned(),
            };
            told(&Event::Run(RunId(run), fact), &titles)
        };
        assert_eq!(of(1, "gone"), "Is main gone? skipped: no time");
        assert_eq!(of(1, "look[3]"), "Look around, item 4: skipped: no time");
        assert_eq!(of(1, "undo:look"), "Taking back: Look around: skipped: no time");
        assert_eq!(of(1, "other"), "other: skipped: no time");
        assert_eq!(of(2, "undo:look"), "taking back look: skipped: no time");
    }

    #[test]
    fn what_takes_a_step_back_is_told_in_words() {
        let told = |fact: RunFact| sentence(&Event::Run(RunId(1), fact));
        let skipped = |step: &str| {
            told(RunFact::StepSkipped {
                step: step.into(),
                reason: "no time".to_owned(),
            })
        };
        assert_eq!(skipped("drain[3]"), "drain[3]: skipped: no time");
        assert_eq!(skipped("undo:drain[3]"), "taking back drain[3]: skipped: no time");
        assert_eq!(told(RunFact::PauseEnded), "Let the run go on");
    }
}
