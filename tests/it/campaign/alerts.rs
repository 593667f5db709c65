//! The senders: each group is sent until somebody answers 2xx, some again and some to two replicas at once.

use std::{collections::BTreeSet, sync::Arc, sync::atomic::Ordering, time::Duration};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{World, chance::Chance, shapes::SHAPES};
use crate::support::muster::TOKEN;

/// How long a sender waits for an answer before it tries another replica.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// What a group is about.
pub struct Group {
    pub number: usize,
    pub shape: &'static str,
    pub host: usize,
}

impl Group {
    pub fn of(seed: u64, number: usize, hosts: usize) -> Self {
        let mut chance = Chance::of(seed, ("group", number));
        Self {
            number,
            shape: chance.weighted(&SHAPES),
            host: chance.below(hosts),
        }
    }

    pub fn key(&self) -> String {
        format!("{{}}:{{group=\"{}\"}}", self.number)
    }

    /// A delivery of the group, with its mark in it. A later one names one alert more.
    fn body(&self, part: usize) -> (String, Value) {
        let mark = format!("delivery-{}-{part}", self.number);
        let alert = |name: &str| {
            json!({
                "status": "firing",
                "labels": {
                    "alertname": name, "shape": self.shape, "host": format!("h{}", self.host),
                    "group": self.number.to_string(),
                },
                "annotations": {"mark": mark},
                "startsAt": "2026-11-21T02:00:00Z",
            })
        };
        let alerts: Vec<Value> = (0..=part).map(|at| alert(&format!("Broken{at}"))).collect();
        let body = json!({"receiver": "r", "groupKey": self.key(), "alerts": alerts});
        (mark, body)
    }
}

/// Sends groups as long as there are any, never many more than the campaign has got to.
pub async fn send(world: Arc<World>, sender: usize, stop: CancellationToken) {
    let mut chance = Chance::of(world.scale.seed, ("sender", sender));
    muster::actions::install_crypto();
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .unwrap();
    while !stop.is_cancelled() {
        let number = world.groups.fetch_add(1, Ordering::SeqCst);
        if number >= world.scale.runs {
            return;
        }
        while number >= world.groups_due() && !stop.is_cancelled() {
            tokio::time::sleep(PAUSE).await;
        }
        let group = Group::of(world.scale.seed, number, world.scale.hosts);
        let parts = 1 + usize::from(chance.percent(15));
        for part in 0..parts {
            let (mark, body) = group.body(part);
            deliver(&world, &client, &mut chance, &mark, &body, &stop).await;
        }
    }
}

async fn deliver(
    world: &World,
    client: &reqwest::Client,
    chance: &mut Chance,
    mark: &str,
    body: &Value,
    stop: &CancellationToken,
) {
    let post = async |address: std::net::SocketAddr| {
        let url = format!("http://{address}/api/v1/sources/test/alertmanager");
        let request = client.post(url).bearer_auth(TOKEN).json(body);
        let is_stored = request
            .send()
            .await
            .is_ok_and(|answer| answer.status().is_success());
        if is_stored {
            world.acknowledged.lock().unwrap().push(mark.to_owned());
        }
        is_stored
    };
    let mut wanted = 1 + usize::from(chance.percent(15));
    let at_once = chance.percent(15);
    while wanted > 0 && !stop.is_cancelled() {
        let address = *chance.one_of(&world.addresses);
        if at_once {
            let other = *chance.one_of(&world.addresses);
            let (here, there) = tokio::join!(post(address), post(other));
            wanted = wanted.saturating_sub(usize::from(here) + usize::from(there));
        } else {
            wanted -= usize::from(post(address).await);
        }
        if wanted > 0 {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The marks in the bodies that Muster keeps.
pub fn marks(bodies: &[Vec<u8>]) -> BTreeSet<String> {
    bodies
        .iter()
        .filter_map(|body| {
            let body: Value = serde_json::from_slice(body).ok()?;
            Some(body["alerts"][0]["annotations"]["mark"].as_str()?.to_owned())
        })
        .collect()
}
