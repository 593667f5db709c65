//! A delivery on its way: as it came, and read.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::spool::record::Record;
use crate::{
    intake::{self, Content, Delivery, Fault, Format, Reader, mapping::Mapping},
    pipeline::{Outcome, Post},
    store::sources::Source,
};

/// Labels, and annotations, of one alert at most: Alertmanager and Prometheus know dozens. More are no alert but an attack
/// on whoever shows it.
const LABELS_MAX: usize = 1000;

/// A delivery that can be applied.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// Who sent it.
    pub source: Arc<Source>,
    /// As it came.
    pub record: Record,
    /// What it says, group by group.
    pub groups: Vec<Delivery>,
    /// Alerts of it that cannot be used, and why; empty for most.
    pub remark: String,
}

/// What a sender is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is committed, and this followed.
    Stored(Outcome),
    /// It is on the disk and will be.
    Spooled,
    /// It is neither; the sender is asked to come again.
    Refused(String),
}

/// How the sender of a parcel hears of it.
#[derive(Debug)]
pub struct Receipt {
    /// Whether it is on the disk.
    pub spooled: oneshot::Receiver<bool>,
    /// What became of it.
    pub answer: oneshot::Receiver<Answer>,
}

/// A delivery, read as its source's settings say.
pub enum Letter {
    /// To be stored: what it says group by group, and the alerts of it that cannot be used.
    Groups(Vec<Delivery>, String),
    /// The sender asks for something else.
    Asks(Content),
}

/// Reads a delivery; a fault when nothing of it can be used.
pub fn read(source: &Source, record: &Record, format: Format) -> Result<Letter, Fault> {
    let settings = &source.settings;
    let is_mapped = matches!(format, Format::Generic | Format::Pubsub);
    let mapping: Option<Mapping> = match settings.mapping.as_ref().filter(|_| is_mapped) {
        Some(mapping) => Some(Mapping::read(mapping).map_err(|fault| Fault {
            place: String::new(),
            problem: format!("the mapping of the source cannot be used: {fault}"),
        })?),
        None => None,
    };
    let by_default: Vec<String> = intake::CORRELATE_BY.iter().map(ToString::to_string).collect();
    let reader = Reader {
        received_at: record.head.received_at,
        correlate_by: match settings.correlate_by.is_empty() {
            true => &by_default,
            false => &settings.correlate_by,
        },
        mapping: mapping.as_ref(),
    };
    let (groups, remark) = match intake::read(format, &record.body, &reader)? {
        Content::Alerts {
            mut groups,
            mut faults,
        } => {
            leave_out_vast(&mut groups, &mut faults);
            let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
            if groups.is_empty() {
                return Err(Fault {
                    place: String::new(),
                    problem: told.join("; "),
                });
            }
            (groups, told.join("; "))
        }
        Content::Nothing(why) => (Vec::new(), why.to_owned()),
        asked @ Content::Confirm { .. } => return Ok(Letter::Asks(asked)),
    };
    let groups_itself = matches!(format, Format::Alertmanager | Format::Grafana);
    let groups = match groups_itself && !settings.correlate_by.is_empty() {
        true => intake::regroup(groups, &settings.correlate_by),
        false => groups,
    };
    Ok(Letter::Groups(groups, remark))
}

/// Leaves out alerts with more labels than anybody could read, and says so.
fn leave_out_vast(groups: &mut Vec<Delivery>, faults: &mut Vec<Fault>) {
    for group in groups.iter_mut() {
        group.alerts.retain(|alert| {
            let (labels, annotations) = (alert.labels.0.len(), alert.annotations.0.len());
            let is_readable = labels.max(annotations) <= LABELS_MAX;
            if !is_readable {
                faults.push(Fault {
                    place: String::new(),
                    problem: format!(
                        "an alert with {labels} labels and {annotations} annotations, of which each may have {LABELS_MAX}"
                    ),
                });
            }
            is_readable
        });
    }
    if !faults.is_empty() {
        groups.retain(|group| !group.alerts.is_empty());
    }
}

impl Parcel {
    /// As the pipeline takes it.
    pub fn as_post(&self) -> Post<'_> {
        Post {
            source: &self.source,
            raw: self.record.as_new(),
            groups: &self.groups,
            remark: &self.remark,
        }
    }

    /// How many alerts it reports.
    pub fn alerts(&self) -> usize {
        self.groups.iter().map(|group| group.alerts.len()).sum()
    }

    /// About how much memory it takes, in bytes: a body read takes several times its length.
    pub fn weight(&self) -> usize {
        4 * self.record.body.len() + 1024
    }
}
