//! The twin of a Postgres server, with the driver that the action has.

use super::*;

fn row(columns: &[(&str, Value)]) -> Vec<(String, Value)> {
    let pairs = columns
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()));
    pairs.collect()
}

#[tokio::test]
async fn rows_come_with_the_types_of_their_values() {
    let first = row(&[
        ("standby", json!(true)),
        ("big", json!(9_007_199_254_740_993_i64)),
        ("lag", json!(0)),
        ("name", json!("ü\n")),
        ("nothing", json!(null)),
        ("tree", json!({"a": [1]})),
        ("mixed", json!("x")),
        ("name", json!("second")),
    ]);
    let second = row(&[("lag", json!(1.5)), ("name", json!(null)), ("mixed", json!(2))]);
    let stage = Stage::saying(database(), Reply::Rows(vec![first, second])).await;
    let with = json!({"query": "select * from t where a = $1::int and b = $2", "params": [7, null]});
    let result = stage.look(with).await.unwrap().result;
    assert_eq!(
        result["rows"],
        json!([
            {"standby": true, "big": 9_007_199_254_740_993_i64, "lag": 0, "name": "ü\n", "nothing": null,
             "tree": {"a": [1]}, "mixed": "x", "name_2": "second"},
            {"standby": null, "big": null, "lag": 1.5, "name": null, "nothing": null,
             "tree": null, "mixed": 2, "name_2": null},
        ])
    );
    assert_eq!(result["row_count"], 2);
    let asked = Asked::Query {
        text: "select * from t where a = $1::int and b = $2".to_owned(),
        params: vec![Some("7".to_owned()), None],
    };
    assert_eq!(
        stage.script.heard(),
        [("thing".to_owned(), asked)],
        "it is asked once"
    );
}

#[tokio::test]
async fn a_change_says_how_many_rows_it_touched() {
    let stage = Stage::open(database(), |asked| match asked {
        Asked::Query { text, .. } if text.starts_with("select") => Reply::Rows(Vec::new()),
        Asked::Query { text, .. } if text.starts_with("do") => Reply::Done,
        _ => Reply::Rows(vec![Vec::new(); 3]),
    })
    .await;
    for (query, count) in [
        ("update t set a = 1", 3),
        ("insert into t select 1", 3),
        ("select 1", 0),
        ("do $$ begin end $$", 0),
    ] {
        let result = stage.go(json!({"query": query})).await.unwrap().result;
        assert_eq!(
            (&result["row_count"], &result["rows"]),
            (&json!(count), &json!([])),
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_refusal_has_its_code() {
    for (text, told) in [
        ("not today", "SQLSTATE P0001: not today"),
        ("42501: permission denied", "SQLSTATE 42501: permission denied"),
        ("hint: none", "SQLSTATE P0001: hint: none"),
    ] {
        let stage = Stage::saying(database(), Reply::Refused(text.to_owned())).await;
        for answer in [
            stage.go(json!({"query": "select 1"})).await,
            stage.look(json!({"query": "select 1"})).await,
        ] {
            let failure = answer.unwrap_err();
            assert_eq!(
                (failure.class, failure.message.as_str()),
                (FailureClass::Refused, told)
            );
        }
    }
}

#[tokio::test]
async fn what_a_server_would_refuse_never_reaches_the_oracle() {
    let stage = Stage::saying(database(), Reply::Done).await;
    let failure = stage
        .look(json!({"query": " update t set a = 1"}))
        .await
        .unwrap_err();
    assert!(failure.message.contains("25006"), "{failure}");
    for (query, params) in [("select $1", json!([])), ("select $2", json!(["a"]))] {
        let failure = stage
            .go(json!({"query": query, "params": params}))
            .await
            .unwrap_err();
        assert_eq!(failure.class, FailureClass::Refused, "{failure}");
        assert!(failure.message.contains("08P01"), "{failure}");
    }
    assert_eq!(stage.script.heard(), []);
    let quoted = json!({"query": "select '$3', 'it''s $4', \"$5\", $1", "params": ["a"]});
    assert_eq!(stage.go(quoted).await.unwrap().result["ok"], true);
}
