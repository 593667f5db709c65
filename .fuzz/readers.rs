//! Every reader of `src/intake` fed by a fuzzer that watches which code its bytes reach.
//!
//! The first byte of an input says who reads the rest and how: `a` to `g` are the formats in their order, `h` and `i`
//! the messages inside the envelopes of SNS and Pub/Sub, `j` a mapping on the first line and a body below it; capital
//! letters are the same with a broad mapping.
#![no_main]
#![allow(dead_code, reason = "only the readers are used")]

mod domain;
#[path = "../src/intake/mod.rs"]
mod intake;

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use data_encoding::BASE64;
use libfuzzer_sys::fuzz_target;

use domain::alert::AlertStatus;
use intake::{
    CORRELATE_BY, Content, Format, Reader,
    mapping::Mapping,
    read, sign,
    sns::{Envelope, signed_text},
};

const CERTIFICATE: &[u8] = include_bytes!("../tests/data/sns/certificate.pem");

static CORRELATE: LazyLock<Vec<String>> = LazyLock::new(|| CORRELATE_BY.map(str::to_owned).into());

/// Looks at whatever the seeds have.
static BROAD: LazyLock<Mapping> = LazyLock::new(|| {
    let mapping = serde_json::json!({
        "alerts": "alerts", "status": "status", "starts_at": "startsAt", "ends_at": "endsAt", "url": "generatorURL",
        "labels": {"from": "labels", "names": {"whole": ".", "first": "list[0].name"}},
        "annotations": {"from": "annotations"}, "key": ["fingerprint", "labels.instance"],
    });
    serde_json::from_value(mapping).expect("a mapping")
});

fuzz_target!(|input: &[u8]| {
    let Some((first, body)) = input.split_first() else {
        return;
    };
    let broad = first.is_ascii_uppercase().then_some(&*BROAD);
    match first.to_ascii_lowercase() {
        b'h' => {
            let message = String::from_utf8_lossy(body);
            let envelope = serde_json::json!({"Type": "Notification", "Message": message});
            check(Format::Sns, envelope.to_string().as_bytes(), broad);
        }
        b'i' => {
            let envelope = serde_json::json!({"message": {"data": BASE64.encode(body)}});
            check(Format::Pubsub, envelope.to_string().as_bytes(), broad);
        }
        b'j' => {
            let line = body.iter().position(|byte| *byte == b'\n').unwrap_or(body.len());
            let (mapping, body) = body.split_at(line);
            if let Ok(mapping) = serde_json::from_slice::<Mapping>(mapping) {
                let written = serde_json::to_vec(&mapping).expect("what was read can be written");
                assert_eq!(
                    serde_json::from_slice::<Mapping>(&written).ok(),
                    Some(mapping.clone())
                );
                check(Format::Generic, body, Some(&mapping));
            }
        }
        letter => {
            let format = Format::ALL[usize::from(letter.wrapping_sub(b'a')) % Format::ALL.len()];
            check(format, body, broad);
            beside(format, body);
        }
    }
});

/// What must hold of everything that is read.
fn check(format: Format, body: &[u8], mapping: Option<&Mapping>) {
    let with = Reader {
        received_at: DateTime::<Utc>::from_timestamp_nanos(1_795_226_700_000_000_000),
        correlate_by: &CORRELATE,
        mapping,
    };
    let first = read(format, body, &with);
    assert_eq!(first, read(format, body, &with), "the same bytes mean the same");
    match first {
        Err(fault) => storable([&fault.place, &fault.problem]),
        Ok(Content::Nothing(why)) => assert!(!why.is_empty()),
        Ok(Content::Confirm { url }) => assert_eq!(url.scheme(), "https"),
        Ok(Content::Alerts { groups, faults }) => {
            assert!(!groups.is_empty() || !faults.is_empty(), "something is said");
            for fault in &faults {
                storable([&fault.place, &fault.problem]);
            }
            for pair in groups.windows(2) {
                assert!(
                    pair[0].group_key < pair[1].group_key,
                    "groups are sorted and differ"
                );
            }
            for group in &groups {
                storable([&group.receiver, &group.group_key]);
                assert!(!group.alerts.is_empty() && group.truncated >= 0);
                for pair in group.alerts.windows(2) {
                    assert!(
                        pair[0].fingerprint < pair[1].fingerprint,
                        "alerts are sorted and differ"
                    );
                }
                for alert in &group.alerts {
                    let is_firing = alert.status == AlertStatus::Firing;
                    assert_eq!(alert.ends_at.is_none(), is_firing, "what is over has an end");
                    assert!(
                        alert
                            .lease_until
                            .is_none_or(|until| is_firing && until > with.received_at)
                    );
                    for (name, value) in alert.labels.0.iter().chain(&alert.annotations.0) {
                        storable([name, value]);
                    }
                    storable([&alert.generator_url]);
                    alert.title();
                }
            }
        }
    }
}

/// What Postgres takes.
fn storable<const N: usize>(texts: [&String; N]) {
    for text in texts {
        assert!(!text.contains('\0'), "{text:?}");
    }
}

/// Signatures over hostile bytes, and in them.
fn beside(format: Format, body: &[u8]) {
    match format {
        Format::Sns => {
            if let Ok(envelope) = Envelope::parse(body) {
                assert!(signed_text(&envelope).ends_with('\n'));
                _ = envelope.signing_cert_url();
                _ = envelope.verify(CERTIFICATE);
            }
        }
        Format::Grafana | Format::Pagerduty => {
            let header = String::from_utf8_lossy(&body[..body.len().min(200)]);
            assert!(!sign::grafana(b"secret", Some(&header), body, &header));
            assert!(!sign::pagerduty(b"secret", body, &header));
        }
        _ => {}
    }
}
