//! Going on where a run ended: which version, what differs, what counts as done, what is done again.

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    diff, format,
    layout::Frame,
    parts::{Badge, Hidden, Said, hidden, said},
    record::{RunLog, RunRecord},
    stand,
    step::title,
    text,
};
use crate::{
    domain::{
        difference::{self, Difference},
        event::Event,
        id::StepId,
        run::RunFact,
        state::StepState,
        step::{Step, StepKind},
    },
    execute::people::Legacy,
    store::runbooks::Version,
};

/// Items of a list that are asked about one by one.
const ITEMS_MAX: usize = 100;
/// Lines of a difference on the page.
const LINES_MAX: usize = 400;
/// Characters of a finding.
const FINDING_CHARS_MAX: usize = 300;

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "run/resume.html")]
pub struct ResumePage {
    /// The frame.
    pub frame: Frame,
    /// The run that ended.
    pub run: i64,
    /// Its incident.
    pub incident: i64,
    /// What the runbook is called.
    pub title: Said,
    /// How it ended.
    pub result: Badge,
    /// Why.
    pub reason: Said,
    /// The versions it can go on with.
    pub choices: Vec<VersionChoice>,
    /// What the chosen version has otherwise, when it is another one.
    pub difference: Option<DifferenceView>,
    /// The chosen version's row.
    pub version: i64,
    /// Its number.
    pub number: i32,
    /// Its steps.
    pub rows: Vec<ResumeRow>,
    /// Hidden fields.
    pub hidden: Hidden,
}

/// One version to go on with.
#[derive(Clone, Debug)]
pub struct VersionChoice {
    /// The page with this one chosen.
    pub href: String,
    /// What it is.
    pub words: String,
    /// Whether it is chosen.
    pub is_chosen: bool,
}

/// A step, and what becomes of it.
#[derive(Clone, Debug)]
pub struct ResumeRow {
    /// Its place in the runbook; none for what is not a step of it.
    pub number: Option<usize>,
    /// Its name.
    pub id: String,
    /// What people read.
    pub title: Said,
    /// Where it stood.
    pub badge: Badge,
    /// What was found, or what went wrong.
    pub finding: Said,
    /// `new` or `changed`, in another version.
    pub mark: Option<&'static str>,
    /// What becomes of it, when nothing is to be chosen.
    pub fate: Option<String>,
    /// What may become of it: value, words, whether it is the usual choice.
    pub choices: Vec<(&'static str, &'static str, bool)>,
    /// Whether a person has to choose.
    pub must_choose: bool,
}

/// What differs between two versions.
#[derive(Clone, Debug)]
pub struct DifferenceView {
    /// The sentences, the weightiest first.
    pub sentences: Vec<String>,
    /// The changed lines of the source: sign, style, text.
    pub lines: Vec<(&'static str, &'static str, Said)>,
    /// How many more there are.
    pub hidden: usize,
}

/// What the page is made of besides the run.
pub struct ResumeChoice<'a> {
    /// The version that is chosen, with its source.
    pub chosen: &'a (Version, String),
    /// The newest version, when it is another one than the run's.
    pub newest: Option<&'a Version>,
    /// The source of the run's version.
    pub source: &'a str,
}

impl ResumePage {
    /// The page of a run that ended early.
    pub fn of(frame: Frame, record: &RunRecord, choice: &ResumeChoice<'_>, now: DateTime<Utc>) -> Self {
        let (run, old) = (record.run.id, &record.version);
        let (chosen, source) = choice.chosen;
        let is_other = chosen.id != old.id;
        let difference = is_other.then(|| Difference::between(&old.runbook, &chosen.runbook));
        let mut choices = vec![VersionChoice {
            href: format!("/runs/{run}/resume"),
            words: format!("The same version, v{}", old.number),
            is_chosen: !is_other,
        }];
        choices.extend(choice.newest.map(|newest| VersionChoice {
            href: format!("/runs/{run}/resume?version={}", newest.number),
            words: format!("The newest version, v{}", newest.number),
            is_chosen: is_other,
        }));
        let reason = record.facts.iter().rev().find_map(|(_, fact)| match fact {
            RunFact::RunFinished { reason, .. } => Some(reason.as_str()),
            _ => None,
        });
        Self {
            run: run.0,
            incident: record.run.incident.0,
            title: said(&chosen.runbook.title),
            result: match record.run.result {
                Some(result) => result.into(),
                None => Badge::new("running", "play", "Running"),
            },
            reason: said(reason.unwrap_or_default()),
            choices,
            rows: rows(record, chosen, difference.as_ref(), now),
            difference: difference.map(|difference| DifferenceView::of(&difference, choice.source, source)),
            version: chosen.id.0,
            number: chosen.number,
            hidden: hidden(Some(record.incident.last_seq)),
            frame,
        }
    }
}

const SETTLE: [(&str, &str, bool); 2] = [
    ("done", "It was done: it counts as done", false),
    ("not_done", "It was not done: do it again", false),
];
const TAKEN_BACK: [(&str, &str, bool); 2] = [
    ("done", "It was taken back: do the step again", false),
    (
        "not_done",
        "It was not taken back: the step counts as done",
        false,
    ),
];

fn rows(
    record: &RunRecord,
    chosen: &Version,
    difference: Option<&Difference>,
    now: DateTime<Utc>,
) -> Vec<ResumeRow> {
    let log = RunLog::of(record, now);
    let runbook = &chosen.runbook;
    let mut rows: Vec<ResumeRow> = Vec::new();
    for (at, step) in runbook.steps.iter().enumerate() {
        rows.push(of_step(at + 1, step, chosen, difference, &log));
        if let StepState::Listed { items } = log.state(&step.id)
            && step.for_each.is_some()
        {
            let mut open: Vec<StepId> = (0..items.len())
                .map(|at| step.id.item(at))
                .filter(|item| !legacy(record).is_done(item))
                .collect();
            open.sort_by_key(|item| !matches!(log.state(item), StepState::Unknown { .. }));
            rows.extend(open.iter().take(ITEMS_MAX).map(|item| of_part(item, step, &log)));
        }
    }
    // What the old version had and the new one has not may still be unknown, and what took something back too.
    let is_listed = |id: &StepId, rows: &[ResumeRow]| rows.iter().any(|row| row.id == id.0);
    for (id, state) in &record.state.steps {
        if matches!(state, StepState::Unknown { .. }) && !is_listed(id, &rows) {
            let Some(step) = record.version.runbook.step(id).or_else(|| runbook.step(id)) else {
                continue;
            };
            rows.push(of_part(id, step, &log));
        }
    }
    rows
}

fn legacy(record: &RunRecord) -> Legacy<'_> {
    Legacy {
        state: &record.state,
        done: &[],
        skip: &[],
    }
}

fn of_step(
    number: usize,
    step: &Step,
    chosen: &Version,
    difference: Option<&Difference>,
    log: &RunLog<'_>,
) -> ResumeRow {
    let (record, id) = (log.record, &step.id);
    let legacy = legacy(record);
    let mark = difference.and_then(|difference| {
        let added = difference.added.contains(id).then_some("new");
        added.or_else(|| difference.changed.contains(id).then_some("changed"))
    });
    let was_let_be = record
        .acts
        .iter()
        .any(|act| matches!(&act.event, Event::Run(_, RunFact::StepSkipped { step, .. }) if step == id));
    let (fate, choices): (Option<String>, Vec<_>) = match (&step.kind, log.state(id)) {
        (StepKind::Gate(_), _) => {
            let words = match legacy.is_passed(&chosen.runbook, id) {
                true => "need not be asked: everything below it is done",
                false => "asks again",
            };
            (Some(words.to_owned()), Vec::new())
        }
        (_, StepState::Listed { items }) if step.for_each.is_some() => {
            let done = (0..items.len())
                .filter(|at| legacy.is_done(&id.item(*at)))
                .count();
            let words = match done {
                0 => "its list is made anew".to_owned(),
                done => format!(
                    "{done} of {} done and carried over",
                    format::count(items.len() as i64, "item", "items")
                ),
            };
            (Some(words), Vec::new())
        }
        (_, StepState::Unknown { .. }) => (None, SETTLE.to_vec()),
        _ if legacy.is_done(id) => (
            Some("counts as done: it is not sent again".to_owned()),
            Vec::new(),
        ),
        _ => (
            None,
            vec![
                ("do", "Do it", !was_let_be),
                ("done", "It is done by now: it counts as done", false),
                ("skip", "Skip it", was_let_be),
            ],
        ),
    };
    ResumeRow {
        number: Some(number),
        id: id.0.clone(),
        title: said(&title(step, &record.context())),
        badge: stand::standing(id, log).0,
        finding: said(&text::cut(&stand::finding(id, log), FINDING_CHARS_MAX)),
        mark,
        fate,
        must_choose: matches!(log.state(id), StepState::Unknown { .. }),
        choices,
    }
}

/// An item of a list, what took a step back, or a step that only the old version has.
fn of_part(id: &StepId, step: &Step, log: &RunLog<'_>) -> ResumeRow {
    let record = log.record;
    let is_unknown = matches!(log.state(id), StepState::Unknown { .. });
    let own = title(step, &record.context_of(id));
    let words = match (id.undone(), id.index(), log.state(&id.base().into())) {
        (Some(_), ..) => format!("Take back: {own}"),
        (None, Some(at), StepState::Listed { items }) => {
            let item = items.get(at).map(ToString::to_string).unwrap_or_default();
            format!("{own}: {item}")
        }
        _ => own,
    };
    ResumeRow {
        number: None,
        id: id.0.clone(),
        title: said(&text::cut(&words, FINDING_CHARS_MAX)),
        badge: stand::standing(id, log).0,
        finding: said(&text::cut(&stand::finding(id, log), FINDING_CHARS_MAX)),
        mark: None,
        fate: None,
        choices: match (is_unknown, id.undone().is_some()) {
            (true, true) => TAKEN_BACK.to_vec(),
            (true, false) => SETTLE.to_vec(),
            (false, _) => vec![
                ("do", "Do it", true),
                ("done", "It is done by now: it counts as done", false),
                ("skip", "Skip it", false),
            ],
        },
        must_choose: is_unknown,
    }
}

impl DifferenceView {
    /// The sentences, and the first lines.
    fn of(difference: &Difference, old: &str, new: &str) -> Self {
        let mut view = Self::whole(difference, old, new);
        view.hidden = view.lines.len().saturating_sub(LINES_MAX);
        view.lines.truncate(LINES_MAX);
        view
    }

    fn whole(difference: &Difference, old: &str, new: &str) -> Self {
        let named = |steps: &[StepId]| {
            let names: Vec<&str> = steps.iter().map(|step| step.0.as_str()).collect();
            format::listed(&names)
        };
        let mut sentences = Vec::new();
        for (words, steps) in [
            ("Removed", &difference.removed),
            ("Changed", &difference.changed),
            ("Added", &difference.added),
        ] {
            if !steps.is_empty() {
                sentences.push(format!("{words}: {}", named(steps)));
            }
        }
        if difference.moved {
            sentences.push("Steps stand in another order".to_owned());
        }
        if difference.head {
            sentences.push(
                "Something of the runbook as a whole: inputs, locks, matching, start, access or review"
                    .to_owned(),
            );
        }
        if difference.is_none() {
            sentences.push("Nothing that a run does; only how it is written".to_owned());
        }
        Self {
            sentences,
            hidden: 0,
            lines: difference::lines(old, new).into_iter().map(diff::line).collect(),
        }
    }
}
