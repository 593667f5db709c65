//! A test alert in each sender's own words: what Muster sends itself to show that a source works. Its labels say that it
//! is a test wherever the format has room for labels, and it is in a group of its own, so it joins no real incident.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use super::{
    Format,
    mapping::{JsonPath, Mapping},
};
use crate::domain::alert::AlertStatus;

/// The label that says which test it is.
pub const LABEL: &str = "muster_test";
/// The name of the alert.
pub const ALERTNAME: &str = "MusterTest";
/// What it says.
const SUMMARY: &str = "A test of this source, made by Muster";
/// How long Prometheus would let a firing alert live without another word of it.
const LEASE: TimeDelta = TimeDelta::minutes(4);

/// One body of a test.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Which test; part of every identity.
    pub id: &'a str,
    /// Whether its alert fires or is over.
    pub status: AlertStatus,
    /// When it began to fire.
    pub starts_at: DateTime<Utc>,
    /// Now, which is when it ends if it is over.
    pub now: DateTime<Utc>,
    /// The labels its source groups by.
    pub correlate_by: &'a [String],
    /// How its source reads any JSON.
    pub mapping: Option<&'a Mapping>,
}

impl Sample<'_> {
    /// The body; an error says why none can be made.
    pub fn body(&self, format: Format) -> Result<Vec<u8>, String> {
        let document = match format {
            Format::Alertmanager => self.alertmanager(),
            Format::Prometheus => self.prometheus(),
            Format::Grafana => self.grafana(),
            Format::Pagerduty => self.pagerduty(),
            Format::Sns => self.sns(),
            Format::Pubsub => self.pubsub(),
            Format::Generic => match self.mapping {
                None => self.plain(),
                Some(mapping) => self.mapped(mapping)?,
            },
        };
        Ok(document.to_string().into_bytes())
    }

    fn fires(&self) -> bool {
        self.status == AlertStatus::Firing
    }

    fn word(&self) -> &'static str {
        match self.fires() {
            true => "firing",
            false => "resolved",
        }
    }

    fn name(&self) -> String {
        format!("muster-test-{}", self.id)
    }

    fn labels(&self) -> Value {
        let mut labels = Map::new();
        for label in self.correlate_by {
            labels.insert(label.clone(), self.name().into());
        }
        labels.insert("alertname".to_owned(), ALERTNAME.into());
        labels.insert(LABEL.to_owned(), self.id.into());
        labels.into()
    }

    fn alertmanager(&self) -> Value {
        let ends_at = match self.fires() {
            true => "0001-01-01T00:00:00Z".to_owned(),
            false => text(self.now),
        };
        json!({
            "version": "4", "receiver": "muster-test", "status": self.word(),
            "groupKey": format!("{{}}:{{{LABEL}=\"{}\"}}", self.id), "truncatedAlerts": 0,
            "groupLabels": {LABEL: self.id}, "commonLabels": self.labels(),
            "commonAnnotations": {"summary": SUMMARY}, "externalURL": "",
            "alerts": [{
                "status": self.word(), "labels": self.labels(), "annotations": {"summary": SUMMARY},
                "startsAt": text(self.starts_at), "endsAt": ends_at, "generatorURL": "",
            }],
        })
    }

    fn grafana(&self) -> Value {
        let mut body = self.alertmanager();
        body["version"] = "1".into();
        body["orgId"] = 1.into();
        body["title"] = SUMMARY.into();
        body["state"] = if self.fires() { "alerting" } else { "ok" }.into();
        body
    }

    fn prometheus(&self) -> Value {
        let ends_at = match self.fires() {
            true => self.now + LEASE,
            false => self.now,
        };
        json!([{
            "labels": self.labels(), "annotations": {"summary": SUMMARY}, "startsAt": text(self.starts_at),
            "endsAt": text(ends_at), "generatorURL": "",
        }])
    }

    fn pagerduty(&self) -> Value {
        let event = match self.fires() {
            true => "incident.triggered",
            false => "incident.resolved",
        };
        json!({"event": {
            "id": self.name(), "event_type": event, "resource_type": "incident", "occurred_at": text(self.now),
            "data": {
                "id": self.name(), "type": "incident", "title": format!("{SUMMARY} ({LABEL} {})", self.id),
                "created_at": text(self.starts_at), "urgency": "low", "service": {"summary": self.name()},
            },
        }})
    }

    /// Not signed: only Amazon can.
    fn sns(&self) -> Value {
        let (state, since) = match self.fires() {
            true => ("ALARM", self.starts_at),
            false => ("OK", self.now),
        };
        let alarm = json!({
            "AlarmName": ALERTNAME, "AlarmArn": format!("arn:aws:cloudwatch:test:0:alarm:{}", self.name()),
            "AlarmDescription": SUMMARY, "AWSAccountId": "000000000000", "Region": "test", "NewStateValue": state,
            "NewStateReason": SUMMARY, "StateChangeTime": text(since),
            "Trigger": {"MetricName": "Test", "Namespace": "Muster", "Dimensions": self.dimensions()},
        });
        json!({
            "Type": "Notification", "MessageId": self.name(), "TopicArn": "arn:aws:sns:test:0:muster-test",
            "Subject": SUMMARY, "Message": alarm.to_string(), "Timestamp": text(self.now),
            "SignatureVersion": "2", "Signature": "", "SigningCertURL": "",
        })
    }

    fn dimensions(&self) -> Value {
        let labels = self.labels();
        let pairs = labels.as_object().into_iter().flatten();
        pairs
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect()
    }

    fn pubsub(&self) -> Value {
        let mut incident = json!({
            "incident_id": self.name(), "policy_name": ALERTNAME, "state": if self.fires() { "open" } else { "closed" },
            "started_at": self.starts_at.timestamp(), "summary": SUMMARY, "policy_user_labels": self.labels(),
        });
        if !self.fires() {
            incident["ended_at"] = self.now.timestamp().into();
        }
        let data = json!({"version": "1.2", "incident": incident}).to_string();
        json!({
            "message": {"data": BASE64.encode(data.as_bytes()), "messageId": self.name(), "publishTime": text(self.now)},
            "subscription": "projects/test/subscriptions/muster-test",
        })
    }

    fn plain(&self) -> Value {
        let mut alert = json!({
            "title": ALERTNAME, "status": self.word(), "starts_at": text(self.starts_at), "labels": self.labels(),
            "annotations": {"summary": SUMMARY}, "key": self.name(),
        });
        if !self.fires() {
            alert["ends_at"] = text(self.now).into();
        }
        alert
    }

    /// A body that the mapping reads as the test's alert: every place it names is filled.
    fn mapped(&self, mapping: &Mapping) -> Result<Value, String> {
        let mut alert = json!({});
        let mut put = |path: &JsonPath, value: Value| match path.put(&mut alert, value) {
            true => Ok(()),
            false => Err(format!(
                "no body has room for everything the mapping names; {path} is where it does not fit. Try a body of the \
                 sender's below"
            )),
        };
        if let Some(path) = &mapping.labels.from {
            put(path, self.labels())?;
        }
        for (name, path) in &mapping.labels.names {
            let value = match name.as_str() {
                "alertname" => ALERTNAME.to_owned(),
                LABEL => self.id.to_owned(),
                _ => self.name(),
            };
            put(path, value.into())?;
        }
        if let Some(path) = &mapping.annotations.from {
            put(path, json!({"summary": SUMMARY}))?;
        }
        for path in mapping.annotations.names.values() {
            put(path, SUMMARY.into())?;
        }
        if let Some(path) = &mapping.status {
            let words = match self.fires() {
                true => &mapping.firing,
                false => &mapping.resolved,
            };
            let word = words
                .first()
                .ok_or_else(|| format!("the mapping has no word for {}", self.word()))?;
            put(path, word.as_str().into())?;
        } else if !self.fires() {
            return Err("the mapping has no status, so nothing it reads is ever over".to_owned());
        }
        for path in &mapping.key {
            put(path, self.name().into())?;
        }
        if let Some(path) = &mapping.starts_at {
            put(path, text(self.starts_at).into())?;
        }
        if let Some(path) = mapping.ends_at.as_ref().filter(|_| !self.fires()) {
            put(path, text(self.now).into())?;
        }
        let mut root = json!({});
        match &mapping.alerts {
            None => Ok(alert),
            Some(path) if path.put(&mut root, json!([alert])) => Ok(root),
            Some(path) => Err(format!("no body has room for a list at {path}")),
        }
    }
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::{Content, Reader, read};

    fn reads_as_a_test(format: Format, mapping: Option<&Mapping>) {
        let now: DateTime<Utc> = "2026-11-21T03:00:00Z".parse().unwrap();
        let starts_at = now - TimeDelta::seconds(30);
        let correlate_by = ["alertname", "cluster", "service"].map(str::to_owned);
        let mut seen = Vec::new();
        for status in [AlertStatus::Firing, AlertStatus::Resolved] {
            let sample = Sample {
                id: "x7",
                status,
                starts_at,
                now,
                correlate_by: &correlate_by,
                mapping,
            };
            let body = sample.body(format).unwrap();
            let reader = Reader {
                received_at: now,
                correlate_by: &correlate_by,
                mapping,
            };
            let Ok(Content::Alerts { groups, faults }) = read(format, &body, &reader) else {
                panic!("{format:?}: {}", String::from_utf8_lossy(&body));
            };
            assert!(faults.is_empty(), "{format:?}: {faults:?}");
            let alert = &groups[0].alerts[0];
            assert_eq!((groups.len(), groups[0].alerts.len()), (1, 1), "{format:?}");
            assert_eq!(alert.status, status, "{format:?}");
            let told = format!("{:?} {}", alert.labels, groups[0].group_key);
            assert!(told.contains("x7"), "{format:?}: {told}");
            seen.push((alert.fingerprint, groups[0].group_key.clone()));
        }
        assert_eq!(seen[0], seen[1], "{format:?}: the same alert and group");
    }

    #[test]
    fn every_format_reads_its_own_test_back() {
        for format in Format::ALL {
            reads_as_a_test(format, None);
        }
    }

    #[test]
    fn a_mapping_is_filled_wherever_it_looks() {
        for mapping in [
            json!({"alerts": "data.events", "status": "state", "firing": ["on"], "resolved": ["off"],
                   "starts_at": "times[0]", "ends_at": "times[1]",
                   "labels": {"from": "tags", "names": {"service": "rule[\"app.name\"]", "host": "hosts[0]"}},
                   "annotations": {"names": {"summary": "text"}}, "key": ["id", "rule.n"]}),
            json!({"status": "s", "labels": {"from": "."}, "key": ["id"]}),
        ] {
            reads_as_a_test(Format::Generic, Some(&Mapping::read(&mapping).unwrap()));
        }
        let without_end = Mapping::read(&json!({"labels": {"from": "."}})).unwrap();
        let now = DateTime::UNIX_EPOCH;
        let sample = Sample {
            id: "x",
            status: AlertStatus::Resolved,
            starts_at: now,
            now,
            correlate_by: &[],
            mapping: Some(&without_end),
        };
        assert!(sample.body(Format::Generic).unwrap_err().contains("no status"));
    }
}
