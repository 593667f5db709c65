//! Events: every fact the timeline can hold, its place in the chain, and its sentence.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    digest::Digest,
    duty::Duty,
    id::{ApprovalId, BootId, IncidentId, OperatorId, RunId},
    incident::Severity,
    note::NoteTag,
    operator::Actor,
    run::RunFact,
    span::Span,
};

/// One fact about an incident itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields repeat the words of the variants")]
pub enum IncidentFact {
    /// It exists.
    Opened {
        title: String,
        severity: Severity,
        reason: String,
    },
    /// A rule of people, and not the alert itself, said how bad it is.
    SeverityRuled { severity: Severity, rule: String },
    /// Alerts began to fire in it. Names are the first few of `count`.
    AlertsFired {
        count: usize,
        names: Vec<String>,
        reason: String,
    },
    /// Alerts in it ended, by their own resolve.
    AlertsResolved {
        count: usize,
        names: Vec<String>,
        last_ended_at: DateTime<Utc>,
    },
    /// Alerts ended because their sender, which must, did not report them again in time.
    LeasesOver { count: usize, names: Vec<String> },
    /// An alert kept firing with a later start: its sender restarted.
    StartMoved {
        name: String,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    },
    /// A firing report came for an alert that had ended; believed when it lasts until `due`.
    RefirePending {
        count: usize,
        names: Vec<String>,
        due: DateTime<Utc>,
    },
    /// The sender cut the list of alerts; recovery can no longer be seen from deliveries alone.
    Truncated { hidden: i32 },
    /// A runbook applies.
    Matched {
        runbook: String,
        version: i32,
        line: String,
    },
    /// No runbook applies.
    NoMatch { considered: usize },
    /// Every alert has ended; it recovers unless something fires again before `until`.
    RecoveryBegan { until: DateTime<Utc> },
    /// Something fired again.
    RecoveryBroken { name: String },
    /// It recovered by itself: every alert stayed ended.
    Recovered { ended_at: DateTime<Utc> },
    /// It came and went too often: until it is calm it stays open, and nothing starts by itself.
    Flapping {
        times: usize,
        first_at: DateTime<Utc>,
        last_at: DateTime<Utc>,
        calm_after: Span,
    },
    /// It came back no more for long enough. Counted are the times since it was said to flap.
    CalmAgain { times: usize },
    /// It came back soon after it was over.
    Reopened { name: String },
    /// It is like one before it.
    Recurrence { of: IncidentId },
    /// A person merged it into another one, which has its alerts from then on.
    MergedInto {
        into: IncidentId,
        alerts: i64,
        reason: String,
    },
    /// Another one was merged into it.
    TookIn {
        from: IncidentId,
        title: String,
        alerts: i64,
        reason: String,
    },
    /// A person took it out again, with the alerts of its group.
    Unmerged {
        from: IncidentId,
        alerts: i64,
        reason: String,
    },
    /// One that was merged into it was taken out again.
    GaveBack {
        to: IncidentId,
        alerts: i64,
        reason: String,
    },
    /// Another one stands for it in the list.
    FoldedUnder { parent: IncidentId, reason: String },
    /// It stands for others in the list. `first` are a few of `count`.
    Folded {
        count: usize,
        first: Vec<IncidentId>,
        reason: String,
    },
    /// It stands for itself again.
    Unfolded { parent: IncidentId },
    /// Others that it stood for stand for themselves again.
    FoldOpened { count: usize, first: Vec<IncidentId> },
    /// A person took it.
    Acknowledged,
    /// The harm has stopped.
    Mitigated { reason: String },
    /// A person says that it is over.
    Resolved { reason: String },
    /// It is written up.
    Closed,
    /// A person changed how bad it is.
    SeverityChanged {
        from: Severity,
        to: Severity,
        reason: String,
    },
    /// The person who had just taken it took that back.
    Unacknowledged,
    /// A person wrote something down. `tag` says what kind of thought it is, when they said so.
    Note {
        text: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tag: Option<NoteTag>,
    },
    /// A person corrected the note of that number, which stays as it was written.
    NoteCorrected { note: i64, text: String },
    /// Somebody took on a duty, or was given it by somebody else.
    DutyTaken {
        duty: Duty,
        to: OperatorId,
        name: String,
        /// Who had it before.
        from: Option<String>,
        /// What the next person should know.
        summary: String,
    },
    /// Somebody laid a duty down, and nobody has it.
    DutyLaidDown { duty: Duty, name: String },
    /// What it does to people, in one sentence; an empty one takes back what was said.
    ImpactStated { text: String },
    /// What the team tells each other: how it is, what is done, what is needed, when more comes.
    UpdatePosted {
        condition: String,
        action: String,
        need: String,
        next_due: Option<DateTime<Utc>>,
    },
    /// An event is always shown from now on.
    Pinned { seq: i64 },
    /// It is shown like any other again.
    Unpinned { seq: i64 },
    /// A second person looked at a gate that somebody had opened alone.
    GlassReviewed {
        approval: ApprovalId,
        title: String,
        finding: String,
    },
    /// A person wants to know something before a gate is decided; it holds nothing.
    QuestionAsked {
        approval: ApprovalId,
        title: String,
        question: String,
    },
    /// A heartbeat was not heard.
    HeartbeatMissed {
        name: String,
        last_seen_at: DateTime<Utc>,
    },
    /// A heartbeat is heard again.
    HeartbeatHeard { name: String },
    /// A person wants alerts held back in an Alertmanager until then.
    SilenceAsked {
        target: String,
        matchers: String,
        until: DateTime<Utc>,
        comment: String,
    },
    /// It holds there.
    SilenceCreated {
        target: String,
        silence: String,
        matchers: String,
        until: DateTime<Utc>,
        by: String,
    },
    /// It could not be made. `is_unknown` when it may stand there all the same.
    SilenceFailed {
        target: String,
        matchers: String,
        by: String,
        reason: String,
        is_unknown: bool,
    },
    /// A person wants it ended before its time.
    SilenceEndAsked { target: String, silence: String },
    /// It is over: `by` whom, or by itself.
    SilenceExpired {
        target: String,
        silence: String,
        by: Option<String>,
    },
    /// It could not be ended before its time.
    SilenceEndFailed {
        target: String,
        silence: String,
        by: String,
        reason: String,
    },
    /// Nobody spoke of firing alerts for too long.
    AlertsStale {
        count: usize,
        names: Vec<String>,
        last_heard_at: DateTime<Utc>,
        /// Why nobody else knew, when somebody was asked.
        reason: String,
    },
    /// Alertmanager or a person says that such alerts still fire.
    StillFiring {
        count: usize,
        names: Vec<String>,
        reason: String,
    },
    /// Such alerts are over, although their own resolve never came.
    AlertsSettled {
        count: usize,
        names: Vec<String>,
        reason: String,
    },
    /// What the sender left out of its list is over as well.
    TruncationSettled { hidden: i32, reason: String },
    /// An automatic start became a suggestion.
    StartHeldBack { runbook: String, reason: String },
    /// In a drill somebody says something: a stakeholder who asks, a colleague who is mistaken.
    SaidInDrill { who: String, text: String },
    /// In a drill whoever plays this part drops out.
    LeftInDrill { role: String },
    /// The drill this belongs to is over.
    DrillEnded { reason: String },
    /// Nobody ran Muster: nothing was received and nothing was done.
    MusterWasDown {
        since: DateTime<Utc>,
        until: DateTime<Utc>,
        clean_stop: bool,
        boot: BootId,
    },
}

/// A fact of any kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// About the incident.
    Incident(IncidentFact),
    /// About one of its runs.
    Run(RunId, RunFact),
}

impl Event {
    /// The fact about the incident, when it is one.
    pub fn as_incident_mut(&mut self) -> Option<&mut IncidentFact> {
        match self {
            Self::Incident(fact) => Some(fact),
            Self::Run(..) => None,
        }
    }
}

/// An event to be written, with who caused it and when it happened.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// What happened.
    pub event: Event,
    /// Who or what caused it.
    pub actor: Actor,
    /// When it happened, by the best clock known for it.
    pub occurred_at: DateTime<Utc>,
}

/// An event as the timeline holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Place in the incident's timeline: 1, 2, 3 … without gaps, in commit order.
    pub seq: i64,
    /// What happened.
    pub event: Event,
    /// Who or what caused it.
    pub actor: Actor,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When it was written down.
    pub recorded_at: DateTime<Utc>,
    /// The chain up to and including it.
    pub hash: Digest,
}

impl From<IncidentFact> for Event {
    fn from(fact: IncidentFact) -> Self {
        Self::Incident(fact)
    }
}

impl Event {
    /// The fact as JSON, with its `kind` inside.
    pub fn body(&self) -> Value {
        match self {
            Self::Incident(fact) => serde_json::to_value(fact),
            Self::Run(_, fact) => serde_json::to_value(fact),
        }
        .unwrap_or_default()
    }

    /// Reads a stored fact back.
    pub fn from_body(run: Option<RunId>, body: Value) -> Result<Self, serde_json::Error> {
        Ok(match run {
            Some(run) => Self::Run(run, serde_json::from_value(body)?),
            None => Self::Incident(serde_json::from_value(body)?),
        })
    }

    /// Its kind, as the timeline's filter knows it.
    pub fn kind(&self) -> String {
        self.body()
            .get("kind")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }
}

impl NewEvent {
    /// An event that Muster itself caused just now.
    pub fn automatic(event: impl Into<Event>, now: DateTime<Utc>) -> Self {
        Self {
            event: event.into(),
            actor: Actor::Automation,
            occurred_at: now,
        }
    }

    /// An event about a run that Muster itself caused just now.
    pub fn of_run(run: RunId, fact: RunFact, now: DateTime<Utc>) -> Self {
        Self {
            event: Event::Run(run, fact),
            actor: Actor::Automation,
            occurred_at: now,
        }
    }

    /// An event that somebody caused just now.
    pub fn by(actor: Actor, event: impl Into<Event>, now: DateTime<Utc>) -> Self {
        Self {
            event: event.into(),
            actor,
            occurred_at: now,
        }
    }
}

/// Where a timeline ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The number of the event to come.
    pub next: i64,
    /// The link of the last one.
    pub link: Digest,
}

impl Tail {
    /// That of a timeline in which there is nothing yet.
    pub const START: Self = Self {
        next: 1,
        link: Digest::ZERO,
    };
}

/// The link of the chain for an event at `seq`, from the link before it and everything the event says.
pub fn chain(
    previous: Digest,
    incident: IncidentId,
    seq: i64,
    event: &NewEvent,
    recorded_at: DateTime<Utc>,
) -> Digest {
    let run = match &event.event {
        Event::Run(run, _) => Some(*run),
        Event::Incident(_) => None,
    };
    let row = EventRow {
        incident,
        seq,
        run,
        body: event.event.body(),
        actor: serde_json::to_value(&event.actor).unwrap_or_default(),
        occurred_at: event.occurred_at,
        recorded_at,
    };
    row.link(previous)
}

/// An event as its row holds it, whether or not this release knows its kind.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields repeat the columns")]
pub struct EventRow {
    pub incident: IncidentId,
    pub seq: i64,
    pub run: Option<RunId>,
    pub body: Value,
    pub actor: Value,
    pub occurred_at: DateTime<Utc>,
    pub recorded_at: DateTime<Utc>,
}

impl EventRow {
    /// Its link of the chain, from the one before it.
    pub fn link(&self, previous: Digest) -> Digest {
        Digest::chained(
            previous,
            &json!({
                "incident": self.incident,
                "seq": self.seq,
                "run": self.run,
                "body": self.body,
                "actor": self.actor,
                "occurred_us": self.occurred_at.timestamp_micros(),
                "recorded_us": self.recorded_at.timestamp_micros(),
            }),
        )
    }
}

/// The first recorded event whose hash does not follow from those before it; `None` when the chain holds.
pub fn first_broken_link<'a>(
    incident: IncidentId,
    timeline: impl IntoIterator<Item = &'a Recorded>,
) -> Option<i64> {
    let mut previous = Digest::ZERO;
    for (index, recorded) in timeline.into_iter().enumerate() {
        let event = NewEvent {
            event: recorded.event.clone(),
            actor: recorded.actor.clone(),
            occurred_at: recorded.occurred_at,
        };
        previous = chain(previous, incident, recorded.seq, &event, recorded.recorded_at);
        if previous != recorded.hash || recorded.seq != index as i64 + 1 {
            return Some(recorded.seq);
        }
    }
    None
}
