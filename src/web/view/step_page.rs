//! The page of one step of a run: where it stands, every attempt, what exactly was sent and what came of it.

use std::collections::{BTreeMap, BTreeSet};

use askama::{Template, filters::HtmlSafe};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    ask::AskCard,
    attempt::AttemptView,
    layout::Frame,
    log::{Asked, Foot, LogPane, LogPart, Window},
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
        attempt::CUT_OFF,
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
    /// The attempt before that one.
    pub before: Option<AttemptDetail>,
    /// Who holds the run.
    pub lease: Option<Lease>,
    /// What happened to the step, the newest first.
    pub events: Vec<Recorded>,
    /// What is asked of the output.
    pub asked: Asked,
    /// What that attempt wrote on its way.
    pub written: Written,
}

/// What an attempt wrote on its way, as far as it could be read.
#[derive(Clone, Debug)]
pub enum Written {
    /// Nothing; there may be an answer.
    Nothing,
    /// These lines, the last of them stored then.
    Lines(Window, DateTime<Utc>),
    /// The database did not say.
    Unreadable,
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "run/step.html")]
pub struct StepPage {
    /// The frame.
    pub frame: Frame,
    /// Where it stands, and what was sent.
    pub part: StepPart,
    /// What came back as text, once something was sent.
    pub log: Option<LogPart>,
    /// Everything else.
    pub rest: StepRest,
}

/// The part of the page before the output.
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
    lease: Option<LeaseLine>,
}

impl HtmlSafe for StepPart {}

/// The part of the page behind the output.
#[derive(Clone, Debug, Template)]
#[template(path = "run/_step_rest.html")]
pub struct StepRest {
    probes: Vec<ProbeLine>,
    inputs: Vec<InputLine>,
    rules: Vec<(&'static str, String)>,
    events: Vec<EventLine>,
}

impl HtmlSafe for StepRest {}

/// One attempt, to be chosen.
#[derive(Clone, Debug)]
pub struct AttemptLink {
    /// The attempt.
    pub view: AttemptView,
    /// Its address.
    pub href: String,
    /// Whether it is the one that is shown.
    pub is_chosen: bool,
    /// The key that leads there from the one that is shown.
    pub key: Option<&'static str>,
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
    /// The attempt before, and what it sent otherwise.
    pub before: Option<(i32, Vec<Changed>)>,
    /// How far it got.
    pub stages: Vec<Stage>,
    /// What came back besides text.
    pub response: Vec<(String, Said)>,
}

/// One field of a request that is not as it was.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Which.
    pub name: String,
    /// As it was; empty where it was not sent.
    pub then: Said,
    /// As it is; empty where it is not sent any more.
    pub now: Said,
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
                    key: chosen.and_then(|chosen| match row.attempt - chosen.row.attempt {
                        -1 => Some("["),
                        1 => Some("]"),
                        _ => None,
                    }),
                    view: AttemptView::of(row, now),
                })
                .collect(),
            chosen: chosen.map(|chosen| Chosen::of(chosen, record, now)),
            lease: record
                .lease
                .filter(|_| matches!(log.state(id), StepState::Started { .. }))
                .map(|lease| LeaseLine {
                    worker: lease.worker.0,
                    fence: lease.fence,
                    left: left(lease.until, now),
                }),
        })
    }
}

impl StepRest {
    /// The part as it stands now.
    pub fn of(record: &StepRecord, part: &StepPart, now: DateTime<Utc>) -> Self {
        Self {
            probes: probes(&record.events, now),
            inputs: inputs(record),
            rules: part.step.plan.rules.clone(),
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
        }
    }
}

/// What came back as text: lines as they were written, or else the text of the answer.
pub fn log(record: &StepRecord, now: DateTime<Utc>) -> Option<LogPart> {
    let detail = record.chosen.as_ref()?;
    let (row, asked) = (&detail.row, &record.asked);
    let path = step::href(record.run.run.id, &record.step);
    let died = record
        .events
        .iter()
        .find(|recorded| cut_off(&recorded.event, row.attempt));
    let died = |after: Option<DateTime<Utc>>| {
        died.map(|recorded| Foot::Died {
            after: after.map(|after| at(after, now)),
            found: at(recorded.recorded_at, now),
        })
    };
    let is_going = row.state == "started";
    let (window, foot) = match &record.written {
        Written::Lines(window, stored) => {
            let over = || died(Some(*stored)).unwrap_or(Foot::Over);
            (window.clone(), if is_going { Foot::Going } else { over() })
        }
        Written::Unreadable => {
            let again = text::with_query(&path, &[("attempt", &row.attempt.to_string())]);
            (Window::default(), Foot::Unreadable { again })
        }
        Written::Nothing => {
            let output = row.result.as_ref().map(Output::of).unwrap_or_default();
            let window = Window::of_text(&output.text, output.is_cut, asked);
            let is_command = detail.request.get("action").and_then(Value::as_str) == Some("command");
            let foot = match (row.state.as_str(), &row.result) {
                _ if window.total > 0 => Foot::Over,
                ("started", _) => Foot::Silent {
                    since: at(row.started_at, now),
                    whole: !is_command,
                },
                (state, result) => died(None).unwrap_or(match (state, result) {
                    ("interrupted" | "unknown", None) => Foot::Lost,
                    _ => Foot::Nothing,
                }),
            };
            (window, foot)
        }
    };
    Some(LogPart {
        log: LogPane::of(&window, foot, asked, &path, row.attempt),
    })
}

/// Whether this says that the worker of an attempt died.
fn cut_off(event: &Event, number: i32) -> bool {
    let Event::Run(_, fact) = event else { return false };
    match fact {
        RunFact::StepInterrupted { attempt, .. } => *attempt == number.unsigned_abs(),
        RunFact::OutcomeUnknown { attempt, reason, .. } => {
            *attempt == number.unsigned_abs() && reason == CUT_OFF
        }
        _ => false,
    }
}

impl Chosen {
    fn of(detail: &AttemptDetail, record: &StepRecord, now: DateTime<Utc>) -> Self {
        let result = detail.row.result.as_ref();
        let class = result
            .and_then(|result| result.get("class"))
            .and_then(|class| serde_json::from_value::<FailureClass>(class.clone()).ok());
        let output = result.map(Output::of).unwrap_or_default();
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
            before: record
                .before
                .as_ref()
                .map(|before| (before.row.attempt, changed(&before.request, &detail.request))),
            stages: reach::stages(&record.events, detail.row.attempt.unsigned_abs(), class, now),
            response: output.fields.into_iter().map(shown).collect(),
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

/// What two attempts sent otherwise, name by name.
fn changed(then: &Value, now: &Value) -> Vec<Changed> {
    let (then, now) = (fields(then), fields(now));
    let names: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    names
        .into_iter()
        .filter(|name| then.get(*name) != now.get(*name))
        .map(|name| {
            let of = |fields: &BTreeMap<String, &Value>| {
                said(&fields.get(name).map_or_else(String::new, |value| short(value)))
            };
            Changed {
                name: name.clone(),
                then: of(&then),
                now: of(&now),
            }
        })
        .collect()
}

/// The fields of a request by the names that people read.
fn fields(request: &Value) -> BTreeMap<String, &Value> {
    let own = ["action", "target"].into_iter();
    let own = own.filter_map(|name| Some((name.to_owned(), request.get(name)?)));
    let with = request
        .get("with")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    own.chain(with.map(|(name, value)| (name.clone(), value)))
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

    /// Whether the attempt that is looked at may write more.
    pub fn is_written(record: &StepRecord) -> bool {
        let is_started = |chosen: &AttemptDetail| chosen.row.state == "started";
        record.asked.follows() && record.chosen.as_ref().is_some_and(is_started)
    }
}
