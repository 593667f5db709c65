//! Twins that speak HTTP, and the log file.

use super::*;

fn lines() -> Reply {
    let line = |age: f64, text: &str| (age, text.to_owned());
    Reply::Lines(vec![
        line(7200.0, "long ago"),
        line(90.5, "one"),
        line(60.0, "two"),
        line(0.0, "three"),
    ])
}

#[tokio::test]
async fn a_service_answers_what_the_oracle_says() {
    let stage = Stage::open(Connection::Http(far("v1/")), |asked| match asked {
        Asked::Web { method, .. } if method == "GET" => Reply::Web {
            status: 503,
            body: json!("busy"),
        },
        Asked::Web { method, .. } if method == "PUT" => Reply::Done,
        _ => Reply::Web {
            status: 202,
            body: json!({"job": 7}),
        },
    })
    .await;
    let sent = json!({"method": "POST", "path": "/jobs", "query": {"dry": false}, "body": {"to": "b"}});
    let outcome = stage.go(sent).await.unwrap().result;
    assert_eq!(
        (&outcome["status"], &outcome["body"]),
        (&json!(202), &json!({"job": 7}))
    );
    assert_eq!(
        stage.script.heard(),
        [(
            "thing".to_owned(),
            Asked::Web {
                method: "POST".to_owned(),
                path: "/v1/jobs?dry=false".to_owned(),
                body: "{\"to\":\"b\"}".to_owned(),
            }
        )]
    );
    let outcome = stage.look(json!({})).await.unwrap().result;
    assert_eq!(
        (&outcome["ok"], &outcome["status"], &outcome["body"]),
        (&json!(false), &json!(503), &json!("busy"))
    );
    let outcome = stage.go(json!({"method": "PUT"})).await.unwrap().result;
    assert_eq!((&outcome["ok"], &outcome["status"]), (&json!(true), &json!(204)));
}

#[tokio::test]
async fn a_refusal_says_that_nothing_was_done() {
    let stage = Stage::saying(Connection::Http(far("")), Reply::Refused("no".to_owned())).await;
    let looked = stage.look(json!({})).await.unwrap().result;
    assert_eq!((&looked["status"], &looked["body"]), (&json!(500), &json!("no")));
    let failure = stage
        .go(json!({"method": "DELETE", "path": "x"}))
        .await
        .unwrap_err();
    assert_eq!(failure.class, FailureClass::Refused);
}

#[tokio::test]
async fn a_body_that_is_too_long_is_not_read() {
    let stage = Stage::saying(Connection::Http(far("")), Reply::Done).await;
    let body = "x".repeat(1024 * 1024 + 1);
    let failure = stage
        .go(json!({"method": "POST", "body": body}))
        .await
        .unwrap_err();
    assert!(failure.message.contains("413"), "{failure}");
    assert_eq!(stage.script.heard(), []);
}

#[tokio::test]
async fn samples_are_those_of_the_query() {
    let stage = Stage::open(Connection::Prometheus(far("prometheus")), |_| {
        let job = |name: &str| [("job".to_owned(), name.to_owned())].into();
        Reply::Samples(vec![
            (job("a"), 0.25),
            (job("b"), f64::INFINITY),
            (job("c"), 1e21),
        ])
    })
    .await;
    let result = stage
        .look(json!({"query": "lag{job=~\".+\"}"}))
        .await
        .unwrap()
        .result;
    assert_eq!(
        result["samples"],
        json!([
            {"labels": {"job": "a"}, "value": 0.25},
            {"labels": {"job": "b"}, "value": null},
            {"labels": {"job": "c"}, "value": 1e21},
        ])
    );
    let asked = Asked::Query {
        text: "lag{job=~\".+\"}".to_owned(),
        params: Vec::new(),
    };
    assert_eq!(stage.script.heard(), [("thing".to_owned(), asked)]);
}

#[tokio::test]
async fn both_log_services_give_the_newest_lines_of_the_time_that_was_asked_for() {
    for (real, with, asked) in [
        (
            Connection::Loki(far("loki-x")),
            json!({"query": "{app=\"a b\"}"}),
            ("{app=\"a b\"}", vec![]),
        ),
        (
            Connection::Elasticsearch(far("es")),
            json!({"query": "level:error", "index": "logs-a,logs-b"}),
            ("level:error", vec![Some("logs-a,logs-b".to_owned())]),
        ),
    ] {
        let stage = Stage::saying(real, lines()).await;
        let texts = |result: &Value| -> Vec<String> {
            let lines = result["lines"].as_array().unwrap().iter();
            lines
                .map(|line| line["text"].as_str().unwrap().to_owned())
                .collect()
        };
        let all = stage.look(with.clone()).await.unwrap().result;
        assert_eq!(texts(&all), ["one", "two", "three"]);
        let at: DateTime<Utc> = all["lines"][0]["at"].as_str().unwrap().parse().unwrap();
        assert_eq!(stage.script.now() - at, chrono::TimeDelta::milliseconds(90_500));
        let (text, params) = asked;
        let text = text.to_owned();
        assert_eq!(
            stage.script.heard(),
            [("thing".to_owned(), Asked::Query { text, params })]
        );
        let mut narrow = with.clone();
        narrow["since"] = json!("75s");
        assert_eq!(texts(&stage.look(narrow).await.unwrap().result), ["two", "three"]);
        let mut few = with;
        few["limit"] = json!(1);
        assert_eq!(texts(&stage.look(few).await.unwrap().result), ["three"]);
    }
}

#[tokio::test]
async fn a_file_holds_what_the_oracle_says_when_it_is_refreshed() {
    let stage = Stage::saying(log(), lines()).await;
    let failure = stage.look(json!({})).await.unwrap_err();
    assert_eq!(
        failure.class,
        FailureClass::Refused,
        "nobody has refreshed it: {failure}"
    );
    for _ in 0..2 {
        stage.post.refresh().await.unwrap();
        let result = stage.look(json!({"limit": 2})).await.unwrap().result;
        assert_eq!(result["lines"], json!([{"text": "two"}, {"text": "three"}]));
    }
    assert_eq!(stage.script.heard().len(), 2);
    let folder = stage.folder;
    assert_eq!(folder.files(), 2, "the log, and the stand-in of the relay");
    drop(stage.post);
    assert_eq!(folder.files(), 1);
}

#[tokio::test]
async fn of_a_file_that_would_be_too_long_the_newest_lines_are_kept() {
    let many = (0..40_000)
        .map(|n| (0.0, format!("{n} {}", "x".repeat(400))))
        .collect();
    let stage = Stage::saying(log(), Reply::Lines(many)).await;
    stage.post.refresh().await.unwrap();
    let Connection::File { path } = stage.post.connection(&stage.real) else {
        panic!("a file stays a file");
    };
    let text = std::fs::read_to_string(Path::new(&path)).unwrap();
    assert!(text.len() <= 8 * 1024 * 1024 && text.len() > 7 * 1024 * 1024);
    assert!(text.lines().last().unwrap().starts_with("39999 "));
}
