//! The page of a start: how long Muster was away, what needs a person now, what expired, what was late, and where all of
//! that stands since.

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    format,
    incident::key,
    layout::Frame,
    parts::{At, Badge, Said, at, said},
};
use crate::{
    domain::{
        boot::{Boot, Company},
        event::Event,
        id::{IncidentId, RunId},
        overdue::{CutOff, LateIncident, LateRun, Part, Silence, Timer},
        run::RunFact,
        sentence::sentence,
        step::Effect,
    },
    store::aftermath::{Aftermath, RunNow, StepNow},
};

/// The page of one start.
#[derive(Clone, Debug, Template)]
#[template(path = "system/boot.html")]
pub struct BootPage {
    /// The frame.
    pub frame: Frame,
    /// When it was.
    pub at: At,
    /// What happened.
    pub sentence: String,
    /// What a reader should know of that.
    pub notes: Vec<&'static str>,
    /// What was overdue, the most pressing first.
    pub sections: Vec<Section>,
}

/// Things of one kind, and where they stand.
#[derive(Clone, Debug)]
pub struct Section {
    /// What they have in common.
    pub heading: &'static str,
    /// How many, and what follows.
    pub words: String,
    /// The first of them.
    pub rows: Vec<Row>,
    /// Those that are not listed.
    pub more: Option<String>,
}

/// One thing.
#[derive(Clone, Debug)]
pub struct Row {
    /// Where it stands now.
    pub badge: Badge,
    /// Its page.
    pub href: String,
    /// What it is called.
    pub title: Said,
    /// What was the matter, up to a time.
    pub words: String,
    /// That time.
    pub due: At,
    /// How late it was at the start.
    pub late: Option<String>,
    /// Its incident: address, key and title.
    pub incident: Option<(String, String, Said)>,
    /// The newest fact about it, and its time.
    pub now: Option<(Said, At)>,
}

impl BootPage {
    /// The page of a start, with where everything stands at `now`.
    pub fn of(frame: Frame, boot: &Boot, aftermath: &Aftermath, now: DateTime<Utc>) -> Self {
        let sections = match boot.company {
            Company::Alone => Sections { boot, aftermath, now }.all(),
            Company::Unsettled | Company::Beside => Vec::new(),
        };
        let mut notes = Vec::new();
        if boot.company == Company::Alone && boot.last_alive_at.is_some() && !boot.clean_stop {
            notes.push(
                "Killed means that it ended without a word: a crash, a kill, or a database it could not reach any more.",
            );
        }
        if boot.report.heartbeats.count > 0 && boot.company == Company::Alone {
            notes
                .push("Muster hears nothing while it is away, so a silent heartbeat may be its own silence.");
        }
        Self {
            frame,
            at: at(boot.started_at, now),
            sentence: boot.sentence(),
            notes,
            sections,
        }
    }
}

/// What the sections of one page are made from.
struct Sections<'a> {
    boot: &'a Boot,
    aftermath: &'a Aftermath,
    now: DateTime<Utc>,
}

impl Sections<'_> {
    fn all(&self) -> Vec<Section> {
        let mut sections = vec![self.needs_you()];
        sections.extend([self.expired(), self.late(), self.taken()].into_iter().flatten());
        sections
    }

    fn needs_you(&self) -> Section {
        let unknown = &self.boot.report.unknown;
        let rows: Vec<Row> = unknown.items.iter().map(|step| self.cut_off(step)).collect();
        let waiting = unknown
            .items
            .iter()
            .filter(|step| self.step(step).is_some_and(|now| now.awaits_person))
            .count() as i64;
        let needed = match waiting {
            0 => "Nothing now.".to_owned(),
            waiting => format!(
                "{} you: look at the target, then say whether it was done.",
                format::count(waiting, "step needs", "steps need")
            ),
        };
        let words = match unknown.count {
            0 if self.boot.report.is_empty() => "Nothing: nothing was overdue.".to_owned(),
            0 => "Nothing: no step is in doubt.".to_owned(),
            count => format!(
                "{needed} {} cut off that may not be repeated: sent or not, Muster did not know.",
                format::count(count, "attempt was", "attempts were"),
            ),
        };
        Section {
            heading: "What needs you now",
            words,
            more: more(unknown),
            rows,
        }
    }

    fn expired(&self) -> Option<Section> {
        let report = &self.boot.report;
        let lapsed = report.approvals.items.iter().map(|lapsed| {
            let found = self.aftermath.approvals.get(&lapsed.approval);
            let words = match lapsed.unused {
                true => "was approved and not used by",
                false => "was not decided by",
            };
            Row {
                badge: found.map_or_else(gone, |found| found.state.into()),
                href: format!("/approvals/{}", lapsed.approval),
                title: said(found.map_or("a decision", |found| &found.title)),
                words: words.to_owned(),
                due: at(lapsed.due, self.now),
                late: None,
                incident: self.incident(lapsed.incident),
                now: self.run(lapsed.run).map(|run| self.fact(&run.last, run.at)),
            }
        });
        let silent = report
            .heartbeats
            .items
            .iter()
            .map(|silence| self.silence(silence));
        section(
            "What expired",
            format::count(report.expired(), "thing lapsed.", "things lapsed."),
            lapsed.chain(silent).collect(),
            report.expired(),
        )
    }

    fn silence(&self, silence: &Silence) -> Row {
        let key = (silence.source, silence.fingerprint.clone());
        let found = self.aftermath.heartbeats.get(&key);
        let incident = found.and_then(|found| found.incident);
        let badge = match (found, incident) {
            (None, _) => gone(),
            (_, Some(_)) => Badge::new("sev1", "bell", "Silent"),
            (Some(found), None) if found.last_seen_at > self.boot.started_at => {
                Badge::new("done", "check", "Heard again")
            }
            (Some(_), None) => Badge::new("sev3", "clock", "Not heard yet"),
        };
        Row {
            badge,
            href: incident.map_or_else(|| "/deliveries".to_owned(), |id| format!("/incidents/{id}")),
            title: said(found.map_or("a heartbeat", |found| &found.title)),
            words: "was not heard by".to_owned(),
            due: at(silence.due, self.now),
            late: None,
            incident: incident.and_then(|id| self.incident(id)),
            now: None,
        }
    }

    fn late(&self) -> Option<Section> {
        let report = &self.boot.report;
        let mut rows: Vec<(DateTime<Utc>, Row)> = Vec::new();
        rows.extend(
            report
                .timers
                .items
                .iter()
                .map(|run| (run.due, self.late_run(run))),
        );
        let mut incidents = |late: &Part<LateIncident>, words: &str| {
            let late = late.items.iter();
            rows.extend(late.map(|late| (late.due, self.late_incident(late, words))));
        };
        incidents(&report.recoveries, "was to be taken for recovered at");
        incidents(
            &report.refires,
            "an alert of it was to be believed to fire again at",
        );
        rows.sort_by_key(|(due, _)| *due);
        let words = format!(
            "{} due while nobody was there{}",
            format::count(report.late(), "was", "were"),
            match rows.first() {
                Some((due, _)) => format!(
                    ", the first of them {} before the start.",
                    self.length_since(*due)
                ),
                None => ".".to_owned(),
            }
        );
        let rows = rows.into_iter().map(|(_, row)| row).collect();
        section("Timers that fired late", words, rows, report.late())
    }

    fn length_since(&self, due: DateTime<Utc>) -> String {
        format::length(self.boot.started_at - due)
    }

    fn late_run(&self, late: &LateRun) -> Row {
        let step = late.step.as_ref().map_or("a step", |step| &step.0);
        let words = match late.timer {
            Timer::Retry => format!("the next attempt of {step} was due at"),
            Timer::Wait => format!("the wait {step} was over at"),
            Timer::Gate => format!("the time to decide at {step} was over at"),
            Timer::Ready => "was ready to go on since".to_owned(),
            Timer::Look => "was to be looked at again at".to_owned(),
        };
        Row {
            late: Some(format!("{} late", self.length_since(late.due))),
            due: at(late.due, self.now),
            ..self.run_row(late.run, late.incident, words)
        }
    }

    fn late_incident(&self, late: &LateIncident, words: &str) -> Row {
        let found = self.aftermath.incidents.get(&late.incident);
        Row {
            badge: found.map_or_else(gone, |found| found.state.into()),
            href: format!("/incidents/{}", late.incident),
            title: said(found.map_or("an incident", |found| &found.title)),
            words: words.to_owned(),
            due: at(late.due, self.now),
            late: Some(format!("{} late", self.length_since(late.due))),
            incident: None,
            now: None,
        }
    }

    fn taken(&self) -> Option<Section> {
        let report = &self.boot.report;
        let steps = report.repeated.items.iter().map(|step| self.cut_off(step));
        let runs = report
            .taken
            .items
            .iter()
            .map(|taken| self.run_row(taken.run, taken.incident, "was being worked on until".to_owned()));
        let count = report.repeated.count + report.taken.count;
        let words = format!(
            "{} left behind, with {} in them that may be repeated.",
            format::count(report.taken.count, "run was", "runs were"),
            format::count(report.repeated.count, "attempt", "attempts")
        );
        section("What was taken over", words, steps.chain(runs).collect(), count)
    }

    /// A run, with its time the last sign of its worker.
    fn run_row(&self, run: RunId, incident: IncidentId, words: String) -> Row {
        let found = self.run(run);
        let until = self.boot.last_alive_at.unwrap_or(self.boot.started_at);
        Row {
            badge: found.map_or_else(gone, |found| match found.result {
                Some(result) => result.into(),
                None => Badge::new("running", "play", "Live"),
            }),
            href: format!("/runs/{run}"),
            title: said(found.map_or("a run", |found| &found.title)),
            words,
            due: at(until, self.now),
            late: None,
            incident: self.incident(incident),
            now: found.map(|found| self.fact(&found.last, found.at)),
        }
    }

    fn cut_off(&self, step: &CutOff) -> Row {
        let found = self.step(step);
        let effect = match step.effect {
            Effect::Safe => "only reads",
            Effect::Idempotent => "may be repeated",
            Effect::Once => "may not be repeated",
        };
        let words = format!(
            "attempt {} of {}, which {effect}, had begun at",
            step.attempt, step.step
        );
        Row {
            badge: found.map_or_else(gone, |found| stands(step, found)),
            href: format!("/runs/{}", step.run),
            title: said(self.run(step.run).map_or("a run", |run| &run.title)),
            words,
            due: at(step.started_at, self.now),
            late: None,
            incident: self.incident(step.incident),
            now: found.map(|found| self.fact(&found.last, found.at)),
        }
    }

    fn step(&self, step: &CutOff) -> Option<&StepNow> {
        self.aftermath.steps.get(&(step.run, step.step.clone()))
    }

    fn run(&self, run: RunId) -> Option<&RunNow> {
        self.aftermath.runs.get(&run)
    }

    fn incident(&self, id: IncidentId) -> Option<(String, String, Said)> {
        let found = self.aftermath.incidents.get(&id)?;
        Some((format!("/incidents/{id}"), key(id.0), said(&found.title)))
    }

    fn fact(&self, last: &Event, when: DateTime<Utc>) -> (Said, At) {
        (said(&sentence(last)), at(when, self.now))
    }
}

/// Where a step that was cut off stands.
fn stands(cut_off: &CutOff, found: &StepNow) -> Badge {
    if found.awaits_person {
        return Badge::new("unknown", "question", "Outcome unknown");
    }
    match &found.last {
        Event::Run(_, RunFact::StepStarted { attempt, .. })
            if i64::from(*attempt) <= i64::from(cut_off.attempt) =>
        {
            Badge::new("running", "clock", "To be settled")
        }
        Event::Run(_, RunFact::StepStarted { .. } | RunFact::StepInterrupted { .. }) => {
            Badge::new("running", "play", "Repeated")
        }
        Event::Run(_, RunFact::StepSucceeded { .. } | RunFact::StepSatisfied { .. }) => {
            Badge::new("done", "check", "Done")
        }
        Event::Run(_, RunFact::StepFailed { .. }) => Badge::new("sev1", "cross", "Failed"),
        Event::Run(_, RunFact::UnknownDecided { .. }) => Badge::new("quiet", "person", "Decided"),
        _ => Badge::new("quiet", "bent", "Moved on"),
    }
}

/// For a row of the database that is not there any more.
fn gone() -> Badge {
    Badge::new("quiet", "barred", "Gone")
}

fn more<T>(part: &Part<T>) -> Option<String> {
    not_listed(part.count, part.items.len())
}

fn not_listed(count: i64, listed: usize) -> Option<String> {
    let rest = count - listed as i64;
    (rest > 0).then(|| format!("{rest} more are not listed."))
}

/// A section, unless there is nothing in it.
fn section(heading: &'static str, words: String, rows: Vec<Row>, count: i64) -> Option<Section> {
    (count > 0).then(|| Section {
        heading,
        words,
        more: not_listed(count, rows.len()),
        rows,
    })
}
