//! Alertmanager, alone or as a cluster: making and expiring silences, and which alerts it lists.
//!
//! A silence has no idempotency key, so the key of the request stands at the end of its comment, and every node is asked
//! for it before another one is made. Times are the nodes' own: a silence begins at what the node that makes it says the
//! time is, and how long a node is up is told by its own clock, so that nothing hangs on ours.

mod ask;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::{
    Method,
    header::{CONTENT_TYPE, DATE, HeaderMap, HeaderValue},
};
use serde_json::{Value, json};
use url::Url;

use super::{
    Call,
    client::{self, Message, Reply},
    invalid, refused,
};
use crate::domain::{
    action::{Failure, FailureClass, Outcome},
    silence,
    target::{AlertmanagerConnection, HttpConnection},
};
pub(super) use ask::describe;
use ask::{Ask, Look, Silence};

/// The most of a list of alerts or silences that is read: 20,000 alerts with short annotations.
const LIST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The most of what is read after a change.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Who made a silence, as Alertmanager shows it.
const CREATED_BY: &str = "muster";

pub(super) async fn perform(call: &Call<'_>, cluster: &AlertmanagerConnection) -> Result<Outcome, Failure> {
    let ask = Ask::read(&call.request.with)?;
    if call.envelope.read_only && !matches!(ask, Ask::Look(_)) {
        return Err(invalid("silence and expire change things; a check only looks"));
    }
    match ask {
        Ask::Silence(silence) => make(call, cluster, &silence).await,
        Ask::Expire(which) => expire(call, cluster, &which).await,
        Ask::Look(look) => look_at(call, cluster, &look).await,
    }
}

/// Makes a silence, unless the same request has made one before.
async fn make(call: &Call<'_>, cluster: &AlertmanagerConnection, ask: &Silence) -> Result<Outcome, Failure> {
    let known = silences(call, cluster).await?;
    let key = &call.envelope.key;
    if let Some(found) = known
        .all
        .values()
        .find(|found| silence::is_marked(&found.comment, key))
    {
        return Ok(Outcome {
            summary: format!("silence {} is there already, {}", found.id, found.state),
            result: json!({
                "ok": !found.is_over(), "id": found.id, "until": found.ends_at, "made": false,
            }),
        });
    }
    let mut last = None;
    for (node, now) in &known.answered {
        let until = *now + ask.duration.as_delta();
        let body = json!({
            "matchers": ask.matchers_json(),
            "startsAt": rfc3339(*now),
            "endsAt": rfc3339(until),
            "createdBy": CREATED_BY,
            "comment": format!("{} {}", ask.comment.trim(), silence::mark(key)),
        });
        let message = Message {
            method: Method::POST,
            url: client::below(node, "api/v2/silences")?,
            headers: HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]),
            body: Some(body.to_string().into_bytes()),
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        match client::read_json(call, node, message).await {
            Ok(answer) => {
                let id = answer["silenceID"].as_str().ok_or_else(|| {
                    Failure::new(
                        FailureClass::Lost,
                        "a silence was made, but not what it is called",
                    )
                })?;
                return Ok(Outcome {
                    summary: format!("silence {id} until {}", rfc3339(until)),
                    result: json!({"ok": true, "id": id, "until": rfc3339(until), "made": true}),
                });
            }
            // Another node takes it as well; whatever may have arrived is not sent anywhere else.
            Err(failure) if failure.class == FailureClass::NotSent => last = Some(failure),
            Err(failure) => return Err(failure),
        }
    }
    Err(last.unwrap_or_else(|| refused("no node of the Alertmanager answered")))
}

/// Ends the silence with that number or with that key in its comment; one that is over already, or that no node knows,
/// stays as it is.
async fn expire(call: &Call<'_>, cluster: &AlertmanagerConnection, which: &str) -> Result<Outcome, Failure> {
    let known = silences(call, cluster).await?;
    let is_it = |found: &&Found| found.id == which || silence::is_marked(&found.comment, which);
    let Some(found) = known.all.values().find(is_it) else {
        return match known.failed.into_iter().next() {
            Some(failure) => Err(failure),
            None => Ok(Outcome {
                summary: "there is no such silence".to_owned(),
                result: json!({"ok": true, "id": null, "found": false}),
            }),
        };
    };
    let done = |words: &str| Outcome {
        summary: format!("silence {} {words}", found.id),
        result: json!({"ok": true, "id": found.id, "found": true}),
    };
    if found.is_over() {
        return Ok(done("was over already"));
    }
    let mut last = None;
    for (node, _) in &known.answered {
        let message = Message {
            method: Method::DELETE,
            url: client::below(node, &format!("api/v2/silence/{}", found.id))?,
            headers: HeaderMap::new(),
            body: None,
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        match client::send(call, node, message).await {
            Ok(reply) if (200..300).contains(&reply.status) => return Ok(done("is over now")),
            Ok(reply) => last = Some(refused(format!("a node answered {}", reply.status))),
            Err(failure) if failure.class == FailureClass::NotSent => last = Some(failure),
            Err(failure) => return Err(failure),
        }
    }
    Err(last.unwrap_or_else(|| refused("no node of the Alertmanager answered")))
}

/// What every node lists. Only when all of them answered does an alert that none lists count as over, and only when none
/// began a moment ago: after a start its memory is empty.
async fn look_at(call: &Call<'_>, cluster: &AlertmanagerConnection, ask: &Look) -> Result<Outcome, Failure> {
    let mut nodes = Vec::new();
    let mut youngest: Option<i64> = None;
    let mut all_answered = true;
    let mut alerts: BTreeMap<String, bool> = BTreeMap::new();
    let mut held_by: BTreeSet<String> = BTreeSet::new();
    for node in &cluster.nodes {
        let seen = match listed(call, node, ask).await {
            Ok(seen) => seen,
            Err(failure) => {
                all_answered = false;
                nodes.push(json!({"node": name(&node.url), "ok": false, "error": failure.message}));
                continue;
            }
        };
        youngest = Some(youngest.map_or(seen.up_seconds, |other| other.min(seen.up_seconds)));
        nodes.push(json!({"node": name(&node.url), "ok": true, "up_seconds": seen.up_seconds}));
        for alert in seen.alerts {
            // Silenced by one node is silenced by all: they share their silences.
            *alerts.entry(alert.fingerprint).or_default() |= !alert.silenced_by.is_empty();
            held_by.extend(alert.silenced_by);
        }
    }
    if nodes.iter().all(|node| node["ok"] == false) {
        return Err(refused(format!(
            "no node of the Alertmanager answered: {}",
            nodes[0]["error"].as_str().unwrap_or_default()
        )));
    }
    let silenced = alerts.values().filter(|silenced| **silenced).count();
    let asked: BTreeSet<&str> = ask.fingerprints.iter().map(String::as_str).collect();
    let listed: Vec<&String> = alerts
        .keys()
        .filter(|found| asked.contains(found.as_str()))
        .collect();
    let summary = match (alerts.len(), all_answered) {
        (n, true) => format!("{n} alerts listed, {silenced} of them silenced"),
        (n, false) => format!("{n} alerts listed, {silenced} of them silenced; not every node answered"),
    };
    Ok(Outcome {
        result: json!({
            "ok": all_answered,
            "alerts": alerts.len(),
            "active": alerts.len() - silenced,
            "silenced": silenced,
            "is_silenced": silenced > 0 && silenced == alerts.len(),
            "silences": held_by,
            "listed": listed,
            "up_seconds": youngest.filter(|_| all_answered),
            "nodes": nodes,
        }),
        summary,
    })
}

/// What one node lists.
struct Seen {
    up_seconds: i64,
    alerts: Vec<ListedAlert>,
}

struct ListedAlert {
    fingerprint: String,
    silenced_by: Vec<String>,
}

async fn listed(call: &Call<'_>, node: &HttpConnection, ask: &Look) -> Result<Seen, Failure> {
    let (status, now) = get(call, node, client::below(node, "api/v2/status")?).await?;
    let began =
        moment(&status["uptime"]).ok_or_else(|| refused("a node does not say since when it is up"))?;
    let mut url = client::below(node, "api/v2/alerts")?;
    for (name, value) in ask.query() {
        url.query_pairs_mut().append_pair(name, &value);
    }
    let (list, _) = get(call, node, url).await?;
    let list = list
        .as_array()
        .ok_or_else(|| refused("the answer is not a list of alerts"))?;
    let alerts = list.iter().map(|alert| ListedAlert {
        fingerprint: alert["fingerprint"].as_str().unwrap_or_default().to_owned(),
        silenced_by: texts(&alert["status"]["silencedBy"]),
    });
    Ok(Seen {
        up_seconds: (now - began).num_seconds(),
        alerts: alerts.collect(),
    })
}

/// A silence as a node knows it.
struct Found {
    id: String,
    state: String,
    comment: String,
    ends_at: Value,
}

impl Found {
    fn is_over(&self) -> bool {
        self.state == "expired"
    }
}

/// What all nodes know of silences, each node that answered with its time, and why others did not.
struct Known<'a> {
    all: BTreeMap<String, Found>,
    answered: Vec<(&'a HttpConnection, DateTime<Utc>)>,
    failed: Vec<Failure>,
}

async fn silences<'a>(call: &Call<'_>, cluster: &'a AlertmanagerConnection) -> Result<Known<'a>, Failure> {
    let mut known = Known {
        all: BTreeMap::new(),
        answered: Vec::new(),
        failed: Vec::new(),
    };
    for node in &cluster.nodes {
        let (list, now) = match get(call, node, client::below(node, "api/v2/silences")?).await {
            Ok(answer) => answer,
            Err(failure) => {
                known.failed.push(failure);
                continue;
            }
        };
        let list = list
            .as_array()
            .ok_or_else(|| refused("the answer is not a list of silences"))?;
        for silence in list {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let found = Found {
                id: text(&silence["id"]),
                state: text(&silence["status"]["state"]),
                comment: text(&silence["comment"]),
                ends_at: silence["endsAt"].clone(),
            };
            // One node may not have heard yet that it is over.
            if found.is_over() || !known.all.contains_key(&found.id) {
                known.all.insert(found.id.clone(), found);
            }
        }
        known.answered.push((node, now));
    }
    match (known.answered.is_empty(), known.failed.is_empty()) {
        (true, false) => Err(known.failed.swap_remove(0)),
        _ => Ok(known),
    }
}

/// Reads JSON, and the time as the node has it. Looking changes nothing, so whatever goes wrong leaves nothing in doubt.
async fn get(call: &Call<'_>, node: &HttpConnection, url: Url) -> Result<(Value, DateTime<Utc>), Failure> {
    let path = url.path().to_owned();
    let message = Message {
        method: Method::GET,
        url,
        headers: HeaderMap::new(),
        body: None,
        answer_bytes_max: LIST_BYTES_MAX,
    };
    let reply = client::send(call, node, message)
        .await
        .map_err(|failure| match failure.class {
            FailureClass::Lost => Failure::new(FailureClass::NotSent, failure.message),
            _ => failure,
        })?;
    if let Some(reason) = &reply.broken {
        return Err(Failure::new(
            FailureClass::NotSent,
            format!("{path}: the answer broke off: {reason}"),
        ));
    }
    if !(200..300).contains(&reply.status) {
        return Err(refused(format!(
            "{path} answered {}: {}",
            reply.status,
            client::excerpt(call, &reply)
        )));
    }
    if reply.cut {
        return Err(refused(format!("{path} answered more than can be read")));
    }
    let now = date(&reply).ok_or_else(|| refused(format!("{path} does not say what time it is")))?;
    let value = serde_json::from_slice(&reply.body).map_err(|_| {
        refused(format!(
            "{path} answered no JSON: {}",
            client::excerpt(call, &reply)
        ))
    })?;
    Ok((value, now))
}

fn date(reply: &Reply) -> Option<DateTime<Utc>> {
    let text = reply.headers.get(DATE)?.to_str().ok()?;
    Some(DateTime::parse_from_rfc2822(text).ok()?.to_utc())
}

fn moment(value: &Value) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(value.as_str()?).ok()?.to_utc())
}

fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A node for people: without anything that could be a secret.
fn name(url: &Url) -> String {
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}{port}", url.host_str().unwrap_or_default())
}
