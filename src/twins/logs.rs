//! The twins of what keeps log lines: Loki, Elasticsearch, a file.

use std::{io, path::Path};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{
    Asked, Reply,
    post::Desk,
    web::{self, End, Question},
};

/// How far back is looked when a question does not say.
const SINCE_DEFAULT_S: f64 = 3600.0;
/// How many lines are given when a question does not say.
const LIMIT_DEFAULT: usize = 100;
/// The longest file that is written; of more, the newest lines are kept.
const FILE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Which lines are wanted.
struct Window {
    since_s: f64,
    limit: usize,
}

impl Window {
    /// `since` as in `900s`.
    fn new(since: Option<&str>, limit: Option<usize>) -> Self {
        let since_s = since.and_then(|text| text.strip_suffix('s')?.parse().ok());
        Self {
            since_s: since_s.unwrap_or(SINCE_DEFAULT_S),
            limit: limit.unwrap_or(LIMIT_DEFAULT),
        }
    }

    /// The lines in it with their times, newest first, as both services give them.
    fn of(
        &self,
        lines: Vec<(f64, String)>,
        now: DateTime<Utc>,
    ) -> impl Iterator<Item = (DateTime<Utc>, String)> {
        let since_s = self.since_s;
        let inside = lines.into_iter().rev().filter(move |(age, _)| *age <= since_s);
        inside
            .take(self.limit)
            .map(move |(age, text)| (before(now, age), text))
    }
}

/// The time that many seconds ago.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a time too far away stays at the end of what there is"
)]
fn before(now: DateTime<Utc>, age_s: f64) -> DateTime<Utc> {
    let age = TimeDelta::microseconds((age_s * 1e6) as i64);
    now.checked_sub_signed(age).unwrap_or(now)
}

pub(super) async fn loki(desk: &Desk, question: Question) -> End {
    let is_query = question.place().ends_with("/loki/api/v1/query_range");
    let Some(text) = is_query.then(|| question.given("query")).flatten() else {
        return web::nothing_there(&question);
    };
    let limit = question.given("limit").and_then(|limit| limit.parse().ok());
    let window = Window::new(question.given("since").as_deref(), limit);
    let lines = match lines(desk, text, Vec::new()).await {
        Ok(lines) => lines,
        Err(end) => return end,
    };
    let values: Vec<Value> = window
        .of(lines, desk.oracle.now())
        .map(|(at, text)| json!([at.timestamp_nanos_opt().unwrap_or_default().to_string(), text]))
        .collect();
    let streams = match values.is_empty() {
        true => json!([]),
        false => json!([{"stream": {"target": desk.name}, "values": values}]),
    };
    End::json(json!({"status": "success", "data": {"resultType": "streams", "result": streams}}))
}

pub(super) async fn elasticsearch(desk: &Desk, question: Question) -> End {
    let place = question.place().strip_suffix("/_search");
    let index = place.and_then(|place| place.rsplit('/').next());
    let body: Value = serde_json::from_str(&question.body).unwrap_or_default();
    let filters = &body["query"]["bool"]["filter"];
    let found = |path: &str| {
        let filters = filters.as_array().into_iter().flatten();
        filters.filter_map(|filter| filter.pointer(path)?.as_str()).next()
    };
    let (Some(index), Some(query)) = (index, found("/query_string/query")) else {
        return web::nothing_there(&question);
    };
    let since = found("/range/@timestamp/gte").and_then(|since| since.strip_prefix("now-"));
    let limit = body["size"].as_u64().and_then(|size| size.try_into().ok());
    let window = Window::new(since, limit);
    let lines = match lines(desk, query.to_owned(), vec![Some(index.to_owned())]).await {
        Ok(lines) => lines,
        Err(end) => return end,
    };
    let hits: Vec<Value> = window
        .of(lines, desk.oracle.now())
        .map(|(at, text)| {
            let at = at.to_rfc3339_opts(SecondsFormat::Millis, true);
            json!({"_index": index, "_source": {"@timestamp": at, "message": text}})
        })
        .collect();
    End::json(json!({
        "took": 1,
        "timed_out": false,
        "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
        "hits": {"total": {"value": hits.len(), "relation": "eq"}, "hits": hits},
    }))
}

async fn lines(desk: &Desk, text: String, params: Vec<Option<String>>) -> Result<Vec<(f64, String)>, End> {
    match desk.ask(Asked::Query { text, params }).await {
        Reply::Lines(lines) => Ok(lines),
        Reply::Done => Ok(Vec::new()),
        other => Err(End::of(desk, other, 500)),
    }
}

/// Puts the lines into a file in one go, so that nobody reads half of them.
pub(super) async fn write(log: &Path, lines: &[(f64, String)]) -> io::Result<()> {
    let mut room = FILE_BYTES_MAX;
    let newest = lines.iter().rev().take_while(|(_, line)| {
        let fits = line.len() < room;
        room = room.saturating_sub(line.len() + 1);
        fits
    });
    let kept = newest.count();
    let mut text = String::new();
    for (_, line) in &lines[lines.len() - kept..] {
        text.push_str(line);
        text.push('\n');
    }
    let draft = log.with_extension(uuid::Uuid::new_v4().simple().to_string());
    tokio::fs::write(&draft, text).await?;
    let moved = tokio::fs::rename(&draft, log).await;
    if moved.is_err() {
        // The error of the move is the one to be told.
        let _ = tokio::fs::remove_file(&draft).await;
    }
    moved
}
