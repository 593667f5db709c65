//! Log lines from Loki, by a LogQL query over the last minutes or hours.

use chrono::{DateTime, SecondsFormat};
use reqwest::{Method, header::HeaderMap};
use serde_json::Value;

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
    query: &'a str,
    since: Span,
    limit: usize,
}

impl<'a> Ask<'a> {
    fn read(with: &'a Value) -> Result<Self, Failure> {
        let inputs = Inputs::read(with, ActionKind::Loki)?;
        Ok(Self {
            query: inputs.text("query")?,
            since: inputs.span("since", Span::from_secs(15 * 60))?,
            limit: lines::limit(&inputs)?,
        })
    }
}

pub(super) fn describe(name: &str, web: &HttpConnection, with: &Value) -> Result<String, Failure> {
    let ask = Ask::read(with)?;
    let url = client::below(web, "")?;
    Ok(format!(
        "LogQL on {name} ({url}), last {}, at most {} lines: {}",
        ask.since, ask.limit, ask.query
    ))
}

pub(super) async fn perform(call: &Call<'_>, web: &HttpConnection) -> Result<Outcome, Failure> {
    let ask = Ask::read(&call.request.with)?;
    let mut url = client::below(web, "loki/api/v1/query_range")?;
    url.query_pairs_mut()
        .append_pair("query", ask.query)
        .append_pair("limit", &ask.limit.to_string())
        // Back from the server's own now.
        .append_pair("since", &format!("{}s", ask.since.as_millis() / 1000))
        .append_pair("direction", "backward");
    let message = Message {
        method: Method::GET,
        url,
        headers: HeaderMap::new(),
        body: None,
        answer_bytes_max: LOGS_BODY_BYTES_MAX,
    };
    let answer = client::read_json(call, web, message).await?;
    Ok(lines::outcome(call.redactor, read(&answer)?))
}

fn read(answer: &Value) -> Result<Vec<Line>, Failure> {
    let data = &answer["data"];
    let streams = match (data["resultType"].as_str(), data["result"].as_array()) {
        (Some("streams"), Some(streams)) => streams,
        (Some(_), _) => return Err(invalid("with.query gives numbers, not log lines")),
        _ => return Err(refused("the answer is not that of a Loki query")),
    };
    let mut entries: Vec<(i64, &str)> = streams
        .iter()
        .flat_map(|stream| stream["values"].as_array().into_iter().flatten())
        .filter_map(|entry| Some((entry[0].as_str()?.parse().ok()?, entry[1].as_str()?)))
        .collect();
    // Streams come newest first, so equal times turn around with the rest.
    entries.reverse();
    entries.sort_by_key(|(ns, _)| *ns);
    Ok(entries
        .into_iter()
        .map(|(ns, text)| Line {
            at: Some(DateTime::from_timestamp_nanos(ns).to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            text: text.to_owned(),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn streams_become_lines_in_time_order() {
        let answer = json!({"status": "success", "data": {"resultType": "streams", "result": [
            {"stream": {"pod": "a"}, "values": [["1700000000000000003", "c"], ["1700000000000000001", "a"]]},
            {"stream": {"pod": "b"}, "values": [["1700000000000000002", "b"]]},
        ]}});
        let lines = read(&answer).unwrap();
        let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["a", "b", "c"]);
        assert_eq!(lines[0].at.as_deref(), Some("2023-11-14T22:13:20.000000001Z"));
        assert!(read(&json!({"data": {"resultType": "matrix", "result": []}})).is_err());
        assert!(read(&json!({})).is_err());
    }
}
