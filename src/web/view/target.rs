//! One target. Of an address only host and port are shown, since the rest of it may hold a secret
//! that was put there by mistake; of credentials only their references.

use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};

use super::{
    circuit::CircuitPart,
    format,
    layout::Frame,
    parts::{At, Badge, Hidden, Said, at, hidden, said},
    text,
};
use crate::{
    domain::{
        breaker::{BreakerState, PROBE_EVERY},
        program::Program,
        step::{Step, StepKind},
        target::{Connection, HttpConnection, SecretRef, Target},
    },
    execute::rehearse::touch::{Found, Touch},
    store::{breakers::Breaker, calls::Call, locks::Holder, openings::Opening, runbooks::Version},
};

/// How far back the history of a circuit is drawn.
pub const HISTORY: TimeDelta = TimeDelta::days(7);
/// How wide the strip of a history is drawn, in units of its own.
const STRIP: i64 = 1000;
/// The narrowest mark that can be seen.
const MARK_MIN: i64 = 3;
/// Times in which it was open that are listed below the strip.
const LISTED_MAX: usize = 10;
/// Characters of what was sent that are shown of one call.
const COMMAND_CHARS_MAX: usize = 200;

/// The page of the target of that name.
pub fn page_of(name: &str) -> String {
    let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
    format!("/settings/targets/{name}")
}

/// What a page of one target is made of.
pub struct TargetFacts<'a> {
    /// What runbooks call it.
    pub name: &'a str,
    /// What the file says of it now.
    pub target: Option<&'a Target>,
    /// Its circuit, unless nothing failed lately.
    pub breaker: Option<Breaker>,
    /// When that was open.
    pub openings: Vec<Opening>,
    /// The run that holds the lock of its name.
    pub holder: Option<Holder>,
    /// What was sent to it lately.
    pub calls: Vec<Call>,
    /// The runbooks in use.
    pub runbooks: Vec<Version>,
    /// What came of asking it just now.
    pub touched: Option<Touched>,
    /// Whether this person may ask it.
    pub may_touch: bool,
    /// Whether this person may close its circuit.
    pub may_release: bool,
    /// Whether this person may hold it open.
    pub may_hold: bool,
}

/// What came of asking it.
#[derive(Clone, Debug)]
pub struct Touched {
    badge: Badge,
    words: Said,
    took: String,
}

impl Touched {
    /// In words.
    pub fn of(touch: &Touch) -> Self {
        let (badge, words) = match &touch.found {
            Found::Answers(summary) => (Badge::new("done", "check", "It answers"), summary.as_str()),
            Found::NoQuestion => (
                Badge::new("quiet", "circle-open", "Credentials can be read"),
                "There is no question to it that surely changes nothing, so it was not asked.",
            ),
            Found::NoCredential(missing) => (
                Badge::new("sev1", "cross", "A credential is missing"),
                missing.as_str(),
            ),
            Found::Silent(why) => (Badge::new("sev1", "cross", "It does not answer"), why.as_str()),
        };
        Self {
            badge,
            words: said(words),
            took: format::length(TimeDelta::milliseconds(touch.took_ms as i64)),
        }
    }
}

/// One target.
#[derive(Clone, Debug, Template)]
#[template(path = "target/show.html")]
pub struct TargetPage {
    frame: Frame,
    name: String,
    is_gone: bool,
    kind: &'static str,
    facts: Vec<(&'static str, Vec<Said>)>,
    circuit: CircuitPart,
    is_open: bool,
    is_by_hand: bool,
    may_hold: bool,
    strip: Vec<Mark>,
    history: String,
    openings: Vec<OpeningRow>,
    holder: Option<(String, String, bool)>,
    calls: Vec<CallRow>,
    used_by: Vec<(String, String)>,
    touched: Option<Touched>,
    may_touch: bool,
    may_release: bool,
}

/// A time on the strip of its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    x: i64,
    width: i64,
}

#[derive(Clone, Debug)]
struct OpeningRow {
    at: At,
    lasted: String,
    reason: Said,
}

#[derive(Clone, Debug)]
struct CallRow {
    at: At,
    badge: Badge,
    run: String,
    incident: String,
    step: Said,
    command: Said,
    summary: Said,
    took: Option<String>,
}

impl CallRow {
    fn of(call: &Call, now: DateTime<Utc>) -> Self {
        let badge = match call.state.as_str() {
            "succeeded" => Badge::new("done", "check", "Done"),
            "failed" => Badge::new("sev1", "cross", "Failed"),
            "unknown" => Badge::new("unknown", "question", "Outcome unknown"),
            "interrupted" => Badge::new("quiet", "barred", "Cut off"),
            _ => Badge::new("running", "play", "Under way"),
        };
        let took = |finished: DateTime<Utc>| format::length(finished - call.started_at);
        Self {
            at: at(call.started_at, now),
            badge,
            run: call.run.to_string(),
            incident: call.incident.to_string(),
            step: said(&call.step),
            command: said(&text::cut(&call.command, COMMAND_CHARS_MAX)),
            summary: said(call.summary.as_deref().unwrap_or("")),
            took: call.finished_at.map(took),
        }
    }
}

fn strip(openings: &[Opening], now: DateTime<Utc>) -> Vec<Mark> {
    let begin = now - HISTORY;
    let place = |at: DateTime<Utc>| {
        (at.clamp(begin, now) - begin).num_seconds() * STRIP / HISTORY.num_seconds().max(1)
    };
    openings
        .iter()
        .map(|opening| {
            let (x, end) = (place(opening.opened_at), place(opening.closed_at.unwrap_or(now)));
            Mark {
                x: x.min(STRIP - MARK_MIN),
                width: (end - x).max(MARK_MIN),
            }
        })
        .collect()
}

fn history(openings: &[Opening], now: DateTime<Utc>) -> String {
    let begin = now - HISTORY;
    let lasted = openings.iter().fold(TimeDelta::zero(), |sum, opening| {
        sum + (opening.closed_at.unwrap_or(now) - opening.opened_at.max(begin)).max(TimeDelta::zero())
    });
    match openings.len() {
        0 => "Not open in the last 7 days.".to_owned(),
        n => format!(
            "Open {} in the last 7 days, {} in all.",
            format::count(n as i64, "time", "times"),
            format::length(lasted)
        ),
    }
}

fn web(connection: &HttpConnection) -> String {
    let url = &connection.url;
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) => format!("{} {host}:{port}", url.scheme()),
        None => format!("{} {host}", url.scheme()),
    }
}

/// Where it is, without what may hold a secret.
fn place(connection: &Connection) -> Vec<String> {
    match connection {
        Connection::Http(one)
        | Connection::Prometheus(one)
        | Connection::Loki(one)
        | Connection::Elasticsearch(one) => vec![web(one)],
        Connection::Alertmanager(cluster) => cluster.nodes.iter().map(web).collect(),
        Connection::Tcp { address } | Connection::Haproxy { address } => vec![address.clone()],
        Connection::Postgres(database) => vec![format!("{}:{}", database.host, database.port)],
        Connection::File { path } => vec![path.clone()],
        Connection::Command(command) => {
            let name = |program: &Program| program.name.clone().unwrap_or_else(|| program.path.clone());
            command.programs.iter().map(name).collect()
        }
    }
}

fn facts(target: &Target) -> Vec<(&'static str, Vec<Said>)> {
    let texts = |texts: Vec<String>| texts.iter().map(|text| said(text)).collect::<Vec<Said>>();
    let references = |refs: Vec<&SecretRef>| texts(refs.into_iter().cloned().map(String::from).collect());
    let what = match target.connection {
        Connection::Command(_) => "Programs",
        Connection::File { .. } => "File",
        _ => "Address",
    };
    let labels = target
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let networks = target.networks.iter().map(ToString::to_string);
    let faults = target.faults.iter();
    let faults = faults
        .map(|(name, fault)| format!("{name}: {}, for at most {}", fault.harm.kind(), fault.stands_max));
    let mut facts = vec![
        (what, texts(place(&target.connection))),
        ("Environment", texts(target.environment.iter().cloned().collect())),
        ("Labels", texts(labels.collect())),
        ("Credentials, by reference", references(target.secrets())),
        ("Certificates", references(target.certificates())),
        ("Networks it may lead to", texts(networks.collect())),
        (
            "Longest action",
            texts(vec![format!("{}, whatever a step says", target.timeout_max)]),
        ),
    ];
    facts.push(("Faults that game days may cause", texts(faults.collect())));
    facts.retain(|(_, values)| !values.is_empty());
    facts
}

/// Whether anything of a step names that target as written.
fn names(step: &Step, target: &str) -> bool {
    let StepKind::Act(act) = &step.kind else {
        return false;
    };
    let probe = act.verify.as_ref().map(|probe| &probe.request);
    let undo = act.undo.as_ref().map(|undo| &undo.request);
    let mut requests = [Some(&act.request), probe, undo].into_iter().flatten();
    requests.any(|request| request.target_source() == Some(target))
}

impl TargetPage {
    /// The page.
    pub fn of(frame: Frame, facts_of: TargetFacts<'_>, now: DateTime<Utc>) -> Self {
        let TargetFacts {
            name,
            target,
            breaker,
            openings,
            holder,
            calls,
            runbooks,
            touched,
            may_touch,
            may_release,
            may_hold,
        } = facts_of;
        let uses = |version: &&Version| version.runbook.all_steps().any(|step| names(step, name));
        Self {
            frame,
            name: name.to_owned(),
            is_gone: target.is_none(),
            kind: target.map_or("", |target| target.kind().name()),
            facts: target.map(facts).unwrap_or_default(),
            circuit: CircuitPart::of(breaker.as_ref(), now),
            is_open: breaker
                .as_ref()
                .is_some_and(|breaker| !matches!(breaker.state, BreakerState::Closed { .. })),
            is_by_hand: breaker
                .as_ref()
                .is_some_and(|breaker| matches!(breaker.state, BreakerState::ByHand { .. })),
            may_hold: may_hold && target.is_some(),
            strip: strip(&openings, now),
            history: history(&openings, now),
            openings: openings
                .iter()
                .take(LISTED_MAX)
                .map(|opening| OpeningRow {
                    at: at(opening.opened_at, now),
                    lasted: match opening.closed_at {
                        Some(closed) => format!("for {}", format::length(closed - opening.opened_at)),
                        None => "still".to_owned(),
                    },
                    reason: said(&opening.reason),
                })
                .collect(),
            holder: holder.map(|holder| {
                (
                    holder.run.to_string(),
                    holder.incident.to_string(),
                    holder.is_in_line,
                )
            }),
            calls: calls.iter().map(|call| CallRow::of(call, now)).collect(),
            used_by: runbooks
                .iter()
                .filter(uses)
                .map(|version| (version.runbook.slug.clone(), version.runbook.title.clone()))
                .collect(),
            touched,
            may_touch,
            may_release,
        }
    }

    fn hidden(&self) -> Hidden {
        hidden(None)
    }

    fn probe_every(&self) -> String {
        PROBE_EVERY.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strip_shows_even_what_was_short_and_never_more_than_a_week() {
        let now: DateTime<Utc> = "2026-11-21T03:12:07Z".parse().unwrap();
        let opening = |before: TimeDelta, lasted: Option<TimeDelta>| Opening {
            opened_at: now - before,
            closed_at: lasted.map(|lasted| now - before + lasted),
            reason: "refused".to_owned(),
        };
        let openings = [
            opening(TimeDelta::seconds(1), None),
            opening(TimeDelta::hours(84), Some(TimeDelta::hours(42))),
            opening(TimeDelta::days(9), Some(TimeDelta::days(3))),
        ];
        let marks = strip(&openings, now);
        assert_eq!(marks[0], Mark { x: 997, width: 3 });
        assert_eq!(marks[1], Mark { x: 500, width: 250 });
        assert_eq!(marks[2], Mark { x: 0, width: 142 });
        assert_eq!(
            history(&openings, now),
            "Open 3 times in the last 7 days, 2 d 18 h in all."
        );
    }
}
