//! The list of targets.

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    circuit::CircuitPart,
    format,
    layout::Frame,
    parts::{At, Said, at, said},
};
use crate::{
    domain::{
        breaker::BreakerState,
        target::{Target, Targets},
    },
    store::{breakers::Breaker, locks::HeldLock},
};

/// The list.
#[derive(Clone, Debug, Template)]
#[template(path = "target/list.html")]
pub struct TargetsPage {
    frame: Frame,
    /// Those to which nothing is sent.
    held: Vec<TargetRow>,
    rows: Vec<TargetRow>,
    total: usize,
    /// The name after which there are more.
    after: Option<String>,
    is_later: bool,
}

/// One target.
#[derive(Clone, Debug)]
struct TargetRow {
    name: String,
    kind: &'static str,
    environment: Said,
    circuit: CircuitPart,
    /// The run that holds it.
    holder: Option<(String, At)>,
    credentials: String,
    /// Its circuit is known, but the file names it no more.
    is_gone: bool,
}

impl TargetRow {
    fn of(
        name: &str,
        target: Option<&Target>,
        breaker: Option<&Breaker>,
        locks: &[HeldLock],
        now: DateTime<Utc>,
    ) -> Self {
        let lock = locks.iter().find(|lock| lock.lock == name);
        let credentials = target.map_or(0, |target| target.secrets().len());
        Self {
            name: name.to_owned(),
            kind: target.map_or("", |target| target.kind().name()),
            environment: said(
                target
                    .and_then(|target| target.environment.as_deref())
                    .unwrap_or(""),
            ),
            circuit: CircuitPart::of(breaker, now),
            holder: lock.map(|lock| (lock.run.to_string(), at(lock.since, now))),
            credentials: match credentials {
                0 => "no credential".to_owned(),
                n => format::count(n as i64, "credential", "credentials"),
            },
            is_gone: target.is_none(),
        }
    }
}

impl TargetsPage {
    /// The targets after that name, `rows_max` of them, and on top those to which nothing is sent.
    pub fn of(
        frame: Frame,
        targets: &Targets,
        breakers: &[Breaker],
        locks: &[HeldLock],
        after: &str,
        rows_max: usize,
        now: DateTime<Utc>,
    ) -> Self {
        let breaker_of = |name: &str| breakers.iter().find(|breaker| breaker.target == name);
        let row = |name: &str| TargetRow::of(name, targets.0.get(name), breaker_of(name), locks, now);
        let is_held = |breaker: &&Breaker| !matches!(breaker.state, BreakerState::Closed { .. });
        let mut names = targets.0.keys().filter(|name| name.as_str() > after);
        let rows: Vec<TargetRow> = names.by_ref().take(rows_max).map(|name| row(name)).collect();
        let has_more = names.next().is_some();
        Self {
            frame,
            held: breakers
                .iter()
                .filter(is_held)
                .map(|breaker| row(&breaker.target))
                .collect(),
            after: rows.last().filter(|_| has_more).map(|row| row.name.clone()),
            rows,
            total: targets.0.len(),
            is_later: !after.is_empty(),
        }
    }

    fn count(&self) -> String {
        format::count(self.total as i64, "target", "targets")
    }
}
