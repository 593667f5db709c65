//! The twin of a Prometheus server: instant queries.

use serde_json::{Value, json};

use super::{
    Asked, Reply,
    post::Desk,
    web::{self, End, Question},
};

pub(super) async fn answer(desk: &Desk, question: Question) -> End {
    let query = question
        .place()
        .ends_with("/api/v1/query")
        .then(|| question.given("query"));
    let Some(text) = query.flatten() else {
        return web::nothing_there(&question);
    };
    let asked = Asked::Query {
        text,
        params: Vec::new(),
    };
    let samples = match desk.ask(asked).await {
        Reply::Samples(samples) => samples,
        Reply::Done => Vec::new(),
        other => return End::of(desk, other, 500),
    };
    let now = desk.oracle.now().timestamp();
    let series: Vec<Value> = samples
        .into_iter()
        .map(|(labels, value)| json!({"metric": labels, "value": [now, number(value)]}))
        .collect();
    End::json(json!({"status": "success", "data": {"resultType": "vector", "result": series}}))
}

/// A number as Prometheus writes it.
fn number(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}
