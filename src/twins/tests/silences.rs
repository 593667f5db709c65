//! The twin of an Alertmanager keeps silences.

use super::*;

#[tokio::test]
async fn a_silence_is_made_once_seen_and_ended() {
    let stage = Stage::saying(alertmanager(), Reply::Done).await;
    let make = json!({"silence": {"matchers": {"job": "db"}, "duration": "2h", "comment": "we look at it"}});
    let made = stage.go(make.clone()).await.unwrap().result;
    assert_eq!(
        (&made["ok"], &made["made"]),
        (&json!(true), &json!(true)),
        "{made}"
    );
    assert_eq!(
        made["until"], "2026-03-01T14:00:00.000Z",
        "by the time of the drill"
    );
    let again = stage.go(make.clone()).await.unwrap().result;
    assert_eq!((&again["id"], &again["made"]), (&made["id"], &json!(false)));

    let over = stage.go(json!({"expire": made["id"]})).await.unwrap();
    assert_eq!(over.result["found"], true);
    assert!(over.summary.contains("over now"), "{}", over.summary);
    let over = stage.go(json!({"expire": "run-7/promote"})).await.unwrap();
    assert!(over.summary.contains("over already"), "{}", over.summary);
    let never = stage.go(json!({"expire": "nobody's"})).await.unwrap().result;
    assert_eq!(never["found"], false);
    assert_eq!(stage.script.heard(), [], "silences are its own");
}

#[tokio::test]
async fn a_silence_ends_by_itself_when_its_time_is_over() {
    let stage = Stage::saying(alertmanager(), Reply::Done).await;
    let make = json!({"silence": {"matchers": "job=~\"db.*\"", "duration": "1h", "comment": "soon"}});
    assert_eq!(stage.go(make.clone()).await.unwrap().result["made"], true);
    stage.script.pass(Duration::from_secs(3599));
    assert_eq!(stage.go(make.clone()).await.unwrap().result["ok"], true);
    stage.script.pass(Duration::from_secs(1));
    let found = stage.go(make).await.unwrap().result;
    assert_eq!((&found["ok"], &found["made"]), (&json!(false), &json!(false)));
}

#[tokio::test]
async fn alerts_are_what_the_oracle_lists_and_none_otherwise() {
    let stage = Stage::open(alertmanager(), |asked| match asked {
        Asked::Web { path, .. } if path.contains("pager") => Reply::Web {
            status: 200,
            body: json!([{"fingerprint": "f1", "status": {"silencedBy": []}}]),
        },
        _ => Reply::Done,
    })
    .await;
    let none = stage.look(json!({"matchers": "a=b"})).await.unwrap().result;
    assert_eq!((&none["ok"], &none["alerts"]), (&json!(true), &json!(0)));
    assert!(
        none["up_seconds"].as_i64().unwrap() > 86_400,
        "it is not new: {none}"
    );
    let one = stage
        .look(json!({"receiver": "pager", "fingerprints": ["f1"]}))
        .await;
    assert_eq!(one.unwrap().result["listed"], json!(["f1"]));
}
