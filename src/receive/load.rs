//! From batches to a group: what is in memory as it is, the rest read from its files.

use std::sync::{Arc, PoisonError};

use super::{
    backlog::{Batch, Spooled, Waiting},
    committer::{AGAIN_AFTER, Committer},
    group::{Group, Placed},
    parcel::{self, Letter, Parcel},
    spool::record::{Record, decode},
};
use crate::store::{sources::Source, spool_marks::Mark};

impl Committer {
    /// Reads what is not in memory. What can be read of a damaged file is applied.
    pub(super) async fn load(&self, batches: Vec<Batch>) -> Group {
        let mut group = Group::default();
        for batch in batches {
            if let Some(file) = batch.file {
                group.epoch = Some(file.name.epoch);
                group.end = Mark {
                    seq: file.name.seq,
                    part: 0,
                };
            }
            match (batch.parcels, batch.file) {
                (Some(parcels), file) => {
                    group.files.extend(file);
                    for (part, Waiting { parcel, answer }) in parcels.into_iter().enumerate() {
                        group.parcels.push(Placed {
                            parcel,
                            place: file.map(|file| place(file, part)),
                            answer: Some(answer),
                            fault: None,
                        });
                    }
                }
                (None, Some(file)) => self.read(file, &mut group).await,
                (None, None) => {}
            }
        }
        group
    }

    async fn read(&self, file: Spooled, group: &mut Group) {
        let Some(folder) = &self.folder else { return };
        let content = folder
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .read(file.name);
        let (records, damage) = match content {
            Ok(content) => decode(&content),
            Err(error) => {
                metrics::counter!("muster_spool_damaged_total").increment(1);
                tracing::error!(%error, file = ?file.name, "a batch of the spool cannot be read; it is put aside");
                group.damaged.push(file);
                return;
            }
        };
        match damage.is_empty() {
            true => group.files.push(file),
            false => group.damaged.push(file),
        }
        for damage in damage {
            metrics::counter!("muster_spool_damaged_total").increment(1);
            tracing::error!(file = ?file.name, %damage, "a batch of the spool is damaged; it is put aside");
        }
        for (part, record) in records {
            let Some(source) = self.source(&record).await else {
                tracing::error!(
                    source = record.head.source.0,
                    file = ?file.name,
                    "the database does not know the source of a spooled delivery; the batch is put aside"
                );
                if let Some(at) = group.files.iter().position(|kept| kept.name == file.name) {
                    group.damaged.push(group.files.remove(at));
                }
                continue;
            };
            // It was read once before it was accepted; settings that changed since may have broken its mapping.
            let read = match record.head.format() {
                Some(format) => match parcel::read(&source, &record, format) {
                    Ok(Letter::Groups(groups, remark)) => Ok((groups, remark)),
                    Ok(Letter::Asks(_)) => Err("it asks for something that cannot wait".to_owned()),
                    Err(fault) => Err(fault.to_string()),
                },
                None => Err(format!("there is no format {}", record.head.format)),
            };
            let fault = read.as_ref().err().cloned();
            let (groups, remark) = read.unwrap_or_default();
            let parcel = Parcel {
                source,
                record,
                groups,
                remark,
            };
            group.parcels.push(Placed {
                parcel,
                place: Some(place(file, part)),
                answer: None,
                fault,
            });
        }
    }

    /// Who sent a record, asked for until the database answers.
    async fn source(&self, record: &Record) -> Option<Arc<Source>> {
        loop {
            match self.senders.by_id(record.head.source).await {
                Ok(source) => return source,
                Err(_) => {
                    self.backlog.set_away(true);
                    tokio::time::sleep(AGAIN_AFTER.1).await;
                }
            }
        }
    }
}

fn place(file: Spooled, part: usize) -> Mark {
    Mark {
        seq: file.name.seq,
        part: part as i32,
    }
}
