//! One delivery as bytes of a batch file: a length, a checksum, a head that a person can read, the body.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    domain::id::{DeliveryId, SourceId},
    intake::Format,
    store::deliveries::{Headers, NewDelivery},
};

/// How a batch file begins.
const MARK: &[u8] = b"muster spool 1\n";
/// Length of the record and of its head, checksum of both: 4 bytes each, little-endian.
const PREFIX: usize = 12;

/// A delivery as it came, from a sender that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Everything but the body.
    pub head: Head,
    /// The body, byte for byte.
    pub body: Vec<u8>,
}

impl Record {
    /// As it is kept.
    pub fn as_new(&self) -> NewDelivery<'_> {
        let head = &self.head;
        NewDelivery {
            format: &head.format,
            remote: &head.remote,
            user_agent: &head.user_agent,
            headers: &head.headers,
            body: &self.body,
            received_at: head.received_at,
            replay_of: head.replay_of,
            is_test: head.is_test,
        }
    }
}

/// What is known of a delivery besides its body. No secret is among it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Who sent it.
    pub source: SourceId,
    /// Name of its format.
    pub format: String,
    /// The sender's address.
    pub remote: String,
    /// What the sender calls itself.
    pub user_agent: String,
    /// When it arrived.
    pub received_at: DateTime<Utc>,
    /// What else its request said; never a header that may hold a secret.
    #[serde(default, skip_serializing_if = "Headers::is_empty")]
    pub headers: Headers,
    /// The kept delivery that is sent again with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_of: Option<DeliveryId>,
    /// Whether Muster made it to show the way of an alert.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_test: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Head {
    /// Its format; `None` for one that a newer Muster knew.
    pub fn format(&self) -> Option<Format> {
        Format::from_name(&self.format)
    }
}

/// Why the rest of a batch file cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// It does not begin as a batch does.
    #[error("it does not begin as a spool file does")]
    Foreign,
    /// It ends in the middle of a record.
    #[error("it ends in the middle of record {0}")]
    Torn(usize),
    /// A record is not what was written.
    #[error("record {0} is not what was written: its checksum differs")]
    Changed(usize),
}

/// A batch as a file holds it.
pub fn encode<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<u8> {
    let mut file = MARK.to_vec();
    for record in records {
        let head = serde_json::to_vec(&record.head).unwrap_or_default();
        let length = (head.len() + record.body.len()) as u32;
        let lengths = [length.to_le_bytes(), (head.len() as u32).to_le_bytes()].concat();
        let sum = checksum(&lengths, &head, &record.body);
        file.extend_from_slice(&lengths);
        file.extend_from_slice(&sum.to_le_bytes());
        file.extend_from_slice(&head);
        file.extend_from_slice(&record.body);
    }
    file
}

/// The records of a batch file, each with its place among them, from 0. A damaged one is left out and named; those after
/// it are read when its length still leads to them.
pub fn decode(file: &[u8]) -> (Vec<(usize, Record)>, Vec<Damage>) {
    let (mut records, mut damage) = (Vec::new(), Vec::new());
    let Some(mut rest) = file.strip_prefix(MARK) else {
        return (records, vec![Damage::Foreign]);
    };
    let mut number = 0;
    while !rest.is_empty() {
        number += 1;
        let number_at = |bytes: &[u8], at: usize| {
            let four = bytes.get(at..at + 4)?;
            Some(u32::from_le_bytes(four.try_into().ok()?) as usize)
        };
        let (Some(length), Some(head), Some(sum)) =
            (number_at(rest, 0), number_at(rest, 4), number_at(rest, 8))
        else {
            damage.push(Damage::Torn(number));
            break;
        };
        let Some(content) = rest.get(PREFIX..PREFIX + length).filter(|_| head <= length) else {
            damage.push(Damage::Torn(number));
            break;
        };
        let (head, body) = content.split_at(head);
        match serde_json::from_slice(head) {
            Ok(read) if checksum(&rest[..8], head, body) as usize == sum => {
                let body = body.to_vec();
                records.push((number - 1, Record { head: read, body }));
            }
            _ => damage.push(Damage::Changed(number)),
        }
        rest = &rest[PREFIX + length..];
    }
    (records, damage)
}

fn checksum(lengths: &[u8], head: &[u8], body: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    for part in [lengths, head, body] {
        sum.update(part);
    }
    sum.finalize()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(body: &[u8]) -> Record {
        Record {
            head: Head {
                source: SourceId(7),
                format: "alertmanager".to_owned(),
                remote: "192.0.2.7".to_owned(),
                user_agent: "Alertmanager/0.28.1".to_owned(),
                received_at: DateTime::from_timestamp(1_800_000_000, 5_000).unwrap(),
                headers: Headers::from([("content-type".to_owned(), "application/json".to_owned())]),
                replay_of: None,
                is_test: false,
            },
            body: body.to_vec(),
        }
    }

    #[test]
    fn what_was_written_is_read_again() {
        let records = [record(b"{}"), record(b""), record(&[0; 5000])];
        let placed: Vec<(usize, Record)> = records.iter().cloned().enumerate().collect();
        assert_eq!(decode(&encode(&records)), (placed, Vec::new()));
    }

    #[test]
    fn a_head_of_an_older_start_is_read() {
        let old = r#"{"source": 7, "format": "grafana", "remote": "", "user_agent": "",
                      "received_at": "2026-11-21T03:00:00Z"}"#;
        let head: Head = serde_json::from_str(old).unwrap();
        assert_eq!(
            (head.headers.len(), head.replay_of, head.is_test),
            (0, None, false)
        );
        assert!(!serde_json::to_string(&head).unwrap().contains("is_test"));
    }

    #[test]
    fn a_damaged_record_is_named_and_the_others_are_read() {
        let records = [record(b"first"), record(b"second"), record(b"third")];
        let whole = encode(&records);
        let at = whole.windows(6).position(|bytes| bytes == b"second").unwrap();
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        let (read, damage) = decode(&flipped);
        assert_eq!(damage, vec![Damage::Changed(2)]);
        // The place of a record does not depend on what became of those before it.
        assert_eq!(read, [(0, records[0].clone()), (2, records[2].clone())]);
        let (read, damage) = decode(&whole[..whole.len() - 1]);
        assert_eq!((read.len(), damage), (2, vec![Damage::Torn(3)]));
        assert_eq!(decode(b"something else"), (Vec::new(), vec![Damage::Foreign]));
    }

    proptest! {
        #[test]
        fn no_bytes_and_no_flip_pass_for_what_was_never_written(noise: Vec<u8>, at: usize, bit in 0_u8..8) {
            let _ = decode(&noise);
            let mut file = encode(&[record(b"a body"), record(b"another")]);
            let at = at % file.len();
            file[at] ^= 1 << bit;
            let (read, damage) = decode(&file);
            prop_assert!(!damage.is_empty());
            prop_assert!(read.iter().all(|(_, read)| [record(b"a body"), record(b"another")].contains(read)));
        }
    }
}
