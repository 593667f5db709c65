//! A scenario made of a real incident: its alerts at their offsets, targets that answer what they answered that night,
//! and what people did as what is expected. It is written as text and read like any other, so it can be kept as a file
//! and changed.
//!
//! Today's runbooks may ask other things than those of that night. A question without a recorded answer is refused in
//! words, and kept in the drill's log.

mod clock;
mod gaps;
mod people;
mod proxy;
mod says;
mod twins;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::{
    super::{
        document::{FILE_BYTES_MAX, NODES_MAX},
        folder::requests,
        write::value,
    },
    asked,
};
use crate::domain::{
    alert::title,
    labels::Labels,
    night::{Asking, FiredAlert, Night, slug},
    runbook::Runbook,
    scenario::{Deed, LENGTH_MAX},
    score::Seen,
    span::Span,
    step::{ActionKind, StepKind},
    target::Targets,
};
use clock::{EFFECTS_MAX, NightClock, STRETCH};
use gaps::Gaps;
use proxy::Proxy;
use says::{Question, literal, question, unfilled};
use twins::{Workshop, witnesses};

/// Alerts that are played again; the first ones.
const ALARMS_MAX: usize = 20;
/// Firings of one alert.
const FIRINGS_MAX: usize = 6;
const RUNBOOKS_MAX: usize = 10;
/// Rows and lines that answers are cut to, one after the other, until the file is no longer than one may be.
const KEPT: [usize; 4] = [100, 20, 5, 1];
/// Bytes of a program's output for each row that is kept.
const OUTPUT_BYTES_PER_ROW: usize = 200;
/// The share of a file's bounds that the twins may take, in quarters.
const TWINS_SHARE: usize = 3;
/// Nobody is held to be faster than this.
const WITHIN_MIN: Span = Span::from_secs(60);
/// How long a drill goes on after the real thing was over.
const AFTER: TimeDelta = TimeDelta::minutes(1);
const TITLE_CHARS_MAX: usize = 100;

/// A scenario as text, and what of the night it leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The file.
    pub text: String,
    /// What today's runbooks have no place for, or ask and nobody asked that night; one line each.
    pub gaps: Vec<String>,
}

/// Why an incident makes no scenario.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unplayable {
    /// No alert came.
    #[error(
        "no alert came in INC-{0}, so nothing would begin; only an incident that alerts opened is played again"
    )]
    NoAlert(i64),
    /// No run was made that could be made today.
    #[error("none of its runbooks is in use any more, or it had no run: there is nothing to train")]
    NoRunbook,
    /// Its end lies beyond that of the longest drill.
    #[error(
        "the alerts or the harm of INC-{0} went on for {1}, and a drill is planned for at most {LENGTH_MAX}: it could not \
         be played to its end"
    )]
    TooLong(i64, Span),
}

/// What changed the world that night.
enum Cause<'a> {
    /// A target was asked.
    Asked(&'a Asking, Question),
    /// A proxy was told.
    Told(String),
    /// A person did it.
    Hand(&'a str),
}

/// Writes the scenario of an incident for the runbooks and targets that there are today.
pub fn write(night: &Night, known: &[&Runbook], targets: &Targets) -> Result<Written, Unplayable> {
    if night.alerts.is_empty() {
        return Err(Unplayable::NoAlert(night.incident.0));
    }
    let today = known
        .iter()
        .filter(|runbook| night.runbooks.contains(&runbook.slug));
    let mut today: Vec<&Runbook> = today.copied().collect();
    if today.is_empty() {
        return Err(Unplayable::NoRunbook);
    }
    // A second of peace comes first, so that the harm can begin.
    let zero = night.began_at() - TimeDelta::seconds(1);
    let horizon = zero + LENGTH_MAX.as_delta();
    let last_end = night.alerts.iter().filter_map(|alert| alert.ended_at).max();
    let over = night.mitigated_at.or(last_end).unwrap_or(night.resolved_at);
    let ends = night
        .alerts
        .iter()
        .map(|alert| alert.ended_at.unwrap_or(night.resolved_at));
    let end = ends.fold(over, DateTime::max);
    if end > horizon {
        return Err(Unplayable::TooLong(
            night.incident.0,
            span(end - night.began_at()),
        ));
    }
    let mut gaps = Gaps::of(&night.left_out);
    gaps.keep("runbooks", RUNBOOKS_MAX, &mut today);
    let witnesses = witnesses(&night.asked, &mut gaps);
    let proxies = proxy::proxies(&witnesses);
    let causes = causes(night, &proxies, &today, &mut gaps);
    let clock = NightClock {
        zero,
        effects: causes.iter().map(|(at, _)| *at).collect(),
    };
    let mut effects = BTreeMap::new();
    for (number, (_, cause)) in causes.iter().enumerate() {
        if let Cause::Asked(asking, question) = cause {
            effects.insert((asking.request.target.clone(), question.clone()), number + 1);
        }
    }
    let shop = Workshop {
        clock: &clock,
        effects: &effects,
        proxies: &proxies,
        targets,
    };
    let mut twins: BTreeMap<String, Value> = witnesses
        .iter()
        .map(|(name, witness)| (name.clone(), shop.twin(name, witness, &mut gaps)))
        .collect();
    for (name, kind) in asked_today(&today, &night.alerts) {
        twins.entry(name.clone()).or_insert_with(|| {
            gaps.say(format!(
                "target {name} is asked today and was not asked that night"
            ));
            shop.unasked(&name, kind)
        });
    }
    let mut twins = json!(twins);
    let (mut kept, mut cut) = (None, 0);
    for most in KEPT {
        if fits(&twins) {
            break;
        }
        cut += shorten(&mut twins, most);
        kept = Some(most);
    }
    if let Some(most) = kept {
        gaps.say(format!(
            "answers are cut to their first {most} rows and lines, so that they fit into one file; cut: {cut} rows, lines \
             and texts"
        ));
    }
    // What no runbook of today asks stands in for nothing.
    let alarms = alarms(night, &clock, &mut gaps);
    let deeds = people::deeds(night, &today, last_end, horizon, &mut gaps);
    let mut injects = hands(&causes);
    if let Some(end) = last_end.filter(|_| deeds.waits_for_alerts) {
        injects.push(json!({
            "id": people::ALERTS_OVER, "title": "The alerts of that night are over",
            "when": format!("night.at >= {}", clock.moment(end)),
            "says": {"who": "Monitoring", "text": "The last alert of that night was over now."},
        }));
    }
    let world = world(&causes, &proxies, clock.moment(over));
    let length = span(night.resolved_at + AFTER - zero).clamp(WITHIN_MIN, LENGTH_MAX);
    let gaps: Vec<String> = gaps.told().iter().map(|gap| plain(gap)).collect();
    let mut sections = vec![
        ("scenario", json!(slug(night.incident))),
        ("title", json!(headline(night))),
        ("reenacts", json!(format!("INC-{}", night.incident))),
    ];
    if !gaps.is_empty() {
        sections.push(("gaps", json!(gaps)));
    }
    sections.extend([
        ("summary", json!(summary(night, &gaps))),
        ("brief", json!(brief(night, &today))),
        ("length", json!(length)),
        (
            "runbooks",
            today.iter().map(|runbook| json!(runbook.slug)).collect(),
        ),
        ("roles", json!(["commander", "approver"])),
        ("world", world),
        ("twins", twins),
        ("alerts", alarms),
    ]);
    if !injects.is_empty() {
        sections.push(("injects", Value::Array(injects)));
    }
    sections.push(("expected", Value::Array(deeds.expected)));
    sections.push(("objectives", deeds.objectives));
    let mut text = head(night);
    for (key, tree) in sections {
        text.push_str(&value(&json!({key: tree})));
    }
    Ok(Written { text, gaps })
}

/// Whether the twins leave room for the rest in a file that can be read.
fn fits(twins: &Value) -> bool {
    fn nodes(tree: &Value) -> usize {
        1 + match tree {
            Value::Array(items) => items.iter().map(nodes).sum(),
            Value::Object(map) => map.values().map(|value| 1 + nodes(value)).sum(),
            _ => 0,
        }
    }
    nodes(twins) <= NODES_MAX * TWINS_SHARE / 4
        && value(&json!({ "twins": twins })).len() <= FILE_BYTES_MAX * TWINS_SHARE / 4
}

/// Cuts what answers list; how many rows, lines and texts were cut.
fn shorten(tree: &mut Value, most: usize) -> usize {
    match tree {
        Value::Array(items) => items.iter_mut().map(|item| shorten(item, most)).sum(),
        Value::Object(map) => {
            let mut cut = 0;
            for (key, value) in map {
                match (key.as_str(), &mut *value) {
                    ("rows" | "lines" | "samples" | "body", Value::Array(items)) => {
                        cut += items.len().saturating_sub(most);
                        items.truncate(most);
                    }
                    ("output", Value::String(text)) if text.len() > most * OUTPUT_BYTES_PER_ROW => {
                        let end = text.floor_char_boundary(most * OUTPUT_BYTES_PER_ROW);
                        *text = unfilled(&text[..end]);
                        cut += 1;
                    }
                    _ => {}
                }
                cut += shorten(value, most);
            }
            cut
        }
        _ => 0,
    }
}

/// The effects of the night in their order.
fn causes<'a>(
    night: &'a Night,
    proxies: &BTreeMap<String, Proxy>,
    today: &[&Runbook],
    gaps: &mut Gaps,
) -> Vec<(DateTime<Utc>, Cause<'a>)> {
    let mut causes: Vec<(DateTime<Utc>, Cause<'a>)> = Vec::new();
    let mut seen: BTreeSet<(String, String)> = BTreeSet::new();
    let mut done: Vec<&Asking> = night
        .asked
        .iter()
        .filter(|one| one.is_effect && one.is_done)
        .collect();
    done.sort_by_key(|one| one.sent_at);
    for asking in done {
        let target = &asking.request.target;
        let cause = match question(asking) {
            Some(question) => (question.words.clone(), Cause::Asked(asking, question)),
            None => match proxies.get(target).and_then(|proxy| proxy.done(asking)) {
                Some(condition) => (condition.clone(), Cause::Told(condition)),
                None => continue,
            },
        };
        if seen.insert((target.clone(), cause.0)) {
            causes.push((asking.sent_at, cause.1));
        }
    }
    for one in &night.observed {
        if let Seen::Deed(Deed::Manual { step }) = &one.seen
            && people::has_step(today, step, |kind| matches!(kind, StepKind::Manual { .. }))
            && seen.insert((String::new(), step.clone()))
        {
            causes.push((one.at, Cause::Hand(step)));
        }
    }
    causes.sort_by_key(|(at, _)| *at);
    gaps.keep("changes that were made to the world", EFFECTS_MAX, &mut causes);
    causes
}

/// The world: the clock of the night, which goes on with each effect, and the proxies.
fn world(causes: &[(DateTime<Utc>, Cause<'_>)], proxies: &BTreeMap<String, Proxy>, over: u64) -> Value {
    let mut state = Map::new();
    state.insert("at".to_owned(), json!(0));
    state.insert("unasked".to_owned(), json!("ready"));
    let mut always = Vec::new();
    for (number, (_, cause)) in causes.iter().enumerate() {
        let number = number as u64 + 1;
        let condition = match cause {
            Cause::Told(condition) => condition.clone(),
            Cause::Asked(..) | Cause::Hand(_) => {
                state.insert(format!("did_{number}"), json!(false));
                format!("night.did_{number}")
            }
        };
        let (from, to) = ((number - 1) * STRETCH, number * STRETCH);
        always.push(json!({
            "when": format!("night.at >= {from} and night.at < {to} and {condition}"), "set": {"night.at": to},
        }));
    }
    let mut services = Map::new();
    services.insert("night".to_owned(), json!({"state": state}));
    for proxy in proxies.values() {
        services.insert(proxy.service.clone(), proxy.state());
    }
    let mut world = json!({
        "services": services,
        "each_second": [{"set": {"night.at": "{{ night.at + 1 }}"}}],
        "mitigated": format!("t < 1 or night.at >= {over}"),
    });
    if !always.is_empty() {
        world["always"] = Value::Array(always);
    }
    world
}

/// What people did with their hands that night has its effect when it is done in the drill.
fn hands(causes: &[(DateTime<Utc>, Cause<'_>)]) -> Vec<Value> {
    let hand = |(number, (_, cause)): (usize, &(DateTime<Utc>, Cause<'_>))| match cause {
        Cause::Hand(step) => Some(json!({
            "id": format!("by-hand-{}", number + 1), "title": unfilled(&format!("Done by hand: {step}")),
            "when": format!("steps['{step}'] == 'succeeded'"), "set": {format!("night.did_{}", number + 1): true},
        })),
        _ => None,
    };
    causes.iter().enumerate().filter_map(hand).collect()
}

/// Each alert with the times at which it fired.
fn alarms(night: &Night, clock: &NightClock, gaps: &mut Gaps) -> Value {
    let mut by_labels: Vec<(&Labels, Vec<&FiredAlert>)> = Vec::new();
    for alert in &night.alerts {
        match by_labels.iter().position(|(labels, _)| **labels == alert.labels) {
            Some(known) => by_labels[known].1.push(alert),
            None => by_labels.push((&alert.labels, vec![alert])),
        }
    }
    gaps.keep("alerts", ALARMS_MAX, &mut by_labels);
    for (labels, firings) in &by_labels {
        let cut = firings.len().saturating_sub(FIRINGS_MAX);
        gaps.cut(&format!("firings of {}", title(labels)), FIRINGS_MAX, cut);
    }
    let alarm = |(labels, firings): (&Labels, Vec<&FiredAlert>)| {
        let fires: Vec<String> = firings
            .iter()
            .take(FIRINGS_MAX)
            .map(|alert| fires(alert, night, clock))
            .collect();
        let last = firings.last().map(|alert| &alert.annotations);
        let annotations: Map<String, Value> = last
            .iter()
            .flat_map(|annotations| &annotations.0)
            .filter(|(_, text)| !text.trim().is_empty())
            .map(|(name, text)| (name.clone(), json!(literal(text))))
            .collect();
        let mut plain: BTreeMap<String, String> = labels
            .0
            .iter()
            .map(|(name, text)| (name.clone(), unfilled(text)))
            .collect();
        plain
            .entry("alertname".to_owned())
            .or_insert_with(|| unfilled(&title(labels)));
        json!({"labels": plain, "annotations": annotations, "while": fires.join(" or ")})
    };
    by_labels.into_iter().map(alarm).collect()
}

/// When one firing is so: from its offset, and until as long after the same effect as that night.
fn fires(alert: &FiredAlert, night: &Night, clock: &NightClock) -> String {
    let begins = clock.moment(alert.fired_at).max(1);
    let ends = clock
        .moment(alert.ended_at.unwrap_or(night.resolved_at))
        .max(begins + 1);
    match begins < STRETCH {
        true => format!("t >= {begins} and night.at < {ends}"),
        false => format!("night.at >= {begins} and night.at < {ends}"),
    }
}

/// The targets that today's runbooks would ask about the alerts of that night.
fn asked_today(today: &[&Runbook], alerts: &[FiredAlert]) -> BTreeMap<String, ActionKind> {
    let mut asked = BTreeMap::new();
    for runbook in today {
        let contexts: Vec<Value> = alerts
            .iter()
            .filter_map(|alert| asked::context(runbook, &alert.labels))
            .collect();
        for step in runbook.all_steps() {
            let StepKind::Act(act) = &step.kind else { continue };
            for (request, _) in requests(act) {
                for name in asked::targets(step, request, &contexts) {
                    asked.entry(name).or_insert(request.action);
                }
            }
        }
    }
    asked
}

fn headline(night: &Night) -> String {
    let text = format!("INC-{} again: {}", night.incident, unfilled(&night.title));
    let line: Vec<&str> = text.split_whitespace().collect();
    line.join(" ").chars().take(TITLE_CHARS_MAX).collect()
}

fn summary(night: &Night, gaps: &[String]) -> String {
    let day = night.opened_at.format("%-d %B %Y");
    let mut text = format!(
        "Plays INC-{} of {day} again: its alerts come at their offsets, targets answer what they answered then.",
        night.incident
    );
    match gaps.len() {
        0 => {}
        1 => text.push_str(" One thing is not as it was: see the gap."),
        many => text.push_str(&format!(" {many} things are not as they were: see the gaps.")),
    }
    unfilled(&text)
}

fn brief(night: &Night, today: &[&Runbook]) -> String {
    let slugs: Vec<&str> = today.iter().map(|runbook| runbook.slug.as_str()).collect();
    let text = format!(
        "It is {}, UTC. You are on call, and the alerts of INC-{} are about to come: {}.\n\nWork with today's runbooks \
         ({}). Targets answer what they answered that night. A question that nobody asked then is refused with the words \
         \"not recorded in INC-{}\".",
        night.began_at().format("%A %-d %B %Y, %H:%M"),
        night.incident,
        unfilled(&night.title),
        slugs.join(", "),
        night.incident,
    );
    unfilled(&text)
}

/// What whoever opens the file should know.
fn head(night: &Night) -> String {
    format!(
        "# Made of INC-{}. night.at is the time of that night: each effect that was done adds {STRETCH}, each second after \
         it 1.\n# Times of people are those of the real night, but nobody is held to be faster than {WITHIN_MIN}.\n",
        night.incident
    )
}

/// Words of outside on one line, in which nothing is filled in.
fn plain(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    unfilled(&words.join(" "))
}

fn span(delta: TimeDelta) -> Span {
    // Whole seconds, upwards: what is compared with it is not cut short.
    Span::from_secs(delta.num_milliseconds().max(0).unsigned_abs().div_ceil(1000))
}

#[cfg(test)]
mod tests;
