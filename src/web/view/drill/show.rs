//! The page of one drill: what its players read, and the console of who leads it.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{
    super::{
        layout::Frame,
        markdown::Markdown,
        parts::{Ago, At, Badge, Hidden, Said, ago, at, hidden, said},
    },
    badge, clock, depth_words,
    desk::{InjectsPart, WorldPart},
    facts::LogPart,
    faults::FaultsPart,
    play::{PlayPart, Played},
};
use crate::{
    domain::{
        drill::{DrillState, EndKind, Logged, ObserverTag, name},
        id::IncidentId,
        operator::{Operator, Role},
        scenario::Scenario,
    },
    store::{
        drills::{Drill, Player},
        faults::Standing,
    },
};

/// Everything known of a drill at one moment.
#[derive(Clone, Debug)]
pub struct DrillRecord {
    /// The drill.
    pub drill: Drill,
    /// What is played.
    pub scenario: Scenario,
    /// Who plays.
    pub players: Vec<Player>,
    /// Who leads it.
    pub trainer: Option<String>,
    /// Its incidents, the oldest first.
    pub incidents: Vec<Played>,
    /// Its log; empty for those who do not lead it.
    pub log: Vec<Logged>,
    /// What of a game day is planned or may stand, for who leads it.
    pub faults: Vec<Standing>,
    /// Its world, for who leads it, while it goes on.
    pub world: Option<Map<String, Value>>,
    /// The real incident that needs everybody.
    pub real: Option<(IncidentId, String)>,
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "drill/show.html")]
pub struct DrillPage {
    frame: Frame,
    id: i64,
    slug: String,
    scenario: Said,
    head: HeadPart,
    brief: Markdown,
    play: PlayPart,
    desk: Option<Desk>,
}

/// How the drill stands.
#[derive(Clone, Debug, Template)]
#[template(path = "drill/_head.html")]
pub struct HeadPart {
    id: i64,
    name: String,
    title: Said,
    badge: Badge,
    depth: &'static str,
    is_planned: bool,
    is_running: bool,
    is_paused: bool,
    is_scored: bool,
    leads: bool,
    age: Option<String>,
    /// How long ago it would have begun had it never stood still, while it runs.
    began: Option<Ago>,
    now: At,
    planned: Option<At>,
    trainer: Option<Said>,
    players: Vec<PlayerLine>,
    /// Whether the reader is asked to come: what they said, if they said it.
    asked: Option<Option<bool>>,
    /// Whether the reader plays a part that has dropped out.
    has_left: bool,
    ended: Option<(At, EndKind, Said)>,
    /// The real incident it ended for, while that is open.
    real: Option<(i64, Said)>,
}

impl HtmlSafe for HeadPart {}

/// Somebody who plays.
#[derive(Clone, Debug)]
struct PlayerLine {
    name: Said,
    role: Said,
    /// `comes`, `does not come`; empty where nobody waits for their word.
    word: &'static str,
}

/// The console.
#[derive(Clone, Debug)]
pub struct Desk {
    injects: InjectsPart,
    log: LogPart,
    world: Option<WorldPart>,
    /// What is really broken, in a game day.
    faults: Option<FaultsPart>,
    has_begun: bool,
    is_over: bool,
}

impl HeadPart {
    /// The head as this person sees it.
    pub fn of(record: &DrillRecord, me: &Operator, leads: bool, now: DateTime<Utc>) -> Self {
        let drill = &record.drill;
        let is_planned = drill.state == DrillState::Planned;
        let own = record.players.iter().find(|player| player.id == me.id);
        let end = drill.ended.as_ref().map(|(_, kind, _)| *kind);
        let is_for_real = end == Some(EndKind::RealIncident);
        Self {
            id: drill.id.0,
            name: name(drill.id),
            title: said(&drill.title),
            badge: badge(drill.state, end),
            depth: depth_words(drill.depth),
            is_planned,
            is_running: drill.state == DrillState::Running,
            is_paused: drill.state == DrillState::Paused,
            is_scored: drill.clock.is_some() && (leads || end.is_some()),
            leads,
            age: drill.clock.map(|drill_clock| clock(drill_clock.age(now))),
            began: drill
                .clock
                .filter(|_| drill.state == DrillState::Running)
                .map(|drill_clock| ago(now - drill_clock.age(now).as_delta(), now)),
            now: at(now, now),
            planned: drill.planned_for.map(|planned| at(planned, now)),
            trainer: record.trainer.as_deref().map(said),
            players: record
                .players
                .iter()
                .map(|player| PlayerLine {
                    name: said(&player.name),
                    role: said(&player.role),
                    word: match player.comes {
                        _ if player.left_at.is_some() => "has dropped out",
                        Some(true) => "comes",
                        Some(false) => "does not come",
                        None if is_planned => "has not answered",
                        None => "",
                    },
                })
                .collect(),
            asked: own.filter(|_| is_planned).map(|player| player.comes),
            has_left: end.is_none() && own.is_some_and(|player| player.left_at.is_some()),
            ended: drill
                .ended
                .as_ref()
                .map(|(ended, kind, reason)| (at(*ended, now), *kind, said(reason))),
            real: record
                .real
                .as_ref()
                .filter(|_| is_for_real)
                .map(|(id, title)| (id.0, said(title))),
        }
    }

    fn hidden(&self) -> Hidden {
        hidden(None)
    }

    fn is_for_real(&self) -> bool {
        self.ended
            .as_ref()
            .is_some_and(|(_, kind, _)| *kind == EndKind::RealIncident)
    }
}

impl DrillPage {
    /// The page as this person sees it.
    pub fn of(frame: Frame, record: &DrillRecord, me: &Operator, leads: bool, now: DateTime<Utc>) -> Self {
        let drill = &record.drill;
        Self {
            frame,
            id: drill.id.0,
            slug: drill.slug.clone(),
            scenario: said(&drill.title),
            head: HeadPart::of(record, me, leads, now),
            brief: Markdown::of(&record.scenario.brief),
            play: PlayPart::of(&record.incidents, drill.clock.is_some(), now),
            desk: leads.then(|| Desk {
                injects: injects(record, now),
                log: LogPart::of(&record.log, &record.scenario, now),
                world: record.world.as_ref().map(WorldPart::of),
                faults: faults(record, me, now),
                has_begun: drill.clock.is_some(),
                is_over: drill.state == DrillState::Ended,
            }),
        }
    }

    fn hidden(&self) -> Hidden {
        hidden(None)
    }

    fn tags(&self) -> [ObserverTag; 4] {
        ObserverTag::ALL
    }
}

fn injects(record: &DrillRecord, now: DateTime<Utc>) -> InjectsPart {
    let drill = &record.drill;
    let clock = (drill.clock.as_ref(), drill.state == DrillState::Running);
    InjectsPart::of(drill.id.0, &record.scenario, &record.log, clock, now)
}

fn faults(record: &DrillRecord, me: &Operator, now: DateTime<Utc>) -> Option<FaultsPart> {
    let drill = &record.drill;
    let told = (record.log.as_slice(), drill.state);
    let may_declare = me.role == Role::Admin;
    let day = record.scenario.game_day.as_ref();
    day.map(|_| FaultsPart::of(drill.id, told, &record.faults, may_declare, now))
}

/// Each part of the page that changes, with its place and its HTML.
pub fn rendered(
    record: &DrillRecord,
    me: &Operator,
    leads: bool,
    now: DateTime<Utc>,
) -> Result<Vec<(&'static str, String)>, askama::Error> {
    let has_begun = record.drill.clock.is_some();
    let mut parts = vec![
        ("drill-head", HeadPart::of(record, me, leads, now).render()?),
        (
            "drill-play",
            PlayPart::of(&record.incidents, has_begun, now).render()?,
        ),
    ];
    if leads {
        parts.push(("drill-injects", injects(record, now).render()?));
        parts.push((
            "drill-log",
            LogPart::of(&record.log, &record.scenario, now).render()?,
        ));
    }
    if let Some(faults) = faults(record, me, now).filter(|_| leads) {
        parts.push(("drill-faults", faults.render()?));
    }
    if let Some(world) = &record.world {
        parts.push(("drill-world", WorldPart::of(world).render()?));
    }
    Ok(parts)
}
