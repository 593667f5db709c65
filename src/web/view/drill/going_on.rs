//! The line on top of the incidents while a drill goes on that the reader plays in or leads.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};

use super::super::parts::{Ago, Icon, Said, ago, icon, said};
use crate::{
    domain::drill::{DrillState, name},
    store::playing::GoingOn,
};

/// All of their drills.
#[derive(Clone, Debug, Template)]
#[template(path = "drill/_going_on.html")]
pub struct GoingOnPart {
    icon: Icon,
    lines: Vec<Line>,
}

impl HtmlSafe for GoingOnPart {}

#[derive(Clone, Debug)]
struct Line {
    id: i64,
    name: String,
    title: Said,
    /// `goes on`, `stands still`, `is planned`
    word: &'static str,
    planned: Option<Ago>,
    incident: Option<i64>,
    asks: bool,
}

impl GoingOnPart {
    /// `None` while there is none.
    pub fn of(drills: &[GoingOn], now: DateTime<Utc>) -> Option<Self> {
        let line = |drill: &GoingOn| Line {
            id: drill.drill.0,
            name: name(drill.drill),
            title: said(&drill.title),
            word: match drill.state {
                DrillState::Planned => "is planned",
                DrillState::Paused => "stands still",
                DrillState::Running | DrillState::Ended => "goes on",
            },
            planned: drill
                .planned_for
                .filter(|_| drill.state == DrillState::Planned)
                .map(|at| ago(at, now)),
            incident: drill.incident.map(|incident| incident.0),
            asks: drill.asks,
        };
        (!drills.is_empty()).then(|| Self {
            icon: icon("chevrons"),
            lines: drills.iter().map(line).collect(),
        })
    }
}
