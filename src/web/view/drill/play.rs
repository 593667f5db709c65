//! What the players of a drill see, for somebody who looks over their shoulder: each incident with its run, its open
//! gates and its newest events.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::super::{
    incident::key,
    parts::{Ago, At, Badge, Said, ago, at, said},
    record::{RunLog, RunRecord},
    run::RunView,
};
use crate::{
    domain::{event::Recorded, sentence, titles::Titles},
    store::{approvals::Approval, incidents::Incident},
};

/// What is known of one incident.
#[derive(Clone, Debug)]
pub struct Played {
    /// The incident.
    pub incident: Incident,
    /// Its runs that go on.
    pub runs: Vec<RunRecord>,
    /// Its requests that are pending.
    pub gates: Vec<Approval>,
    /// Its newest events, the newest first.
    pub events: Vec<Recorded>,
    /// What the steps of its runs are called.
    pub titles: Titles,
}

/// All incidents of a drill.
#[derive(Clone, Debug, Template)]
#[template(path = "drill/_play.html")]
pub struct PlayPart {
    cards: Vec<Card>,
    has_begun: bool,
}

impl HtmlSafe for PlayPart {}

#[derive(Clone, Debug)]
struct Card {
    id: i64,
    key: String,
    severity: Badge,
    state: Badge,
    title: Said,
    opened: Ago,
    owner: Option<Said>,
    runs: Vec<RunView>,
    gates: Vec<(i64, Said, Ago)>,
    events: Vec<(At, Said, Said)>,
}

impl PlayPart {
    /// The incidents, the oldest first.
    pub fn of(played: &[Played], has_begun: bool, now: DateTime<Utc>) -> Self {
        Self {
            cards: played.iter().map(|one| Card::of(one, now)).collect(),
            has_begun,
        }
    }
}

impl Card {
    fn of(one: &Played, now: DateTime<Utc>) -> Self {
        let incident = &one.incident;
        let gate = |gate: &Approval| (gate.id.0, said(&gate.title), ago(gate.opened_at, now));
        let event = |recorded: &Recorded| {
            (
                at(recorded.recorded_at, now),
                said(&recorded.actor.to_string()),
                said(&sentence::told(&recorded.event, &one.titles)),
            )
        };
        Self {
            id: incident.id.0,
            key: key(incident.id.0),
            severity: incident.severity.into(),
            state: incident.state.into(),
            title: said(&incident.title),
            opened: ago(incident.opened_at, now),
            owner: incident.acknowledged_by.as_deref().map(said),
            runs: one
                .runs
                .iter()
                .map(|run| RunView::of(&RunLog::of(run, now), ""))
                .collect(),
            gates: one.gates.iter().map(gate).collect(),
            events: one.events.iter().map(event).collect(),
        }
    }
}
