//! What monitoring reports in a drill: an Alertmanager's webhook, read and taken like any other, from the drill's own
//! sender.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{DrillError, happen::Stage};
use crate::{
    domain::{drill::name, labels::Labels},
    intake::{self, Content, Format, Reader},
    pipeline::{self, Post},
    store::{deliveries::NewDelivery, drills::Drill, sources},
};

/// The receiver that the drill's sender names.
const RECEIVER: &str = "drill";

/// One alert.
pub(super) struct Alert {
    pub labels: Labels,
    pub annotations: Labels,
    pub began: DateTime<Utc>,
    pub is_over: bool,
}

/// Reports alerts of one group.
pub(super) async fn send(
    conn: &mut PgConnection,
    stage: &Stage<'_>,
    drill: &Drill,
    group: &str,
    alerts: &[Alert],
    now: DateTime<Utc>,
) -> Result<(), DrillError> {
    let Some(source) = drill.source else {
        return Err(DrillError::Refused(format!("{} has not begun", name(drill.id))));
    };
    let source = sources::find(conn, source)
        .await?
        .ok_or(DrillError::NotFound("source"))?;
    let body = body(drill, group, alerts, now).to_string().into_bytes();
    let reader = Reader {
        received_at: now,
        correlate_by: &[],
        mapping: None,
    };
    let groups = match intake::read(Format::Alertmanager, &body, &reader) {
        Ok(Content::Alerts { groups, .. }) => groups,
        Ok(_) => Vec::new(),
        Err(fault) => return Err(DrillError::Refused(format!("{}: {}", fault.place, fault.problem))),
    };
    let headers = Default::default();
    let post = Post {
        source: &source,
        raw: NewDelivery {
            format: Format::Alertmanager.name(),
            remote: "",
            user_agent: "Muster drill",
            headers: &headers,
            body: &body,
            received_at: now,
            replay_of: None,
            is_test: false,
        },
        groups: &groups,
        remark: "",
    };
    pipeline::receive(conn, &[post], stage.shelf, stage.patience, now).await?;
    Ok(())
}

fn body(drill: &Drill, group: &str, alerts: &[Alert], now: DateTime<Utc>) -> Value {
    let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let status = |is_over: bool| if is_over { "resolved" } else { "firing" };
    let group = format!("{{}}:{{drill=\"{}\", group=\"{group}\"}}", name(drill.id));
    let listed: Vec<Value> = alerts
        .iter()
        .map(|alert| {
            json!({
                "status": status(alert.is_over),
                "labels": alert.labels,
                "annotations": alert.annotations,
                "startsAt": text(alert.began),
                "endsAt": if alert.is_over { text(now) } else { "0001-01-01T00:00:00Z".to_owned() },
                "generatorURL": "",
            })
        })
        .collect();
    json!({
        "version": "4", "receiver": RECEIVER, "truncatedAlerts": 0, "groupKey": group, "groupLabels": {},
        "status": status(alerts.iter().all(|alert| alert.is_over)),
        "commonLabels": {}, "commonAnnotations": {}, "externalURL": "", "alerts": listed,
    })
}
