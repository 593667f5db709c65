//! The settings of a source in a form, with what is wrong with each.

use askama::{Template, filters::HtmlSafe};

use crate::{
    domain::{
        source::{AskedSettings, CLIENT_NAME_BYTES_MAX, Fault, SourceKind},
        target::SecretRef,
    },
    web::error::sentence,
};

/// A line or an area of text in a form, with what is wrong with it.
#[derive(Clone, Debug)]
pub struct TextField {
    id: &'static str,
    label: &'static str,
    hint: &'static str,
    value: String,
    fault: Option<String>,
    rows: u8,
    chars_max: usize,
}

/// The settings of a source in a form, as they are or as they were typed.
#[derive(Clone, Debug, Template)]
#[template(path = "source/_settings.html")]
pub struct SettingsForm {
    formats: Vec<(&'static str, &'static str, bool)>,
    format_fault: Option<String>,
    fields: Vec<TextField>,
}

impl HtmlSafe for SettingsForm {}

/// What is wrong with a field.
pub fn fault(faults: &[Fault], field: &str) -> Option<String> {
    let found = faults.iter().find(|fault| fault.field == field);
    found.map(|fault| fault.message.clone())
}

impl SettingsForm {
    /// What is wrong, for the summary: the field it leads to, and the words with the field's label.
    pub fn summary(&self, faults: &[Fault]) -> Vec<(&'static str, String)> {
        let words = |fault: &Fault| {
            let label = match fault.field {
                "name" => Some("Name"),
                "format" => Some("Format"),
                "reason" => Some("Why"),
                id => self
                    .fields
                    .iter()
                    .find(|field| field.id == id)
                    .map(|field| field.label),
            };
            match label {
                Some(label) => format!("{label}: {}", fault.message),
                None => sentence(&fault.message),
            }
        };
        faults.iter().map(|fault| (fault.field, words(fault))).collect()
    }

    /// The form with these texts and what is wrong with them. Where clients are asked for no certificate, it says so.
    pub fn of(asked: &AskedSettings, faults: &[Fault], asks_clients: bool) -> Self {
        let line = |id, label, hint, value: &str, rows, chars_max| TextField {
            id,
            label,
            hint,
            value: value.to_owned(),
            fault: fault(faults, id),
            rows,
            chars_max,
        };
        let kinds = SourceKind::ALL.into_iter();
        // What is no reference may be the secret itself, put here by mistake; it is not sent back.
        let sign_with = match SecretRef::try_from(asked.sign_with.trim().to_owned()) {
            Ok(_) => asked.sign_with.as_str(),
            Err(_) => "",
        };
        let client_hint = match asks_clients {
            true => {
                "DNS name or address among the alternative names of the certificate that every delivery must show, beside \
                 the token, to Muster itself and not to a proxy before it. Amazon SNS and Pub/Sub have none to show. \
                 Empty: the token is enough."
            }
            false => {
                "Cannot be used yet: this Muster asks no client for a certificate. It does when started with --tls-cert, \
                 --tls-key and --tls-client-ca. Empty: the token is enough."
            }
        };
        Self {
            formats: kinds
                .map(|kind| (kind.name(), kind.title(), kind.name() == asked.format))
                .collect(),
            format_fault: fault(faults, "format"),
            fields: vec![
                line(
                    "correlate_by",
                    "Group by these labels",
                    "One a line. Empty: the sender's own grouping.",
                    &asked.correlate_by.join("\n"),
                    3,
                    2100,
                ),
                line(
                    "stale_after",
                    "An alert is stale after",
                    "Without a word of it, like 8h10m. Empty: never.",
                    &asked.stale_after,
                    1,
                    40,
                ),
                line(
                    "heartbeat_within",
                    "Heartbeat within",
                    "Silence for this long raises an incident, and its alerts raise none. Empty: no heartbeat.",
                    &asked.heartbeat_within,
                    1,
                    40,
                ),
                line(
                    "storm_starts",
                    "Automatic starts at most",
                    "Runs that its alerts start by themselves; more are suggested. Deliveries are always taken.",
                    &asked.storm_starts,
                    1,
                    10,
                ),
                line(
                    "storm_within",
                    "Within this time",
                    "Like 10m.",
                    &asked.storm_within,
                    1,
                    40,
                ),
                line(
                    "storm_fold",
                    "Fold a storm of incidents over",
                    "When it opens more than so many within a time, they are folded under the first, like 20 in 5m. \
                     Empty: never.",
                    &asked.storm_fold,
                    1,
                    40,
                ),
                line(
                    "sign_with",
                    "Signed with",
                    "Where the shared secret is: env:NAME or file:/path. Only Grafana, PagerDuty and any JSON. Empty: \
                     not signed.",
                    sign_with,
                    1,
                    1000,
                ),
                line(
                    "alertmanager",
                    "Alertmanager target",
                    "Name of a target of the kind alertmanager: it is asked before an alert is called stale, and \
                     takes silences from the incident page. Empty: nobody is asked.",
                    &asked.alertmanager,
                    1,
                    63,
                ),
                line(
                    "mapping",
                    "Mapping",
                    "Only for any JSON: a JSON object that says where things stand in the body.",
                    &asked.mapping,
                    4,
                    16_384,
                ),
                line(
                    "topic_arn",
                    "Topic",
                    "Only for Amazon SNS: the one topic whose messages are taken. Empty: any that Amazon signed.",
                    &asked.topic_arn,
                    1,
                    400,
                ),
                line(
                    "client_name",
                    "Client certificate",
                    client_hint,
                    &asked.client_name,
                    1,
                    CLIENT_NAME_BYTES_MAX,
                ),
            ],
        }
    }
}
