//! A recording: requests of real senders as they arrived, and what they must lead to.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::Value;

/// Where recordings lie unless `MUSTER_RECORDINGS` names folders, one or more with `:` between them.
const FOLDERS: [&str; 2] = ["tests/data/alertmanager", "tests/data/recordings"];

/// How close in time requests are that may as well have arrived the other way round.
const NEIGHBOURS: TimeDelta = TimeDelta::seconds(1);

/// What is counted at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Counts {
    #[serde(rename = "incidents_opened")]
    pub opened: i64,
    #[serde(rename = "incidents_open_at_end")]
    pub open: i64,
    #[serde(rename = "incident_reopens")]
    pub reopened: i64,
    #[serde(rename = "alerts_firing_at_end")]
    pub firing: i64,
    #[serde(rename = "alerts_resolved_at_end")]
    pub resolved: i64,
}

impl Counts {
    /// Whether this is what was stated. A group that comes back a moment after its end may come back into its incident
    /// or open the next one.
    pub fn is(self, stated: Self) -> bool {
        let parts = |counts: Self| {
            (
                counts.opened + counts.reopened,
                counts.open,
                counts.firing,
                counts.resolved,
            )
        };
        parts(self) == parts(stated)
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Each path is a source.
    pub source: String,
    /// The end of the address that reads such a body.
    pub format: &'static str,
    pub body: String,
    pub received_at: DateTime<Utc>,
    /// Its group and its alerts: what is said of one of them is said in order.
    subjects: BTreeSet<String>,
}

/// A file of them.
#[derive(Clone, Debug)]
pub struct Recording {
    pub name: String,
    pub requests: Vec<Request>,
    /// The counts that are right; any will do, and none means that only the second pass is judged.
    pub stated: Vec<Counts>,
    /// Its firing bodies are signs of life and nothing else.
    pub is_heartbeat: bool,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    expect: Option<Counts>,
    #[serde(default)]
    expect_after_replaying_all_in_order: BTreeMap<String, Counts>,
    requests: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    path: String,
    received_at: DateTime<Utc>,
    body_raw: String,
}

impl Recording {
    /// All there are, in the order of their names.
    pub fn all() -> Vec<Self> {
        let told = std::env::var("MUSTER_RECORDINGS").unwrap_or(FOLDERS.join(":"));
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files: Vec<_> = told
            .split(':')
            .flat_map(|folder| std::fs::read_dir(root.join(folder)).unwrap())
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
            .collect();
        files.sort();
        assert!(!files.is_empty(), "no recording in {told}");
        files.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Self {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path).unwrap();
        let file: File = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let stated = file.expect.into_iter();
        let is_heartbeat = name.contains("heartbeat") || name.contains("watchdog");
        Self {
            is_heartbeat,
            stated: match is_heartbeat {
                true => vec![Counts::default()],
                false => stated
                    .chain(file.expect_after_replaying_all_in_order.into_values())
                    .collect(),
            },
            requests: file.requests.into_iter().map(Request::of).collect(),
            name,
        }
    }

    /// Its sources.
    pub fn sources(&self) -> BTreeSet<&str> {
        self.requests
            .iter()
            .map(|request| request.source.as_str())
            .collect()
    }

    /// Whether a sender's word lasts for a while only: then it must be heard by the sender's own clock.
    pub fn has_leases(&self) -> bool {
        self.requests
            .iter()
            .any(|request| request.format.starts_with("prometheus"))
    }

    /// The requests in another order that the senders might have arrived in: what is said of one group, or of one alert,
    /// stays in order, and where leases run by the sender's clock only neighbours change places.
    pub fn shuffled(&self, seed: u64) -> Vec<Request> {
        let has_leases = self.has_leases();
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut left: Vec<&Request> = self.requests.iter().collect();
        let mut shuffled = Vec::new();
        while !left.is_empty() {
            let may_come_before = |request: &Request, before: &Request| {
                let gap = request.received_at - before.received_at;
                request.subjects.is_disjoint(&before.subjects) && (!has_leases || gap < NEIGHBOURS)
            };
            let is_free = |at: &usize| {
                left[..*at]
                    .iter()
                    .all(|before| may_come_before(left[*at], before))
            };
            let free: Vec<usize> = (0..left.len()).filter(is_free).collect();
            let at = *rng.choice(&free).unwrap();
            shuffled.push(left.remove(at).clone());
        }
        shuffled
    }
}

impl Request {
    fn of(line: Line) -> Self {
        let body: Value = serde_json::from_str(&line.body_raw).unwrap_or_default();
        let format = match line.path.trim_end_matches('/') {
            path if path.ends_with("/api/v2/alerts") => "prometheus/api/v2/alerts",
            path if path.ends_with("/api/v1/alerts") => "prometheus/api/v1/alerts",
            _ if body.get("orgId").is_some() => "grafana",
            _ => "alertmanager",
        };
        let source: Vec<&str> = line
            .path
            .split('/')
            .filter(|part| !part.is_empty() && *part != "hook")
            .collect();
        let source = source
            .join("-")
            .replace("-api-v2-alerts", "")
            .replace("-api-v1-alerts", "");
        let alerts = body
            .get("alerts")
            .unwrap_or(&body)
            .as_array()
            .cloned()
            .unwrap_or_default();
        let group = body.get("groupKey").map(|key| format!("{source} {key}"));
        let alerts = alerts.iter().map(|alert| format!("{source} {}", alert["labels"]));
        Self {
            subjects: alerts.chain(group).collect(),
            source: match source.as_str() {
                "" => "root".to_owned(),
                _ => source.to_lowercase(),
            },
            format,
            body: line.body_raw,
            received_at: line.received_at,
        }
    }
}
