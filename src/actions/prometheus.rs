//! One Prometheus instant query.

use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};

use super::{
    Call,
    client::{self, BODY_BYTES_MAX, Message},
    inputs::Inputs,
    invalid, refused,
};
use crate::domain::{
    action::{Failure, Outcome},
    step::ActionKind,
    target::HttpConnection,
};

/// The most samples a result keeps.
const SAMPLES_MAX: usize = 100;

fn query(with: &Value) -> Result<&str, Failure> {
    Inputs::read(with, ActionKind::Prometheus)?.text("query")
}

pub(super) fn describe(name: &str, web: &HttpConnection, with: &Value) -> Result<String, Failure> {
    Ok(format!(
        "PromQL on {name} ({}): {}",
        client::below(web, "")?,
        query(with)?
    ))
}

pub(super) async fn perform(call: &Call<'_>, web: &HttpConnection) -> Result<Outcome, Failure> {
    let query = query(&call.request.with)?;
    let mut url = client::below(web, "api/v1/query")?;
    url.query_pairs_mut().append_pair("query", query);
    let message = Message {
        method: Method::GET,
        url,
        headers: HeaderMap::new(),
        body: None,
        answer_bytes_max: BODY_BYTES_MAX,
    };
    outcome(&client::read_json(call, web, message).await?)
}

fn outcome(answer: &Value) -> Result<Outcome, Failure> {
    let data = &answer["data"];
    let (found, samples): (usize, Vec<Value>) = match (data["resultType"].as_str(), &data["result"]) {
        (Some("vector"), Value::Array(series)) => (
            series.len(),
            series
                .iter()
                .take(SAMPLES_MAX)
                .map(|one| json!({"labels": one["metric"], "value": number(&one["value"][1])}))
                .collect(),
        ),
        (Some("scalar"), pair) => (1, vec![json!({"labels": {}, "value": number(&pair[1])})]),
        (Some(kind @ ("matrix" | "string")), _) => {
            return Err(invalid(format!(
                "with.query gives a {kind}; a check needs numbers at one moment"
            )));
        }
        _ => return Err(refused("the answer is not that of a Prometheus query")),
    };
    let value = samples
        .first()
        .map_or(Value::Null, |sample| sample["value"].clone());
    Ok(Outcome {
        summary: match found {
            0 => "no samples".to_owned(),
            1 => format!("value {value}"),
            n => format!("{n} samples, the first is {value}"),
        },
        result: json!({
            "ok": found > 0,
            "value": value,
            "samples": samples,
            "sample_count": found,
        }),
    })
}

/// Prometheus writes numbers as texts. JSON has no NaN and no infinity: those are null, so no comparison holds.
fn number(text: &Value) -> Value {
    let number = text.as_str().and_then(|text| text.parse::<f64>().ok());
    number.map_or(Value::Null, Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_become_numbers() {
        let sample = |value: &str| json!({"metric": {"job": "db"}, "value": [1.5, value]});
        let vector = |series: Vec<Value>| json!({"status": "success", "data": {"resultType": "vector", "result": series}});
        let one = outcome(&vector(vec![sample("1"), sample("2.5")])).unwrap();
        assert_eq!(
            one.result,
            json!({"ok": true, "value": 1.0, "sample_count": 2, "samples": [
                {"labels": {"job": "db"}, "value": 1.0}, {"labels": {"job": "db"}, "value": 2.5}]})
        );
        let none = outcome(&vector(vec![])).unwrap().result;
        assert_eq!((&none["ok"], &none["value"]), (&json!(false), &Value::Null));
        let nan = outcome(&vector(vec![sample("NaN")])).unwrap().result;
        assert_eq!((&nan["ok"], &nan["value"]), (&json!(true), &Value::Null));
        let many = outcome(&vector(vec![sample("3"); 500])).unwrap().result;
        assert_eq!(
            (many["samples"].as_array().unwrap().len(), &many["sample_count"]),
            (100, &json!(500))
        );
        let scalar = outcome(&json!({"data": {"resultType": "scalar", "result": [1, "7"]}})).unwrap();
        assert_eq!(scalar.result["value"], 7.0);
        assert!(outcome(&json!({"data": {"resultType": "matrix", "result": []}})).is_err());
        assert!(outcome(&json!({"hello": "world"})).is_err());
    }
}
