//! The counter: where a delivery of a known source is handed in, whoever brings it: a sender, a person who sends one again,
//! or a test. There is one way from here on, and each stage of it can be shown.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Receiver,
    notary::Found,
    parcel::{self, Answer, Letter, Parcel},
    silence::in_time,
    spool::record::Record,
};
use crate::{
    domain::{alert::AlertStatus, id::DeliveryId},
    intake::{Content, Fault, Format},
    pipeline::Outcome,
    store::{
        StoreError,
        deliveries::{self, NewDelivery},
        sources::Source,
    },
};

/// Fingerprints that a stage names.
const NAMED_MAX: usize = 3;

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is committed, and this followed; the remark is on alerts of it that cannot be used.
    Stored(Outcome, String),
    /// It is on the disk and will be.
    Spooled,
    /// It held no alert and is done: a subscription was confirmed.
    Understood(DeliveryId, String),
    /// It is not signed as its source asks.
    Unsigned(String),
    /// It can never be used; kept, with the place of the fault.
    Unusable(DeliveryId, Fault),
    /// Nothing was kept, or not all of it done; it may come again.
    Refused(String),
}

/// How a stage went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Went {
    /// As it should.
    Well,
    /// Not so.
    Badly,
    /// It was left out, and says why.
    LeftOut,
}

/// One stage of the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Its name.
    pub name: &'static str,
    /// How it went.
    pub went: Went,
    /// How long it took; `None` for one that is not timed.
    pub took: Option<Duration>,
    /// What came of it.
    pub said: String,
}

/// A delivery that was handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// What became of it.
    pub verdict: Verdict,
    /// The stages it went through, in order.
    pub stages: Vec<Stage>,
}

impl Handed {
    /// What keeps it as it came, when that is known already.
    pub fn delivery(&self) -> Option<DeliveryId> {
        match &self.verdict {
            Verdict::Stored(outcome, _) => outcome.delivery,
            Verdict::Understood(id, _) | Verdict::Unusable(id, _) => Some(*id),
            Verdict::Spooled | Verdict::Unsigned(_) | Verdict::Refused(_) => None,
        }
    }
}

/// Writes down the stages.
struct Way {
    stages: Vec<Stage>,
    since: Instant,
}

impl Way {
    fn stage(&mut self, name: &'static str, went: Went, said: impl Into<String>) {
        let now = Instant::now();
        self.stages.push(Stage {
            name,
            went,
            took: Some(now - self.since),
            said: said.into(),
        });
        self.since = now;
    }

    fn ends(self, verdict: Verdict) -> Handed {
        Handed {
            verdict,
            stages: self.stages,
        }
    }
}

impl Receiver {
    /// Takes a delivery of a source that is known to have sent it: checks Amazon's signature where there is one, reads it,
    /// keeps what cannot be used as rejected, and takes the rest to the disk and the database. `turn` is given back once
    /// it is read: whoever waits for the disk or the database keeps nobody else from being read.
    pub async fn hand_in<T>(&self, source: Arc<Source>, format: Format, record: Record, turn: T) -> Handed {
        let mut way = Way {
            stages: Vec::new(),
            since: Instant::now(),
        };
        if format == Format::Sns {
            match self.signature(&source, &record, &mut way).await {
                None => {}
                Some(verdict) => return way.ends(verdict),
            }
        }
        let letter = parcel::read(&source, &record, format);
        drop(turn);
        match letter {
            Ok(Letter::Groups(groups, remark)) => {
                let parcel = Parcel {
                    source,
                    record,
                    groups,
                    remark,
                };
                way.stage("Read", Went::Well, read(&parcel));
                self.store(parcel, way).await
            }
            Ok(Letter::Asks(asked)) => {
                let verdict = self.answer(&source, &record, asked, &mut way).await;
                way.ends(verdict)
            }
            Err(fault) => {
                way.stage("Read", Went::Badly, fault.to_string());
                let kept = self.reject(&source, record.as_new(), &fault.to_string()).await;
                match kept {
                    Ok(delivery) => {
                        way.stage("Kept", Went::Well, format!("as rejected delivery {delivery}"));
                        way.ends(Verdict::Unusable(delivery, fault))
                    }
                    Err(error) => way.ends(not_stored(&error)),
                }
            }
        }
    }

    async fn signature(&self, source: &Source, record: &Record, way: &mut Way) -> Option<Verdict> {
        if record.head.is_test {
            let said = "left out: only Amazon can sign, and Muster made this body itself";
            way.stage("Signature", Went::LeftOut, said);
            return None;
        }
        match self.notary.check(source, &record.body).await {
            Found::Right => {
                way.stage("Signature", Went::Well, "Amazon's");
                None
            }
            Found::Wrong(why) => {
                way.stage("Signature", Went::Badly, why.clone());
                Some(Verdict::Unsigned(why))
            }
            Found::Unknown(why) => {
                tracing::warn!(source = source.name, why, "a signature cannot be checked now");
                way.stage("Signature", Went::Badly, why.clone());
                Some(Verdict::Refused(why))
            }
        }
    }

    async fn store(&self, parcel: Parcel, mut way: Way) -> Handed {
        let remark = parcel.remark.clone();
        let began = way.since;
        let taken = self.take_timed(parcel).await;
        if let Some(took) = taken.spooled_after {
            way.stages.push(Stage {
                name: "Spooled",
                went: Went::Well,
                took: Some(took),
                said: "on this machine's disk, synced".to_owned(),
            });
            way.since = began + took;
        }
        let verdict = match taken.answer {
            Answer::Stored(outcome) => {
                let said = match outcome.delivery {
                    Some(delivery) => format!("committed, as delivery {delivery}"),
                    None => "committed".to_owned(),
                };
                way.stage("Stored", Went::Well, said);
                Verdict::Stored(outcome, remark)
            }
            Answer::Spooled => {
                way.stage(
                    "Stored",
                    Went::LeftOut,
                    "not yet: the database did not answer in time; it is stored as soon as that does",
                );
                Verdict::Spooled
            }
            Answer::Refused(why) => {
                way.stage("Stored", Went::Badly, why.clone());
                Verdict::Refused(why)
            }
        };
        way.ends(verdict)
    }

    /// Does what a sender asks for that sent no alerts.
    async fn answer(&self, source: &Source, record: &Record, asked: Content, way: &mut Way) -> Verdict {
        let Content::Confirm { url } = asked else {
            return Verdict::Refused("nothing to store".to_owned());
        };
        way.stage("Read", Went::Well, "the sender asks to be confirmed");
        let confirmed = self.notary.confirm(&url).await;
        let kept = match &confirmed {
            Ok(()) => {
                let remark = "the subscription is confirmed: its messages come from now on";
                way.stage("Confirmed", Went::Well, remark);
                self.understand(source, record.as_new(), remark).await
            }
            Err(why) => {
                let reason = format!(
                    "the sender asks to be confirmed, and its address does not answer: {why}. Send it again, or open {url}"
                );
                way.stage("Confirmed", Went::Badly, why.as_str());
                self.reject(source, record.as_new(), &reason).await
            }
        };
        match (kept, confirmed) {
            (Ok(delivery), Ok(())) => Verdict::Understood(delivery, "subscription confirmed".to_owned()),
            (Ok(_), Err(why)) => Verdict::Refused(format!("not confirmed: {why}")),
            (Err(error), _) => not_stored(&error),
        }
    }

    async fn reject(
        &self,
        source: &Source,
        new: NewDelivery<'_>,
        reason: &str,
    ) -> Result<DeliveryId, StoreError> {
        in_time(async {
            let mut conn = self.pool.acquire().await?;
            deliveries::insert_rejected(&mut conn, source.id, new, reason).await
        })
        .await
    }

    async fn understand(
        &self,
        source: &Source,
        new: NewDelivery<'_>,
        remark: &str,
    ) -> Result<DeliveryId, StoreError> {
        in_time(async {
            let mut conn = self.pool.acquire().await?;
            deliveries::insert_understood(&mut conn, source.id, new, remark).await
        })
        .await
    }
}

/// What was read, in words.
fn read(parcel: &Parcel) -> String {
    let alerts = parcel.groups.iter().flat_map(|group| &group.alerts);
    let named: Vec<String> = alerts
        .take(NAMED_MAX)
        .map(|alert| {
            let status = match alert.status {
                AlertStatus::Firing => "firing",
                AlertStatus::Resolved => "resolved",
            };
            format!("{} {status}", alert.fingerprint)
        })
        .collect();
    let more = if parcel.alerts() > named.len() {
        ", …"
    } else {
        ""
    };
    let remark = match parcel.remark.as_str() {
        "" => String::new(),
        remark => format!("; {remark}"),
    };
    match parcel.alerts() {
        0 => format!("no alert{remark}"),
        1 => format!("1 alert: {}{remark}", named.join(", ")),
        n => format!("{n} alerts: {}{more}{remark}", named.join(", ")),
    }
}

/// Every fault of ours is one after which the sender comes again.
fn not_stored(error: &StoreError) -> Verdict {
    if !error.is_unavailable() && !error.is_conflict() {
        tracing::error!(
            error = error as &dyn std::error::Error,
            "a delivery could not be stored"
        );
    }
    Verdict::Refused("not stored; send it again".to_owned())
}
