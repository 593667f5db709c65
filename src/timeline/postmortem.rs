//! The postmortem: one document drafted from the facts, with empty sections for what only people know.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::{
    actions::Actions,
    measure::{Times, measure},
};
use crate::{
    domain::{
        digest::Digest,
        drill::name,
        event::{Event, IncidentFact, Recorded, first_broken_link},
        id::IncidentId,
        incident::IncidentState,
        run::{RunFact, RunResult},
        sentence::{Category, category, told},
        titles::Titles,
    },
    store::{StoreError, events, incidents, incidents::Incident, titles},
};

/// The longest story one document tells; a longer timeline is cut, and says so.
pub const STORY_MAX: i64 = 5_000;
/// Runs of one incident whose steps are told by their titles; the steps of older ones by their names.
const RUNS_MAX: i64 = 100;
/// A stretch without any event that is worth a question.
const SILENCE: chrono::TimeDelta = chrono::TimeDelta::minutes(10);

/// A drafted postmortem.
#[derive(Clone, Debug, Serialize)]
pub struct Postmortem {
    /// The incident.
    pub incident: Incident,
    /// A few sentences.
    pub summary: String,
    /// When what happened.
    pub times: Times,
    /// The facts, in order.
    pub story: Vec<Row>,
    /// Whether the story was cut at [`STORY_MAX`].
    pub is_cut: bool,
    /// Runs and the versions they were pinned to.
    pub runs: Vec<RunLine>,
    /// What the facts leave open.
    pub questions: Vec<String>,
    /// Whether the chain of the timeline holds; `None` when the story was cut.
    pub chain_holds: Option<bool>,
}

/// One fact of the story.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its number in the timeline.
    pub seq: i64,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When it was written down.
    pub recorded_at: DateTime<Utc>,
    /// Who.
    pub actor: String,
    /// What.
    pub sentence: String,
    /// Its group, in plural.
    pub category: &'static str,
}

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct RunLine {
    /// Its number.
    pub run: i64,
    /// The runbook.
    pub runbook: String,
    /// The version it was pinned to.
    pub version: i32,
    /// Content of that version.
    pub digest: Digest,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How it ended; `None` while it goes on.
    pub result: Option<RunResult>,
}

/// Drafts the postmortem of an incident; `None` when there is no such incident.
pub async fn load(conn: &mut PgConnection, id: IncidentId) -> Result<Option<Postmortem>, StoreError> {
    let Some(incident) = incidents::find(conn, id).await? else {
        return Ok(None);
    };
    let timeline = events::list_after(conn, id, 0, STORY_MAX).await?;
    let titles = titles::list(conn, id, RUNS_MAX).await?;
    Ok(Some(draft(incident, &timeline, &titles)))
}

/// Drafts it from the incident's row, its timeline in order and what its steps are called. Pure.
pub fn draft(incident: Incident, timeline: &[Recorded], titles: &Titles) -> Postmortem {
    let is_cut = (timeline.len() as i64) < incident.last_seq;
    let runs = runs(timeline);
    Postmortem {
        times: measure(&incident, timeline),
        summary: summary(&incident, timeline, &runs),
        story: story(timeline, titles),
        questions: questions(&incident, timeline, &runs),
        chain_holds: (!is_cut).then(|| first_broken_link(incident.id, timeline).is_none()),
        is_cut,
        runs,
        incident,
    }
}

/// The facts in order. A note reads as it was corrected last, and says so; the corrections are told there.
fn story(timeline: &[Recorded], titles: &Titles) -> Vec<Row> {
    let mut newest: BTreeMap<i64, &Recorded> = BTreeMap::new();
    for recorded in timeline {
        if let Event::Incident(IncidentFact::NoteCorrected { note, .. }) = &recorded.event {
            newest.insert(*note, recorded);
        }
    }
    let is_told = |recorded: &&Recorded| {
        !matches!(
            recorded.event,
            Event::Incident(IncidentFact::NoteCorrected { .. })
        )
    };
    timeline
        .iter()
        .filter(is_told)
        .map(|recorded| match newest.get(&recorded.seq) {
            Some(correction) => corrected(recorded, correction, titles),
            None => row(recorded, titles),
        })
        .collect()
}

fn corrected(note: &Recorded, correction: &Recorded, titles: &Titles) -> Row {
    let mut now = note.clone();
    if let (
        Event::Incident(IncidentFact::Note { text, .. }),
        Event::Incident(IncidentFact::NoteCorrected { text: newer, .. }),
    ) = (&mut now.event, &correction.event)
    {
        text.clone_from(newer);
    }
    let mut row = row(&now, titles);
    row.sentence.push_str(&format!(
        " (corrected {} by {})",
        clock(correction.recorded_at),
        correction.actor
    ));
    row
}

fn row(recorded: &Recorded, titles: &Titles) -> Row {
    Row {
        seq: recorded.seq,
        occurred_at: recorded.occurred_at,
        recorded_at: recorded.recorded_at,
        actor: recorded.actor.to_string(),
        sentence: told(&recorded.event, titles),
        category: category(&recorded.event).name(),
    }
}

fn runs(timeline: &[Recorded]) -> Vec<RunLine> {
    let mut runs: Vec<RunLine> = Vec::new();
    for recorded in timeline {
        match &recorded.event {
            Event::Run(
                run,
                RunFact::RunStarted {
                    runbook,
                    version,
                    digest,
                    ..
                },
            ) => runs.push(RunLine {
                run: run.0,
                runbook: runbook.clone(),
                version: *version,
                digest: *digest,
                started_at: recorded.recorded_at,
                result: None,
            }),
            Event::Run(run, RunFact::RunFinished { result, .. }) => {
                if let Some(line) = runs.iter_mut().find(|line| line.run == run.0) {
                    line.result = Some(*result);
                }
            }
            _ => {}
        }
    }
    runs
}

fn summary(incident: &Incident, timeline: &[Recorded], runs: &[RunLine]) -> String {
    let alerts: usize = timeline
        .iter()
        .map(|recorded| match &recorded.event {
            Event::Incident(IncidentFact::AlertsFired { count, .. }) => *count,
            _ => 0,
        })
        .sum();
    let plural = if alerts == 1 { "" } else { "s" };
    let mut text = match incident.drill {
        Some(drill) => format!(
            "DRILL: nothing of this was real, it was practised in {}. ",
            name(drill)
        ),
        None => String::new(),
    };
    text.push_str(&format!(
        "{} was a {} incident reported by {} with {alerts} alert{plural}.",
        incident.title, incident.severity, incident.source
    ));
    for run in runs {
        let how = match run.result {
            Some(RunResult::Succeeded) => "succeeded",
            Some(RunResult::Failed) => "failed",
            Some(RunResult::Rejected) => "ended at its gate",
            Some(RunResult::Stopped) => "was stopped",
            None => "is still going",
        };
        text.push_str(&format!(" Runbook {} v{} {how}.", run.runbook, run.version));
    }
    if !incident.state.is_open() {
        text.push_str(&format!(" It is {}.", incident.state));
    }
    text
}

fn questions(incident: &Incident, timeline: &[Recorded], runs: &[RunLine]) -> Vec<String> {
    let mut questions = Vec::new();
    if incident.acknowledged_at.is_none() {
        questions.push("Nobody acknowledged it: did the right person hear of it?".to_owned());
    }
    if incident.mitigated_at.is_none() && incident.state == IncidentState::Resolved {
        questions.push("When did the harm to users stop? Nothing says so.".to_owned());
    }
    if runs.is_empty() {
        questions.push("No runbook was run: would one have helped?".to_owned());
    }
    for recorded in timeline {
        match &recorded.event {
            Event::Run(_, RunFact::OutcomeUnknown { step, .. }) => questions.push(format!(
                "The outcome of {step} was unknown at {}: how could its verify probe have told sooner?",
                clock(recorded.recorded_at)
            )),
            Event::Run(
                _,
                RunFact::StepFailed {
                    step,
                    retry_at: None,
                    message,
                    ..
                },
            ) => {
                questions.push(format!("{step} failed ({message}): why?"));
            }
            _ => {}
        }
    }
    for pair in timeline.windows(2) {
        let quiet = pair[1].recorded_at - pair[0].recorded_at;
        if quiet >= SILENCE && pair[1].recorded_at <= incident.resolved_at.unwrap_or(pair[1].recorded_at) {
            questions.push(format!(
                "Nothing is written down for {} min after {}: what happened?",
                quiet.num_minutes(),
                clock(pair[0].recorded_at)
            ));
        }
    }
    if incident.recurrence_of.is_some() {
        questions.push("It had happened before: what was to be changed then?".to_owned());
    }
    questions
}

fn clock(at: DateTime<Utc>) -> String {
    at.format("%H:%M:%S").to_string()
}

/// The headings that are left to people, with what each is for; the last is that of the action items.
pub const FOR_PEOPLE: [(&str, &str); 4] = [
    ("Impact", "Who noticed what, for how long?"),
    ("Contributing factors", "What had to be true for this to happen?"),
    ("What went well", "What would you not change?"),
    ("Actions", "What, who, until when, and how will it be proved?"),
];

impl Postmortem {
    /// The document as Markdown, with its action items; links begin with `base`. Every outside text is one line and
    /// escaped, so it cannot become markup.
    pub fn markdown(&self, actions: &Actions, base: &str) -> String {
        let mut out = String::new();
        let incident = &self.incident;
        let mut line = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        line(format!(
            "# {}Postmortem: INC-{} {}\n",
            incident
                .drill
                .map_or_else(String::new, |drill| format!("{} · ", name(drill))),
            incident.id,
            escape(&incident.title)
        ));
        line(format!("## Summary\n\n{}\n", escape(&self.summary)));
        line("## Times (UTC)\n\n| what | when | after detection |\n| --- | --- | --- |".to_owned());
        for (what, at) in self.moments() {
            let when = at.map_or("never".to_owned(), |at| {
                at.format("%Y-%m-%d %H:%M:%S").to_string()
            });
            let after = at.map_or(String::new(), |at| {
                duration((at - self.times.detected_at).num_milliseconds())
            });
            line(format!("| {what} | {when} | {after} |"));
        }
        line("\nWhere the time went:\n".to_owned());
        for (what, ms) in self.waits() {
            line(format!("- {what}: {}", duration(ms)));
        }
        line("\n## Runs\n".to_owned());
        if self.runs.is_empty() {
            line("None.".to_owned());
        }
        for run in &self.runs {
            let result = run.result.map_or("still going", RunResult::name);
            line(format!(
                "- run {}: {} v{} (content {}), {result}",
                run.run,
                escape(&run.runbook),
                run.version,
                run.digest.short()
            ));
        }
        line("\n## Story\n".to_owned());
        for row in self
            .story
            .iter()
            .filter(|row| row.category != Category::System.name())
        {
            let at = row.occurred_at.format("%H:%M:%S");
            line(format!(
                "- **{at}** {}: {}",
                escape(&row.actor),
                escape(&row.sentence)
            ));
        }
        if self.is_cut {
            line(format!(
                "\nThe story was cut after {STORY_MAX} events; the timeline holds the rest."
            ));
        }
        line("\n## Open questions\n".to_owned());
        for question in &self.questions {
            line(format!("- {}", escape(question)));
        }
        if self.questions.is_empty() {
            line("None found in the facts.".to_owned());
        }
        for (heading, purpose) in FOR_PEOPLE {
            line(format!("\n## {heading}\n\n<!-- {purpose} -->"));
        }
        // The last of the headings is theirs.
        for action in actions.markdown(base) {
            line(action);
        }
        out
    }

    /// The moments in order, with their names.
    pub fn moments(&self) -> [(&'static str, Option<DateTime<Utc>>); 5] {
        let times = &self.times;
        [
            ("Detected", Some(times.detected_at)),
            ("Opened", Some(times.opened_at)),
            ("Acknowledged", times.acknowledged_at),
            ("Mitigated", times.mitigated_at),
            ("Resolved", times.resolved_at),
        ]
    }

    /// Where the time went, in milliseconds, with names.
    pub fn waits(&self) -> [(&'static str, i64); 4] {
        let waits = self.times.waits;
        [
            ("Until the alert was reported", waits.reporting_ms),
            ("Steps at work", waits.working_ms),
            ("Waiting for people", waits.people_ms),
            ("Outcome unknown", waits.unknown_ms),
        ]
    }
}

/// A length of time for people: `850 ms`, `12.4 s`, `3 min 5 s`, `2 h 10 min`.
pub fn duration(ms: i64) -> String {
    match ms.max(0) {
        ms @ 0..=999 => format!("{ms} ms"),
        ms @ 1000..=59_999 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        ms @ 60_000..=3_599_999 => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1000),
        ms => format!("{} h {} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

/// Outside text as one line that is no markup.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\u{2028}' | '\u{2029}' => out.push(' '),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '#' | '|' | '!' | '~' => {
                out.push('\\');
                out.push(c);
            }
            // Marks that turn the direction of text could make it read as something else.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_text_cannot_become_markup() {
        assert_eq!(
            escape("<script>\n# *x* [a](b) \u{202e}|"),
            "\\<script\\> \\# \\*x\\* \\[a\\](b) \\|"
        );
    }

    #[test]
    fn durations_read_as_people_say_them() {
        let said: Vec<String> = [-5, 850, 12_400, 185_000, 7_800_000].map(duration).into();
        assert_eq!(said, ["0 ms", "850 ms", "12.4 s", "3 min 5 s", "2 h 10 min"]);
    }
}
