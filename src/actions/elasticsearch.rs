//! Log lines from Elasticsearch (and OpenSearch), by a query string over the last minutes or hours.

use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde_json::{Value, json};

use super::{
    Call,
    client::{self, LOGS_BODY_BYTES_MAX, Message},
    inputs::Inputs,
    invalid,
    lines::{self, Line},
    refused,
};
use crate::domain::{
    action::{Failure, Outcome},
    span::Span,
    step::ActionKind,
    target::HttpConnection,
};

struct Ask<'a> {
    index: &'a str,
    query: &'a str,
    since: Span,
    limit: usize,
}

impl<'a> Ask<'a> {
    fn read(with: &'a Value) -> Result<Self, Failure> {
        let inputs = Inputs::read(with, ActionKind::Elasticsearch)?;
        let index = inputs.text("index")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-*,".contains(c);
        if !index.chars().all(plain) || index.starts_with(['_', '-', '.']) && !index.starts_with(".ds-") {
            return Err(invalid(
                "with.index must be index names of letters, digits and . _ - * ,",
            ));
        }
        Ok(Self {
            index,
            query: inputs.text("query")?,
            since: inputs.span("since", Span::from_secs(15 * 60))?,
            limit: lines::limit(&inputs)?,
        })
    }

    fn body(&self) -> Value {
        let since = format!("now-{}s", self.since.as_millis() / 1000);
        json!({
            "size": self.limit,
            "sort": [{"@timestamp": "desc"}],
            "query": {"bool": {"filter": [
                {"query_string": {"query": self.query}},
                {"range": {"@timestamp": {"gte": since}}},
            ]}},
        })
    }
}

pub(super) fn describe(name: &str, web: &HttpConnection, with: &Value) -> Result<String, Failure> {
    let ask = Ask::read(with)?;
    let url = client::below(web, "")?;
    Ok(format!(
        "search {} on {name} ({url}), last {}, at most {} lines: {}",
        ask.index, ask.since, ask.limit, ask.query
    ))
}

pub(super) async fn perform(call: &Call<'_>, web: &HttpConnection) -> Result<Outcome, Failure> {
    let ask = Ask::read(&call.request.with)?;
    let message = Message {
        method: Method::POST,
        url: client::below(web, &format!("{}/_search", ask.index))?,
        headers: HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]),
        body: Some(ask.body().to_string().into_bytes()),
        answer_bytes_max: LOGS_BODY_BYTES_MAX,
    };
    let answer = client::read_json(call, web, message).await?;
    let mut outcome = lines::outcome(call.redactor, read(&answer)?);
    let failed_shards = answer["_shards"]["failed"].as_u64().unwrap_or(0);
    if answer["timed_out"] == true || failed_shards > 0 {
        outcome.result["partial"] = Value::Bool(true);
        outcome.summary.push_str(", not from all shards");
    }
    Ok(outcome)
}

fn read(answer: &Value) -> Result<Vec<Line>, Failure> {
    let hits = answer["hits"]["hits"]
        .as_array()
        .ok_or_else(|| refused("the answer is not that of a search"))?;
    // The newest comes first.
    Ok(hits
        .iter()
        .rev()
        .map(|hit| {
            let source = &hit["_source"];
            Line {
                at: source["@timestamp"].as_str().map(str::to_owned),
                text: source["message"]
                    .as_str()
                    .map_or_else(|| source.to_string(), str::to_owned),
            }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_become_lines_in_time_order() {
        let answer = json!({"hits": {"hits": [
            {"_source": {"@timestamp": "2026-01-01T00:00:02Z", "message": "new"}},
            {"_source": {"@timestamp": "2026-01-01T00:00:01Z", "event": {"code": 7}}},
        ]}});
        let lines = read(&answer).unwrap();
        assert_eq!(
            lines[0].text,
            r#"{"@timestamp":"2026-01-01T00:00:01Z","event":{"code":7}}"#
        );
        assert_eq!(
            (lines[1].text.as_str(), lines[1].at.as_deref()),
            ("new", Some("2026-01-01T00:00:02Z"))
        );
        assert!(read(&json!({"error": "x"})).is_err());
    }

    #[test]
    fn an_index_is_only_a_name() {
        for (index, good) in [
            ("logs-*", true),
            ("logs-app,logs-db", true),
            (".ds-logs-2026", true),
            ("../_cluster", false),
            ("_all", false),
            ("a/_delete_by_query", false),
            ("a?b", false),
            ("a%2f_x", false),
        ] {
            assert_eq!(
                Ask::read(&json!({"index": index, "query": "*"})).is_ok(),
                good,
                "{index}"
            );
        }
    }
}
