//! The scorecard: objective figures first, then what was expected against what was done. It ranks nobody, and what was
//! not reached is said so and is never 0.

use std::collections::BTreeMap;

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    super::{
        action_item::{ItemsPart, ItemsRecord},
        coverage::GainRow,
        incident::key,
        layout::Frame,
        parts::{At, Badge, Said, at, said},
    },
    badge, clock, depth_words, length,
    night::NightPart,
    pace::Pace,
};
use crate::{
    domain::{
        coverage::Gain,
        drill::{DrillState, name},
        id::{DrillId, IncidentId, OperatorId},
        night::Compared,
        score::{Figure, Outcome, Phase, Score, Share, Verdict},
    },
    store::{action_items::Origin, drills::Drill},
};

/// What a time is called that was not reached.
const NOT_REACHED: &str = "not reached";

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "drill/score.html")]
pub struct ScorePage {
    frame: Frame,
    id: i64,
    name: String,
    slug: String,
    title: Said,
    state: Badge,
    depth: &'static str,
    /// All of it in one word.
    whole: Badge,
    is_over: bool,
    began: Option<At>,
    took: Option<String>,
    ended: Option<String>,
    figures: Vec<FigureRow>,
    shares: Vec<ShareRow>,
    expected: Vec<OutcomeRow>,
    /// The same as a chart, where something came to its turn.
    pace: Option<Pace>,
    slips: Vec<SlipRow>,
    injects: Vec<InjectRow>,
    /// What is short of all that was expected.
    shorts: Vec<Said>,
    hints: Vec<(Said, u32)>,
    phases: Vec<(&'static str, Vec<NoteRow>)>,
    gains: Vec<GainRow>,
    incidents: Vec<(i64, String)>,
    /// The real incident beside it.
    night: Option<NightPart>,
    items: ItemsPart,
    /// The drill of the same scenario before it: number and name.
    before: Option<(DrillId, String)>,
}

#[derive(Clone, Debug)]
struct FigureRow {
    name: &'static str,
    took: String,
    objective: String,
    badge: Option<Badge>,
    before: String,
}

/// A count that is compared like a time.
#[derive(Clone, Debug)]
struct ShareRow {
    name: &'static str,
    now: String,
    objective: &'static str,
    badge: Option<Badge>,
    before: String,
}

#[derive(Clone, Debug)]
struct OutcomeRow {
    id: String,
    what: Said,
    because: Said,
    badge: Badge,
    /// `Due 02:31, done 03:41`
    when: String,
}

#[derive(Clone, Debug)]
struct SlipRow {
    what: Said,
    because: Said,
    badge: Badge,
}

#[derive(Clone, Debug)]
struct InjectRow {
    title: Said,
    badge: Badge,
    /// What was expected after it, each with how it went.
    expected: Vec<(Said, Badge)>,
}

#[derive(Clone, Debug)]
struct NoteRow {
    age: String,
    tag: Option<&'static str>,
    text: Said,
}

/// What a scorecard is made of.
#[derive(Clone, Debug)]
pub struct ScoreRecord {
    /// The drill.
    pub drill: Drill,
    /// How it went.
    pub score: Score,
    /// The runbooks it trains.
    pub runbooks: Vec<String>,
    /// What it has added to their coverage.
    pub gains: Vec<Gain>,
    /// Its incidents.
    pub incidents: Vec<IncidentId>,
    /// The real incident that it plays again, and how the two compare.
    pub night: Option<(IncidentId, Compared)>,
    /// What is to be done after it.
    pub items: ItemsRecord,
    /// The drill of the same scenario before it, and how that went.
    pub before: Option<(Drill, Score)>,
}

impl ScorePage {
    /// The page.
    pub fn of(frame: Frame, record: &ScoreRecord, me: OperatorId, now: DateTime<Utc>) -> Self {
        let (drill, score) = (&record.drill, &record.score);
        let end = drill.ended.as_ref();
        let is_over = drill.state == DrillState::Ended;
        let earlier = record.before.as_ref().map(|(_, score)| score);
        let by_name: BTreeMap<&str, &Outcome> =
            score.expected.iter().map(|one| (one.id.as_str(), one)).collect();
        Self {
            frame,
            id: drill.id.0,
            name: name(drill.id),
            slug: drill.slug.clone(),
            title: said(&drill.title),
            state: badge(drill.state, end.map(|(_, kind, _)| *kind)),
            depth: depth_words(drill.depth),
            whole: whole(score, is_over),
            is_over,
            began: drill.clock.map(|clock| at(clock.started_at, now)),
            took: score.took.map(length),
            ended: end.map(|(_, kind, reason)| match reason.is_empty() {
                true => kind.to_string(),
                false => format!("{kind}: {reason}"),
            }),
            figures: score
                .figures
                .iter()
                .map(|figure| figure_row(figure, earlier))
                .collect(),
            shares: shares(score, earlier),
            expected: score.expected.iter().map(outcome_row).collect(),
            pace: Pace::of(score),
            slips: slips(score),
            injects: score
                .injects
                .iter()
                .map(|inject| InjectRow {
                    title: said(&inject.title),
                    badge: match (inject.sent, inject.is_skipped) {
                        (Some(sent), _) => {
                            Badge::new("quiet", "chevrons", format!("Sent at {}", clock(sent)))
                        }
                        (None, true) => Badge::new("quiet", "bent", "Passed over"),
                        (None, false) => Badge::new("quiet", "clock", "Not reached"),
                    },
                    expected: inject
                        .expected
                        .iter()
                        .filter_map(|id| by_name.get(id.as_str()))
                        .map(|one| (said(&one.what), verdict_badge(one.verdict())))
                        .collect(),
                })
                .collect(),
            shorts: score.shortfalls().iter().map(|line| said(line)).collect(),
            hints: score
                .hints
                .iter()
                .map(|(text, price)| (said(text), *price))
                .collect(),
            phases: phases(score),
            gains: record.gains.iter().map(GainRow::from).collect(),
            incidents: record.incidents.iter().map(|id| (id.0, key(id.0))).collect(),
            night: record
                .night
                .as_ref()
                .map(|(real, compared)| NightPart::of(*real, &name(drill.id), compared)),
            items: ItemsPart::of(&record.items, Origin::Drill(drill.id), Some(me), now),
            before: record
                .before
                .as_ref()
                .map(|(drill, _)| (drill.id, name(drill.id))),
        }
    }
}

fn whole(score: &Score, is_over: bool) -> Badge {
    let short = score.shortfalls().len();
    match (score.passes(), is_over) {
        (true, true) => Badge::new("done", "check", "All as expected"),
        (true, false) => Badge::new("running", "play", "As expected so far"),
        (false, _) => Badge::new(
            "sev3",
            "diamond",
            super::super::format::count(short as i64, "thing short", "things short"),
        ),
    }
}

fn figure_row(figure: &Figure, earlier: Option<&Score>) -> FigureRow {
    let took = |figure: &Figure| figure.took.map_or_else(|| NOT_REACHED.to_owned(), length);
    let before = earlier.and_then(|score| score.figures.iter().find(|other| other.name == figure.name));
    FigureRow {
        name: figure.name.label(),
        took: took(figure),
        objective: figure.objective.map_or_else(String::new, length),
        badge: figure.is_met().map(|is_met| match (is_met, figure.took) {
            (true, _) => Badge::new("done", "check", "Met"),
            (false, Some(_)) => Badge::new("sev1", "cross", "Not met"),
            (false, None) => Badge::new("quiet", "barred", "Not reached"),
        }),
        before: before.map_or_else(String::new, took),
    }
}

fn shares(score: &Score, earlier: Option<&Score>) -> Vec<ShareRow> {
    let of = |share: Share| match share.of {
        0 => "none was due".to_owned(),
        of => format!("{} of {of}", share.done),
    };
    let judged = |share: Share| (share.of > 0).then(|| met(share.done == share.of));
    let wrong = |score: &Score| score.wrong.iter().filter(|slip| slip.done.is_some()).count();
    let cleanup = |score: &Score| {
        score
            .cleanup
            .map_or_else(String::new, |cleanup| of(cleanup.faults))
    };
    let again = |score: &Score| match score.cleanup.map(|cleanup| cleanup.steady_again) {
        Some(Some(true)) => "yes",
        Some(Some(false)) => "no",
        Some(None) => "not seen yet",
        None => "",
    };
    let price = |score: &Score| score.hints.iter().map(|(_, price)| price).sum::<u32>();
    let before = |words: &dyn Fn(&Score) -> String| earlier.map_or_else(String::new, words);
    let mut rows = vec![
        ShareRow {
            name: "Updates in time",
            now: of(score.updates),
            objective: "all",
            badge: judged(score.updates),
            before: before(&|score| of(score.updates)),
        },
        ShareRow {
            name: "Unknown outcomes settled",
            now: of(score.unknowns),
            objective: "all",
            badge: judged(score.unknowns),
            before: before(&|score| of(score.unknowns)),
        },
        ShareRow {
            name: "Wrong deeds",
            now: wrong(score).to_string(),
            objective: "0",
            badge: Some(met(wrong(score) == 0)),
            before: before(&|score| wrong(score).to_string()),
        },
        ShareRow {
            name: "Price of hints",
            now: price(score).to_string(),
            objective: "none",
            badge: None,
            before: before(&|score| price(score).to_string()),
        },
    ];
    if let Some(left) = score.cleanup {
        rows.push(ShareRow {
            name: "Faults taken back",
            now: of(left.faults),
            objective: "all",
            badge: judged(left.faults),
            before: before(&cleanup),
        });
        rows.push(ShareRow {
            name: "Steady again",
            now: again(score).to_owned(),
            objective: "yes",
            badge: left.steady_again.map(met),
            before: before(&|score| again(score).to_owned()),
        });
    }
    rows
}

fn met(is_met: bool) -> Badge {
    match is_met {
        true => Badge::new("done", "check", "Met"),
        false => Badge::new("sev1", "cross", "Not met"),
    }
}

fn verdict_badge(verdict: Verdict) -> Badge {
    match verdict {
        Verdict::InTime => Badge::new("done", "check", "In time"),
        Verdict::Late => Badge::new("sev3", "clock", "Late"),
        Verdict::Missed => Badge::new("sev1", "cross", "Missed"),
        Verdict::NotReached => Badge::new("quiet", "barred", "Not reached"),
    }
}

fn outcome_row(one: &Outcome) -> OutcomeRow {
    OutcomeRow {
        id: one.id.clone(),
        what: said(&one.what),
        because: said(one.because.as_deref().unwrap_or_default()),
        badge: verdict_badge(one.verdict()),
        when: match (one.due.map(clock), one.done.map(clock)) {
            (Some(due), Some(done)) => format!("Due {due}, done {done}"),
            (Some(due), None) => format!("Due {due}, never done"),
            (None, Some(done)) => format!("Done {done}"),
            (None, None) => "Its turn never came".to_owned(),
        },
    }
}

/// What would have been wrong: what was done first.
fn slips(score: &Score) -> Vec<SlipRow> {
    let mut slips: Vec<_> = score.wrong.iter().collect();
    slips.sort_by_key(|slip| slip.done.is_none());
    let row = |slip: &crate::domain::score::Slip| SlipRow {
        what: said(&slip.what),
        because: said(&slip.because),
        badge: match slip.done {
            Some(done) => Badge::new("sev1", "cross", format!("Done at {}", clock(done))),
            None => Badge::new("done", "check", "Avoided"),
        },
    };
    slips.into_iter().map(row).collect()
}

/// The trainer's notes by the part of the incident they fall into.
fn phases(score: &Score) -> Vec<(&'static str, Vec<NoteRow>)> {
    let mut phases: BTreeMap<Phase, Vec<NoteRow>> = BTreeMap::new();
    for note in &score.notes {
        phases.entry(note.phase).or_default().push(NoteRow {
            age: clock(note.age),
            tag: note.tag.map(|tag| tag.label()),
            text: said(&note.text),
        });
    }
    phases
        .into_iter()
        .map(|(phase, notes)| (phase.label(), notes))
        .collect()
}
