//! The page of one step of a run: where it stands, every attempt, what exactly was sent and what came of it.

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    ask::AskCard,
    attempt::AttemptView,
    format,
    layout::Frame,
    log::{Asked, LogPane, Silence},
    output::Output,
    parts::{At, Badge, Left, Said, at, left, said},
    reach::{self, Stage},
    record::{RunLog, RunRecord},
    stand::{self, DecisionLine, StepView},
    step::{self, StepPlan},
    text,
};
use crate::{
    domain::{
        access::may_within,
        action::FailureClass,
        event::{Event, Recorded},
        id::StepId,
        judge::{NOT_VERIFIED, VERIFIED},
        operator::{Operator, Role},
        permission::Permission,
        run::{RunFact, Settled},
        sentence::sentence,
        state::StepState,
    },
    store::{attempts::AttemptDetail, queue::Lease},
};

/// Characters of one input.
const INPUT_CHARS_MAX: usize = 2000;

/// Everything the page knows besides its run.
#[derive(Clone, Debug)]
pub struct StepRecord {
    /// The run.
    pub run: RunRecord,
    /// Which step.
    pub step: StepId,
    /// The attempt that is looked at.
    pub chosen: Option<AttemptDetail>,
    /// Who holds the run.
    pub lease: Option<Lease>,
    /// What happened to the step, the newest first.
    pub events: Vec<Recorded>,
    /// What is asked of the output.
    pub asked: Asked,
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "run/step.html")]
pub struct StepPage {
    /// The frame.
    pub frame: Frame,
    /// What changes while the run goes on.
    pub part: StepPart,
}

/// The part of the page that changes.
#[derive(Clone, Debug, Template)]
#[template(path = "run/_step_detail.html")]
pub struct StepPart {
    run: i64,
    incident: i64,
    slug: String,
    step: StepView,
    is_unknown: bool,
    asks: Vec<AskCard>,
    may_act: bool,
    is_approver: bool,
    attempts: Vec<AttemptLink>,
    chosen: Option<Chosen>,
    probes: Vec<ProbeLine>,
    lease: Option<LeaseLine>,
    inputs: Vec<InputLine>,
    events: Vec<EventLine>,
}

impl HtmlSafe for StepPart {}

/// One attempt, to be chosen.
#[derive(Clone, Debug)]
pub struct AttemptLink {
    /// The attempt.
    pub view: AttemptView,
    /// Its address.
    pub href: String,
    /// Whether it is the one that is shown.
    pub is_chosen: bool,
}

/// The attempt that is shown.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The attempt.
    pub view: AttemptView,
    /// `idempotent: may be sent twice with the same key`
    pub effect: &'static str,
    /// The number of the claim it was sent under.
    pub fence: i64,
    /// What was sent, name by name.
    pub request: Vec<(String, Said)>,
    /// How far it got.
    pub stages: Vec<Stage>,
    /// What came back besides text.
    pub response: Vec<(String, Said)>,
    /// The text that came back.
    pub log: LogPane,
}

/// What a verify probe said.
#[derive(Clone, Debug)]
pub struct ProbeLine {
    /// When.
    pub at: At,
    /// Whether it saw the effect.
    pub badge: Badge,
    /// What it saw.
    pub words: Said,
}

/// Who holds the run.
#[derive(Clone, Debug)]
pub struct LeaseLine {
    /// The worker's number.
    pub worker: i64,
    /// The number of its claim.
    pub fence: i64,
    /// When it ends unless it is renewed.
    pub left: Left,
}

/// One input of the step, as it was sent and as it is written.
#[derive(Clone, Debug)]
pub struct InputLine {
    /// Its name.
    pub name: String,
    /// As it was sent; nothing while nothing was.
    pub value: Option<Said>,
    /// As the runbook writes it, where that is something else.
    pub written: Option<Said>,
}

/// One event of the step.
#[derive(Clone, Debug)]
pub struct EventLine {
    /// Its place in the timeline.
    pub href: String,
    /// When.
    pub at: At,
    /// Who.
    pub by: Said,
    /// What.
    pub words: Said,
}

impl StepPart {
    /// The part as this person sees it; `None` when the run has no such step.
    pub fn of(record: &StepRecord, me: &Operator, now: DateTime<Utc>) -> Option<Self> {
        let log = RunLog::of(&record.run, now);
        let runbook = &record.run.version.runbook;
        let id = &record.step;
        let found = runbook.find(id)?;
        let number = runbook.all_steps().position(|step| step.id.0 == id.base())? + 1;
        let context = record.run.context_of(id);
        let plan = match id.undone() {
            None => StepPlan::of(number, found.step, &context),
            Some(_) => StepPlan::undo(id, found.step, log.item(id), &context),
        };
        let path = step::href(record.run.run.id, id);
        let chosen = record.chosen.as_ref();
        Some(Self {
            run: record.run.run.id.0,
            incident: record.run.run.incident.0,
            slug: runbook.slug.clone(),
            step: StepView::of(plan, id, found.step, &log),
            is_unknown: matches!(log.state(id), StepState::Unknown { .. }),
            asks: AskCard::of(&log, &format!("step:{id}"))
                .into_iter()
                .filter(|card| card.step == id.0)
                .collect(),
            may_act: may_within(me, Permission::Run, &runbook.access.start).is_ok(),
            is_approver: me.role >= Role::Approver,
            attempts: log
                .attempts(id)
                .iter()
                .rev()
                .map(|row| AttemptLink {
                    href: text::with_query(&path, &[("attempt", &row.attempt.to_string())]),
                    is_chosen: chosen.is_some_and(|chosen| chosen.row.attempt == row.attempt),
                    view: AttemptView::of(row, now),
                })
                .collect(),
            chosen: chosen.map(|chosen| Chosen::of(chosen, record, &path, now)),
            probes: probes(&record.events, now),
            lease: record
                .lease
                .filter(|_| matches!(log.state(id), StepState::Started { .. }))
                .map(|lease| LeaseLine {
                    worker: lease.worker.0,
                    fence: lease.fence,
                    left: left(lease.until, now),
                }),
            inputs: inputs(record),
            events: record
                .events
                .iter()
                .map(|recorded| EventLine {
                    href: format!("/incidents/{}#e{}", record.run.run.incident, recorded.seq),
                    at: at(recorded.recorded_at, now),
                    by: said(&recorded.actor.to_string()),
                    words: said(&sentence(&recorded.event)),
                })
                .collect(),
        })
    }
}

impl Chosen {
    fn of(detail: &AttemptDetail, record: &StepRecord, path: &str, now: DateTime<Utc>) -> Self {
        let result = detail.row.result.as_ref();
        let class = result
            .and_then(|result| result.get("class"))
            .and_then(|class| serde_json::from_value::<FailureClass>(class.clone()).ok());
        let output = result.map(Output::of).unwrap_or_default();
        let silence = match (detail.row.state.as_str(), result) {
            ("started", _) => Silence::Running(format::length(now - detail.row.started_at)),
            ("interrupted" | "unknown", None) => Silence::Lost,
            _ => Silence::Nothing,
        };
        let shown = |(name, value): (String, String)| (name, said(&value));
        Self {
            view: AttemptView::of(&detail.row, now),
            effect: match detail.effect.as_str() {
                "safe" => "only reads",
                "idempotent" => "idempotent: sent twice with one key, it happens once",
                _ => "once: sent twice, it happens twice",
            },
            fence: detail.fence,
            request: request(&detail.request),
            stages: reach::stages(&record.events, detail.row.attempt.unsigned_abs(), class, now),
            response: output.fields.into_iter().map(shown).collect(),
            log: LogPane::of(
                &output.text,
                output.is_cut,
                Some(silence),
                &record.asked,
                path,
                detail.row.attempt,
            ),
        }
    }
}

/// What was sent, name by name: action and target first.
fn request(request: &Value) -> Vec<(String, Said)> {
    let field = |name: &str| Some((name.to_owned(), said(request.get(name)?.as_str()?)));
    let with = request.get("with").and_then(Value::as_object);
    let inputs = with.into_iter().flatten();
    ["action", "target"]
        .into_iter()
        .filter_map(field)
        .chain(inputs.map(|(name, value)| (name.clone(), said(&short(value)))))
        .collect()
}

fn short(value: &Value) -> String {
    let words = match value {
        Value::String(text) => text.clone(),
        value => serde_json::to_string_pretty(value).unwrap_or_default(),
    };
    text::cut(&words, INPUT_CHARS_MAX)
}

/// The inputs of the step: what was sent beside what is written, where a value came from somewhere else.
fn inputs(record: &StepRecord) -> Vec<InputLine> {
    let Some(act) = record
        .run
        .version
        .runbook
        .find(&record.step)
        .and_then(|found| found.act)
    else {
        return Vec::new();
    };
    let sent = record.chosen.as_ref().map(|chosen| &chosen.request);
    let Value::Object(written) = &act.request.with else {
        return Vec::new();
    };
    written
        .iter()
        .map(|(name, source)| {
            let value = sent.and_then(|sent| match name.as_str() {
                "target" => sent.get("target"),
                name => sent.get("with")?.get(name),
            });
            let differs = value.is_none_or(|value| value != source);
            InputLine {
                name: name.clone(),
                value: value.map(|value| said(&short(value))),
                written: differs.then(|| said(&short(source))),
            }
        })
        .collect()
}

/// What verify probes said, the newest first.
fn probes(events: &[Recorded], now: DateTime<Utc>) -> Vec<ProbeLine> {
    let done = || Badge::new("done", "check", "Seen");
    let not = || Badge::new("unknown", "question", "Not seen");
    let line = |recorded: &Recorded| {
        let Event::Run(_, fact) = &recorded.event else {
            return None;
        };
        let (badge, words) = match fact {
            RunFact::StepSatisfied { summary, .. } => (done(), summary.as_str()),
            RunFact::StepSucceeded { summary, settled, .. } => match settled {
                Settled::Probe => (done(), summary.as_str()),
                Settled::Answer => (done(), summary.split_once(VERIFIED)?.1),
            },
            RunFact::StepFailed { message, .. } => (not(), message.strip_prefix(NOT_VERIFIED)?),
            RunFact::ProbeInconclusive { finding, .. } => (not(), finding.as_str()),
            _ => return None,
        };
        Some(ProbeLine {
            at: at(recorded.recorded_at, now),
            badge,
            words: said(words),
        })
    };
    events.iter().filter_map(line).collect()
}

/// The decisions that stand beside a step's badge.
impl StepPart {
    /// What people decided about it.
    pub fn decided(&self) -> &[DecisionLine] {
        &self.step.decided
    }

    /// What is in a title of the page.
    pub fn title(record: &StepRecord) -> String {
        let runbook = &record.run.version.runbook;
        let words = runbook.find(&record.step).map_or_else(String::new, |found| {
            step::title(found.step, &record.run.context_of(&record.step))
        });
        format!("{} · run {}", text::visible(&words), record.run.run.id)
    }

    /// Whether more may happen to it.
    pub fn is_live(record: &StepRecord) -> bool {
        record.run.is_live() && !stand::is_over(record.run.state.step(&record.step))
    }
}
