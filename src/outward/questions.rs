//! Asking an Alertmanager about alerts that nobody spoke of for long, and about what a cut list left out.
//!
//! That an alert is over is believed only when every node of the cluster answered, none of them began a moment ago, and
//! none lists it. Whatever is less than that leaves everything as it is, but for telling people.

use serde_json::{Value, json};

use super::{LEASE, Outward};
use crate::{
    domain::{
        labels::Labels,
        matcher::{MatchOp, Matcher},
        silence,
        span::Span,
    },
    incident::staleness as stage,
    store::{
        StoreError,
        staleness::{self, Cut, Quiet},
    },
};

/// Alerts asked about at once, all of one incident.
const BATCH: i64 = 200;
/// When a question that brought no answer, or not the end of it, is asked again.
const AGAIN_AFTER: Span = Span::from_secs(300);

const _: () = assert!(LEASE.as_millis() < AGAIN_AFTER.as_millis());

/// What may be concluded from an answer.
fn conclusive(result: &Value, settled_after: Span) -> Result<(), String> {
    if result["ok"] != true {
        let nodes = result["nodes"].as_array().into_iter().flatten();
        let silent: Vec<&str> = nodes
            .filter(|node| node["ok"] != true)
            .filter_map(|node| node["node"].as_str())
            .collect();
        return Err(format!("{} did not answer", silent.join(", ")));
    }
    let up = result["up_seconds"].as_i64().unwrap_or(0);
    match up >= (settled_after.as_millis() / 1000) as i64 {
        true => Ok(()),
        false => Err(format!("a node is up for {up} s only and may not know yet")),
    }
}

/// The group labels of an Alertmanager's group key, or those of Muster's own grouping: what every alert of the group has.
/// `None` when the key cannot be taken apart with certainty.
fn group_labels(group_key: &str) -> Option<Vec<Matcher>> {
    // Written by Go's own quoting, of which matchers know three escapes only.
    let is_plain = {
        let mut chars = group_key.chars();
        let mut fine = true;
        while let Some(c) = chars.next() {
            fine &= c != '\\' || chars.next().is_some_and(|next| ['\\', '"', 'n'].contains(&next));
        }
        fine
    };
    if !is_plain {
        return None;
    }
    if let Some(own) = own_group(group_key) {
        return Some(own);
    }
    let starts = group_key.match_indices(":{").map(|(at, _)| at + 1);
    starts
        .filter_map(|at| match &group_key[at..] {
            "{}" => Some(Vec::new()),
            rest => Matcher::parse_list(rest).ok(),
        })
        .find(|matchers| matchers.iter().all(|matcher| matcher.op == MatchOp::Equal))
}

/// `{"alertname"="Down","cluster"="a"}`: names are quoted, and there is no route before it.
fn own_group(group_key: &str) -> Option<Vec<Matcher>> {
    let inside = group_key.strip_prefix("{\"")?.strip_suffix("\"}")?;
    let pairs = inside.split("\",\"").map(|pair| {
        let (name, value) = pair.split_once("\"=\"")?;
        // More quotes than these and it is not clear where one ends.
        let is_sure = !name.contains(['"', '\\']) && !value.contains(['"', '\\']);
        is_sure
            .then(|| Matcher::new(name, MatchOp::Equal, value).ok())
            .flatten()
    });
    pairs.collect()
}

impl Outward {
    pub(super) async fn ask_about_quiet(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let mut conn = self.pool.acquire().await?;
        let next = now + AGAIN_AFTER.as_delta();
        let quiet = staleness::claim_askable(&mut conn, self.listening_since, now, next, BATCH).await?;
        drop(conn);
        let Some((incident, target)) = quiet
            .first()
            .and_then(|one| Some((one.incident, one.alertmanager.clone()?)))
        else {
            return Ok(0);
        };
        let labels: Vec<&Labels> = quiet.iter().map(|one| &one.labels).collect();
        let shared: Vec<String> = silence::propose(labels)
            .iter()
            .filter(|matcher| matcher.op == MatchOp::Equal)
            .map(Matcher::to_string)
            .collect();
        let fingerprints: Vec<&str> = quiet.iter().map(|one| one.fingerprint.as_str()).collect();
        let mut with = json!({"fingerprints": fingerprints});
        if !shared.is_empty() {
            with["matchers"] = Value::from(shared.join(", "));
        }
        let said = self.ask(&target, with).await;
        let now = self.clock.now();
        let all: Vec<&Quiet> = quiet.iter().collect();
        let mut tx = self.pool.begin().await?;
        match said {
            Ok(result) => {
                let listed: Vec<&str> = texts(&result["listed"]);
                let (firing, over): (Vec<&Quiet>, Vec<&Quiet>) = all
                    .iter()
                    .copied()
                    .partition(|one| listed.contains(&one.fingerprint.as_str()));
                let sure = conclusive(&result, self.settled_after);
                let ended = if sure.is_ok() { over.as_slice() } else { &[] };
                let parts = (ended, firing.as_slice());
                stage::settle(&mut tx, incident, parts, &target, self.hold_down, now).await?;
                if let Err(why) = sure {
                    let reason = format!("{target} was asked in vain: {why}");
                    stage::tell(&mut tx, incident, &over, &reason, now).await?;
                }
            }
            Err(why) => {
                let reason = format!("{target} was asked in vain: {why}");
                stage::tell(&mut tx, incident, &all, &reason, now).await?;
            }
        }
        tx.commit().await?;
        Ok(quiet.len())
    }

    pub(super) async fn ask_about_cut(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let mut conn = self.pool.acquire().await?;
        let Some(cut) = staleness::claim_cut(&mut conn, now, now + AGAIN_AFTER.as_delta()).await? else {
            return Ok(0);
        };
        drop(conn);
        let Some(with) = question(&cut) else {
            return Ok(1);
        };
        let over = match self.ask(&cut.alertmanager, with).await {
            Ok(result) => result["alerts"] == 0 && conclusive(&result, self.settled_after).is_ok(),
            Err(_) => false,
        };
        if over {
            let now = self.clock.now();
            let mut tx = self.pool.begin().await?;
            stage::settle_cut(&mut tx, cut.incident, &cut.alertmanager, self.hold_down, now).await?;
            tx.commit().await?;
        }
        Ok(1)
    }

    async fn ask(&self, target: &str, with: Value) -> Result<Value, String> {
        match self.send(target, with, "muster-asks", 0, true).await {
            Ok(outcome) => Ok(outcome.result),
            Err(failure) => Err(failure.message),
        }
    }
}

/// Which alerts the group could still hold: all that have its labels and go to its receiver.
fn question(cut: &Cut) -> Option<Value> {
    let matchers = group_labels(&cut.group_key)?;
    let words: Vec<String> = matchers.iter().map(Matcher::to_string).collect();
    let mut with = json!({});
    if !words.is_empty() {
        with["matchers"] = Value::from(words.join(", "));
    }
    if !cut.receiver.is_empty() {
        with["receiver"] = Value::from(cut.receiver.as_str());
    }
    (!words.is_empty() || !cut.receiver.is_empty()).then_some(with)
}

fn texts(value: &Value) -> Vec<&str> {
    let items = value.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_key_gives_its_labels_or_nothing() {
        let words = |key: &str| {
            group_labels(key).map(|matchers| {
                let words: Vec<String> = matchers.iter().map(Matcher::to_string).collect();
                words.join(", ")
            })
        };
        for (key, labels) in [
            ("{}:{}", Some("")),
            ("{}:{alertname=\"Down\"}", Some("alertname=\"Down\"")),
            (
                "{}/{team=~\"a|b\"}/{x=\":{y\"}:{alertname=\"Down\", cluster=\"a\"}",
                Some("alertname=\"Down\", cluster=\"a\""),
            ),
            ("{}:{a=\"say \\\"hi\\\"\"}", Some("a=\"say \\\"hi\\\"\"")),
            ("{}:{a=\"tab\\there\"}", None),
            ("{}:{a=\"b\"", None),
            ("no key at all", None),
            (
                "{\"alertname\"=\"Down\",\"größe\"=\"a b\"}",
                Some("alertname=\"Down\", größe=\"a b\""),
            ),
            ("{\"a\"=\"b\\\"c\"}", None),
        ] {
            assert_eq!(words(key).as_deref(), labels, "{key}");
        }
    }

    #[test]
    fn only_a_cluster_that_answered_whole_and_is_up_for_long_is_believed() {
        let limit = Span::from_secs(600);
        let node = |ok: bool| json!({"node": "am-1:9093", "ok": ok});
        let whole = json!({"ok": true, "up_seconds": 600, "nodes": [node(true)]});
        assert_eq!(conclusive(&whole, limit), Ok(()));
        let young = json!({"ok": true, "up_seconds": 599, "nodes": [node(true)]});
        assert!(conclusive(&young, limit).unwrap_err().contains("599 s"));
        let half = json!({"ok": false, "up_seconds": null, "nodes": [node(true), node(false)]});
        assert!(
            conclusive(&half, limit)
                .unwrap_err()
                .contains("am-1:9093 did not answer")
        );
    }
}
