//! Grafana's webhook contact point, version "1": Alertmanager's shape, and per alert the addresses of its dashboard,
//! panel and silence, and the values that fired. Its NoData and Error states come as alerts of their own, named
//! `DatasourceNoData` and `DatasourceError`.

use super::{
    Delivery, Fault, alertmanager,
    document::{self, Object, plain},
};
use crate::domain::labels::Labels;

/// What Grafana says of an alert besides, and the annotation that it becomes.
const EXTRAS: [(&str, &str); 7] = [
    ("dashboardURL", "grafana_dashboard_url"),
    ("panelURL", "grafana_panel_url"),
    ("silenceURL", "grafana_silence_url"),
    ("imageURL", "grafana_image_url"),
    ("ruleUID", "grafana_rule_uid"),
    ("valueString", "grafana_value_string"),
    ("values", "grafana_values"),
];

/// Reads one body.
pub fn parse(body: &[u8]) -> Result<Delivery, Fault> {
    alertmanager::read(&document::parse(body)?, extras)
}

/// Adds them, whatever kind of value they are: none is worth refusing an alert for. The rule's own annotations stay.
fn extras(alert: &Object<'_>, annotations: &mut Labels) {
    for (key, name) in EXTRAS {
        if let Some(value) = alert.get(key).and_then(plain) {
            annotations.0.entry(name.to_owned()).or_insert(value);
        }
    }
}
