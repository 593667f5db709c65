//! The page of a postmortem: the document drafted from the facts, as people read and print it.

use askama::Template;

use super::{
    action_item::ItemsPart,
    incident::key,
    layout::Frame,
    parts::{At, Badge, Hidden, Said, at, hidden, said},
};
use crate::{
    domain::sentence::Category,
    timeline::postmortem::{FOR_PEOPLE, Postmortem, duration},
};

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "incident/postmortem.html")]
pub struct PostmortemPage {
    /// The frame.
    pub frame: Frame,
    /// Number of the incident.
    pub id: i64,
    /// `INC-204`
    pub key: String,
    /// How bad it was.
    pub severity: Badge,
    /// How it stands.
    pub state: Badge,
    /// What it is called.
    pub title: Said,
    /// A few sentences.
    pub summary: Said,
    /// The day the times are of.
    pub day: String,
    /// What, when, how long after detection.
    pub moments: Vec<(&'static str, Option<At>, String)>,
    /// Where the time went.
    pub waits: Vec<(&'static str, String)>,
    /// The runs.
    pub runs: Vec<RunRow>,
    /// The facts in order, Muster's bookkeeping left out.
    pub story: Vec<StoryRow>,
    /// Whether the story was cut.
    pub is_cut: bool,
    /// Whether the timeline's chain holds.
    pub chain: Option<bool>,
    /// What the facts leave open.
    pub questions: Vec<Said>,
    /// What is to be done.
    pub items: ItemsPart,
    /// The form that makes a drill of it, where that can be.
    pub again: Option<Hidden>,
    /// What is left to people: heading and purpose.
    pub for_people: [(&'static str, &'static str); 4],
}

/// One run.
#[derive(Clone, Debug)]
pub struct RunRow {
    /// Its number.
    pub id: i64,
    /// Its runbook.
    pub runbook: String,
    /// The version it was pinned to.
    pub version: i32,
    /// Content of that version.
    pub digest: String,
    /// How it ended.
    pub badge: Badge,
}

/// One fact.
#[derive(Clone, Debug)]
pub struct StoryRow {
    /// Its number in the timeline.
    pub seq: i64,
    /// When it happened.
    pub at: At,
    /// Who.
    pub actor: Said,
    /// What.
    pub text: Said,
}

impl PostmortemPage {
    /// The page of a drafted postmortem.
    pub fn of(frame: Frame, draft: &Postmortem, items: ItemsPart, may_reenact: bool) -> Self {
        let incident = &draft.incident;
        // The day is named once; the times of a story that goes on past midnight name theirs.
        let day = draft.times.detected_at;
        let moments = draft
            .moments()
            .into_iter()
            .map(|(what, moment)| {
                let after = moment.map_or_else(String::new, |moment| {
                    duration((moment - draft.times.detected_at).num_milliseconds())
                });
                (what, moment.map(|moment| at(moment, day)), after)
            })
            .collect();
        Self {
            frame,
            id: incident.id.0,
            key: key(incident.id.0),
            severity: incident.severity.into(),
            state: incident.state.into(),
            title: said(&incident.title),
            summary: said(&draft.summary),
            day: day.format("%-d %B %Y").to_string(),
            moments,
            waits: draft
                .waits()
                .into_iter()
                .map(|(what, ms)| (what, duration(ms)))
                .collect(),
            runs: draft
                .runs
                .iter()
                .map(|run| RunRow {
                    id: run.run,
                    runbook: run.runbook.clone(),
                    version: run.version,
                    digest: run.digest.short(),
                    badge: run
                        .result
                        .map_or_else(|| Badge::new("running", "play", "Still going"), Badge::from),
                })
                .collect(),
            story: draft
                .story
                .iter()
                .filter(|row| row.category != Category::System.name())
                .map(|row| StoryRow {
                    seq: row.seq,
                    at: at(row.occurred_at, day),
                    actor: said(&row.actor),
                    text: said(&row.sentence),
                })
                .collect(),
            is_cut: draft.is_cut,
            chain: draft.chain_holds,
            questions: draft.questions.iter().map(|question| said(question)).collect(),
            items,
            again: may_reenact.then(|| hidden(None)),
            for_people: FOR_PEOPLE,
        }
    }
}
