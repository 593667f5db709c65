//! What two senders may say about five alerts, and when: true words, repeated ones, late ones and wrong ones.

use chrono::{DateTime, TimeDelta, Utc};
use muster::{
    domain::{
        alert::{AlertReport, AlertStatus},
        labels::Labels,
    },
    intake::Delivery,
};

const ALERTS: usize = 5;
const GROUPS: usize = 2;
/// How long Prometheus' word lasts by default.
const LEASE: TimeDelta = TimeDelta::minutes(4);

/// One body, and when it arrived.
#[derive(Clone, Debug)]
pub struct Body {
    pub received_at: DateTime<Utc>,
    pub group: Delivery,
}

/// A stretch of time in which an alert fired.
#[derive(Clone, Copy, Debug)]
struct Truth {
    start: DateTime<Utc>,
    end: Option<DateTime<Utc>>,
}

/// Two senders that watch the same alerts; they began to watch at different times and do not always agree.
pub struct Senders {
    rng: fastrand::Rng,
    /// As of Prometheus itself: what it says lasts for a while and must be renewed.
    has_leases: bool,
    truths: [Vec<Truth>; ALERTS],
    said: Vec<Body>,
}

impl Senders {
    pub fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        Self {
            has_leases: rng.u8(0..3) == 0,
            rng,
            truths: Default::default(),
            said: Vec::new(),
        }
    }

    /// What arrives next; now and then nothing does.
    pub fn next(&mut self, now: DateTime<Utc>) -> Option<Body> {
        self.turn(now);
        let late = if self.rng.u8(0..8) == 0 {
            self.rng.i64(1..90)
        } else {
            0
        };
        let received_at = now - TimeDelta::seconds(late);
        let body = match self.rng.u8(0..10) {
            0 => return None,
            1 | 2 if !self.said.is_empty() => {
                let again = self.rng.choice(&self.said)?.clone();
                Body {
                    received_at,
                    group: reread(again.group, received_at),
                }
            }
            _ => self.speak(received_at),
        };
        (!body.group.alerts.is_empty()).then(|| {
            self.said.push(body.clone());
            body
        })
    }

    /// The world goes on.
    fn turn(&mut self, now: DateTime<Utc>) {
        for truths in &mut self.truths {
            let begin = |rng: &mut fastrand::Rng| Truth {
                // In the far future now and then: a clock of a sender was wrong.
                start: match rng.u8(0..40) {
                    0 => now + TimeDelta::days(365),
                    _ => now - TimeDelta::seconds(rng.i64(0..20)),
                },
                end: None,
            };
            let choice = self.rng.u8(0..6);
            match truths.last_mut() {
                None if choice < 2 => truths.push(begin(&mut self.rng)),
                Some(truth) if truth.end.is_none() && choice < 2 => {
                    truth.end = Some(now - TimeDelta::seconds(self.rng.i64(0..10)));
                }
                Some(truth) if truth.end.is_some() && choice == 0 => truths.push(begin(&mut self.rng)),
                // It never stopped after all: the same start again.
                Some(truth) if truth.end.is_some() && choice == 1 => truth.end = None,
                _ => {}
            }
        }
    }

    /// A body about some alerts, mostly true, by one of the senders.
    fn speak(&mut self, sent_at: DateTime<Utc>) -> Body {
        let rng = &mut self.rng;
        let is_second = rng.bool();
        let mut alerts: Vec<AlertReport> = Vec::new();
        for (number, truths) in self.truths.iter().enumerate() {
            let Some(latest) = truths.last().filter(|_| rng.u8(0..4) > 0) else {
                continue;
            };
            // An old stretch, or one that the sender has not seen end, now and then.
            let truth = match rng.u8(0..10) {
                0 => rng.choice(truths).unwrap_or(latest),
                _ => latest,
            };
            let lag = TimeDelta::seconds(if is_second { 3 } else { 0 });
            let restart = match rng.u8(0..12) {
                0 => TimeDelta::seconds(rng.i64(1..40)),
                _ => TimeDelta::zero(),
            };
            let ends_at = truth.end.map(|end| end + lag).filter(|_| rng.u8(0..8) > 0);
            let labels = Labels::from([("alertname", format!("A{number}").as_str())]);
            alerts.push(AlertReport {
                fingerprint: labels.fingerprint(),
                status: match ends_at {
                    Some(_) => AlertStatus::Resolved,
                    None => AlertStatus::Firing,
                },
                labels,
                annotations: Labels::default(),
                starts_at: truth.start + lag + restart,
                ends_at,
                lease_until: (self.has_leases && ends_at.is_none()).then(|| sent_at + LEASE),
                generator_url: String::new(),
            });
        }
        alerts.sort_by_key(|alert| alert.fingerprint);
        Body {
            received_at: sent_at,
            group: Delivery {
                receiver: "r".to_owned(),
                group_key: format!("g{}", rng.usize(0..GROUPS)),
                truncated: if rng.u8(0..60) == 0 { 2 } else { 0 },
                alerts,
            },
        }
    }
}

/// A body that comes again: what should have been renewed since reads as over.
fn reread(mut group: Delivery, received_at: DateTime<Utc>) -> Delivery {
    for alert in &mut group.alerts {
        if let Some(lease) = alert.lease_until.filter(|lease| *lease <= received_at) {
            alert.status = AlertStatus::Resolved;
            (alert.ends_at, alert.lease_until) = (Some(lease), None);
        }
    }
    group
}
