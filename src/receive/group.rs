//! A group of batches on its way to the database, and how far into their spool each part of it reaches.

use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    backlog::Spooled,
    parcel::{Answer, Parcel},
};
use crate::{pipeline::Outcome, store::spool_marks::Mark};

/// A parcel with its place in the spool.
pub struct Placed {
    /// The parcel.
    pub parcel: Parcel,
    /// Its batch, and its place in that, from 0; `None` when it is not on the disk.
    pub place: Option<Mark>,
    /// Whom to tell; `None` when nobody waits.
    pub answer: Option<oneshot::Sender<Answer>>,
    /// Why it is kept as rejected and not applied.
    pub fault: Option<String>,
}

impl Placed {
    /// Tells its sender, if one still waits.
    pub fn tell(&mut self, answer: Answer) {
        if let Some(sender) = self.answer.take() {
            let _ = sender.send(answer);
        }
    }

    /// Whether it is neither on the disk nor waited for: its sender was told to come again.
    fn is_abandoned(&self) -> bool {
        self.place.is_none() && self.answer.as_ref().is_none_or(oneshot::Sender::is_closed)
    }
}

/// A group of batches that are applied together, in pieces when that is too much at once.
#[derive(Default)]
pub struct Group {
    /// The process start that wrote them.
    pub epoch: Option<Uuid>,
    /// What is left to be applied, in order.
    pub parcels: Vec<Placed>,
    /// Their files.
    pub files: Vec<Spooled>,
    /// Those that cannot be read whole.
    pub damaged: Vec<Spooled>,
    /// Where the mark stands when all of it is applied.
    pub end: Mark,
    /// Whether all of it is.
    pub is_applied: bool,
}

impl Group {
    /// Whether there is anything in it.
    pub fn is_empty(&self) -> bool {
        self.parcels.is_empty() && self.files.is_empty() && self.damaged.is_empty()
    }

    /// How many of the next `most` parcels go together: one that is to be rejected goes alone.
    pub fn stretch(&mut self, most: usize) -> usize {
        self.parcels.retain(|placed| !placed.is_abandoned());
        let good = self.parcels.iter().take_while(|placed| placed.fault.is_none());
        let good = good.count();
        match good {
            0 => self.parcels.len().min(1),
            good => good.min(most),
        }
    }

    /// Where the mark stands when the next `count` parcels are applied: before the one after them in its batch, or behind
    /// the batch of the last of them.
    pub fn mark_after(&self, count: usize) -> Mark {
        if count >= self.parcels.len() {
            return self.end;
        }
        let (before, after) = self.parcels.split_at(count);
        let last = before.iter().rev().find_map(|placed| placed.place);
        let next = after.iter().find_map(|placed| placed.place);
        match (last, next) {
            (Some(last), Some(next)) if next.seq == last.seq => Mark {
                seq: last.seq - 1,
                part: next.part,
            },
            (Some(last), _) => Mark {
                seq: last.seq,
                part: 0,
            },
            (None, _) => Mark::default(),
        }
    }

    /// The next `count` are applied; their senders hear of it.
    pub fn advance(&mut self, count: usize, outcomes: Vec<Outcome>) {
        for (mut placed, outcome) in self.parcels.drain(..count).zip(outcomes) {
            placed.tell(Answer::Stored(outcome));
        }
        self.is_applied = self.parcels.is_empty();
    }

    /// Not even its rejection can be stored: its file stays, for a person.
    pub fn put_aside_first(&mut self) {
        tracing::error!("a delivery can neither be applied nor be kept as rejected; its batch is put aside");
        self.damaged.append(&mut self.files);
        if !self.parcels.is_empty() {
            self.parcels.remove(0);
        }
    }

    /// Leaves it to its files, which it gives back in order; whoever waits hears that it is on the disk.
    pub fn abandon(&mut self) -> Vec<Spooled> {
        self.refuse_direct();
        for mut placed in self.parcels.drain(..) {
            placed.tell(Answer::Spooled);
        }
        let mut files = std::mem::take(&mut self.files);
        files.append(&mut self.damaged);
        files.sort_by_key(|file| file.name);
        files
    }

    /// What is not on the disk cannot wait.
    pub fn refuse_direct(&mut self) {
        self.parcels.retain_mut(|placed| {
            if placed.place.is_none() {
                placed.tell(Answer::Refused("not stored; send it again".to_owned()));
            }
            placed.place.is_some()
        });
    }

    /// Bytes of the next `count` bodies.
    pub fn bytes(&self, count: usize) -> usize {
        let parcels = self.parcels.iter().take(count);
        parcels.map(|placed| placed.parcel.record.body.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;

    use super::*;
    use crate::{
        domain::{id::SourceId, source::SourceSettings},
        receive::spool::record::{Head, Record},
        store::{deliveries::Headers, sources::Source},
    };

    fn placed(place: Option<(i64, i32)>, fault: Option<&str>) -> Placed {
        let source = Source {
            id: SourceId(1),
            name: "team".to_owned(),
            heartbeat_within: None,
            settings: SourceSettings::default(),
            revision: 1,
            created_at: DateTime::UNIX_EPOCH,
            disabled_at: None,
        };
        let head = Head {
            source: source.id,
            format: "alertmanager".to_owned(),
            remote: String::new(),
            user_agent: String::new(),
            received_at: DateTime::UNIX_EPOCH,
            headers: Headers::new(),
            replay_of: None,
            is_test: false,
        };
        Placed {
            parcel: Parcel {
                source: Arc::new(source),
                record: Record {
                    head,
                    body: Vec::new(),
                },
                groups: Vec::new(),
                remark: String::new(),
            },
            place: place.map(|(seq, part)| Mark { seq, part }),
            answer: None,
            fault: fault.map(str::to_owned),
        }
    }

    fn mark(seq: i64, part: i32) -> Mark {
        Mark { seq, part }
    }

    #[test]
    fn a_mark_covers_what_is_applied_and_nothing_else_wherever_a_group_is_cut() {
        let places = [(3, 0), (3, 1), (3, 4), (7, 0), (8, 0), (8, 1)];
        let group = Group {
            parcels: places.iter().map(|place| placed(Some(*place), None)).collect(),
            end: mark(9, 0),
            ..Group::default()
        };
        for count in 1..=places.len() {
            let mark = group.mark_after(count);
            for (at, (seq, part)) in places.iter().enumerate() {
                assert_eq!(
                    mark.covers(self::mark(*seq, *part)),
                    at < count,
                    "{mark:?} after {count}"
                );
            }
        }
        assert_eq!(group.mark_after(places.len()), mark(9, 0));
    }

    #[test]
    fn what_is_rejected_goes_alone_and_what_nobody_waits_for_not_at_all() {
        let mut group = Group {
            parcels: vec![
                placed(None, None),
                placed(Some((1, 0)), None),
                placed(Some((1, 1)), None),
                placed(Some((1, 2)), Some("why")),
                placed(Some((1, 3)), None),
            ],
            end: mark(1, 0),
            ..Group::default()
        };
        assert_eq!(group.stretch(256), 2);
        assert_eq!(group.stretch(1), 1);
        group.advance(2, vec![Outcome::default(); 2]);
        assert_eq!(group.stretch(256), 1);
        assert_eq!(group.mark_after(1), mark(0, 3));
        group.advance(1, vec![Outcome::default()]);
        assert_eq!(group.stretch(256), 1);
        group.advance(1, vec![Outcome::default()]);
        assert!(group.is_applied);
    }
}
