//! The same bodies over the desk alone, all in one batch and without a database, so that thousands of them take a moment.
//! What timers do, and what hangs on when they fire, is left to the run over Postgres.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use muster::{
    correlate::{
        self,
        change::{Effect, GroupName},
        desk::Desk,
        known::{AlertNow, Home, Known},
    },
    domain::{
        id::{AlertId, SourceId},
        operator::Actor,
    },
};

use super::{
    bodies::{Body, Senders},
    cases,
    model::Model,
};
use crate::support::intake::unflapping;

const CASES: u64 = 2000;
const BODIES: usize = 12;
const SOURCE: SourceId = SourceId(1);

fn bodies(seed: u64, now: DateTime<Utc>) -> Vec<Body> {
    let mut senders = Senders::new(seed);
    (0..BODIES)
        .filter_map(|n| senders.next(now + TimeDelta::seconds(5 * n as i64)))
        .collect()
}

/// What is known of alerts that nobody has heard of, in groups that nobody has heard of.
fn nothing(bodies: &[Body]) -> (Known, BTreeMap<AlertId, String>) {
    let mut known = Known {
        rules: Some(Arc::default()),
        ..Known::default()
    };
    let mut names = BTreeMap::new();
    for body in bodies {
        let group = &body.group;
        known
            .groups
            .insert(correlate::key(SOURCE, &group.receiver, &group.group_key), None);
        for report in &group.alerts {
            let next = AlertId(known.alerts.len() as i64 + 1);
            let alert = known
                .alerts
                .entry((SOURCE, report.fingerprint))
                .or_insert(AlertNow {
                    id: next,
                    last_received_at: DateTime::UNIX_EPOCH,
                    episode: None,
                });
            names.insert(alert.id, report.title());
        }
    }
    (known, names)
}

#[test]
fn the_desk_alone_judges_as_the_rules_do() {
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    for seed in 0..cases(CASES) {
        let bodies = bodies(seed, now);
        let (known, names) = nothing(&bodies);
        let mut desk = Desk::new(known, unflapping(), now);
        let mut model = Model::default();
        for body in &bodies {
            let group = &body.group;
            let name = GroupName {
                source: SOURCE,
                receiver: &group.receiver,
                group_key: &group.group_key,
                key: correlate::key(SOURCE, &group.receiver, &group.group_key),
                truncated: group.truncated,
            };
            let mut effect = Effect::default();
            desk.take(
                name,
                &Actor::Automation,
                &group.alerts,
                body.received_at,
                &mut effect,
            );
            model.hear(group, body.received_at, now);
        }
        assert!(desk.missing.is_empty(), "seed {seed}");
        let mut judged: Vec<String> = desk
            .episodes
            .iter()
            .map(|episode| {
                let Some(Home::New(home)) = episode.home else {
                    panic!("seed {seed}: no incident existed")
                };
                Model::brief(
                    &names[&episode.alert],
                    desk.opened[home].group.group_key,
                    episode.starts_at,
                    episode.now.ends_at,
                    episode.now.refire_due.is_some(),
                )
            })
            .collect();
        judged.sort();
        assert_eq!(judged, model.briefs(), "seed {seed}: {bodies:#?}");
    }
}
