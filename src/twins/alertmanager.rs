//! The twin of an Alertmanager: it keeps silences by itself, as the real one does; of anything else the oracle is asked.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Reply,
    post::Desk,
    web::{self, End, Question},
};

/// The most silences that are kept.
const SILENCES_MAX: usize = 1000;
/// How long it has been up when a drill begins: a young one would not be believed that an alert is over.
const UP_BEFORE: TimeDelta = TimeDelta::days(30);

/// What it knows.
pub(super) struct Memory {
    began: DateTime<Utc>,
    silences: Mutex<Silences>,
}

#[derive(Default)]
struct Silences {
    /// By number, which rises, so that two equal drills give the same.
    all: BTreeMap<Uuid, Silence>,
    made: u128,
}

struct Silence {
    matchers: Value,
    created_by: Value,
    comment: Value,
    starts: DateTime<Utc>,
    ends: DateTime<Utc>,
    updated: DateTime<Utc>,
}

impl Memory {
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        Self {
            began: now - UP_BEFORE,
            silences: Mutex::default(),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Silences) -> T) -> T {
        act(&mut self.silences.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Silences {
    fn make(&mut self, body: &str, now: DateTime<Utc>) -> Result<Uuid, &'static str> {
        let wanted: Value = serde_json::from_str(body).map_err(|_| "a silence is written in JSON")?;
        let moment = |name: &str| {
            let text = wanted[name].as_str().ok_or("startsAt and endsAt are missing")?;
            let at = DateTime::parse_from_rfc3339(text);
            at.map(|at| at.to_utc())
                .map_err(|_| "startsAt or endsAt is no time")
        };
        let silence = Silence {
            matchers: wanted["matchers"].clone(),
            created_by: wanted["createdBy"].clone(),
            comment: wanted["comment"].clone(),
            starts: moment("startsAt")?.max(now),
            ends: moment("endsAt")?,
            updated: now,
        };
        if silence.matchers.as_array().is_none_or(Vec::is_empty) {
            return Err("at least one matcher required");
        }
        if silence.comment.as_str().is_none_or(str::is_empty) {
            return Err("comment missing");
        }
        if silence.ends <= silence.starts {
            return Err("end time must be after start time");
        }
        if self.all.len() >= SILENCES_MAX {
            return Err("there are too many silences");
        }
        self.made += 1;
        let id = Uuid::from_u128(self.made);
        self.all.insert(id, silence);
        Ok(id)
    }

    /// Whether there is one of that number; from now on it is over.
    fn end(&mut self, id: Uuid, now: DateTime<Utc>) -> bool {
        let Some(silence) = self.all.get_mut(&id) else {
            return false;
        };
        if silence.ends > now {
            silence.ends = now;
            silence.updated = now;
        }
        true
    }
}

fn shown(id: &Uuid, silence: &Silence, now: DateTime<Utc>) -> Value {
    let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let state = match () {
        () if now >= silence.ends => "expired",
        () if now < silence.starts => "pending",
        () => "active",
    };
    json!({
        "id": id,
        "status": {"state": state},
        "matchers": silence.matchers,
        "startsAt": text(silence.starts),
        "endsAt": text(silence.ends),
        "updatedAt": text(silence.updated),
        "createdBy": silence.created_by,
        "comment": silence.comment,
    })
}

pub(super) async fn answer(desk: &Desk, memory: &Memory, question: Question) -> End {
    let now = desk.oracle.now();
    let place = question.place().to_owned();
    let Some((_, what)) = place.split_once("/api/v2/") else {
        return web::nothing_there(&question);
    };
    let numbered = what.strip_prefix("silence/").and_then(|id| id.parse().ok());
    match (question.method.as_str(), what, numbered) {
        ("GET", "status", _) => End::json(json!({
            "uptime": memory.began.to_rfc3339_opts(SecondsFormat::Millis, true),
            "cluster": {"status": "disabled"},
            "config": {"original": ""},
            "versionInfo": {"version": "0.28.0"},
        })),
        ("GET", "silences", _) => End::json(memory.with(|silences| {
            let all = silences.all.iter().map(|(id, silence)| shown(id, silence, now));
            Value::Array(all.collect())
        })),
        ("POST", "silences", _) => match memory.with(|silences| silences.make(&question.body, now)) {
            Ok(id) => End::json(json!({"silenceID": id})),
            Err(why) => End::Said {
                status: 400,
                body: Some(Value::String(why.to_owned())),
            },
        },
        ("GET", _, Some(id)) => {
            let found = memory.with(|silences| Some(shown(&id, silences.all.get(&id)?, now)));
            found.map_or_else(|| web::nothing_there(&question), End::json)
        }
        ("DELETE", _, Some(id)) => match memory.with(|silences| silences.end(id, now)) {
            true => End::Said {
                status: 200,
                body: None,
            },
            false => web::nothing_there(&question),
        },
        _ => match (desk.ask(question.asked()).await, what) {
            // Nothing to say of alerts is: there are none.
            (Reply::Done, "alerts") => End::json(json!([])),
            (reply, _) => End::of(desk, reply, 500),
        },
    }
}
