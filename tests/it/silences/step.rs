//! The action alertmanager as a step sends it, against a real Alertmanager.

use muster::{
    actions::{self, Bounds, Outside},
    domain::{
        action::{Envelope, Failure, FailureClass, Outcome, Rendered},
        span::Span,
        step::ActionKind,
    },
};
use serde_json::{Value, json};

use super::world::{Bench, SOURCE, targets};
use crate::fleet::ports;

async fn act(ports: &[u16], with: Value, key: &str, read_only: bool) -> Result<Outcome, Failure> {
    let targets = targets(ports);
    let target = &targets.0[SOURCE];
    let request = Rendered {
        action: ActionKind::Alertmanager,
        target: SOURCE.to_owned(),
        with,
    };
    let envelope = Envelope {
        key: key.to_owned(),
        fence: 1,
        timeout: Span::from_secs(10),
        not_after: None,
        read_only,
    };
    Outside::new(Bounds::default())
        .perform(target, &request, &envelope)
        .await
}

fn silence() -> Value {
    json!({"silence": {"matchers": {"alertname": "Down", "cluster": "a=\"b"}, "duration": "30m", "comment": "drained"}})
}

#[tokio::test]
async fn a_step_that_is_repeated_makes_one_silence_and_its_undo_ends_it() {
    let bench = Bench::with_node(0).await;
    // The first node of the cluster is away.
    let ports = [ports::free().unwrap(), bench.nodes[0].port];
    let first = act(&ports, silence(), "run-7/hush", false).await.unwrap().result;
    assert_eq!((&first["ok"], &first["made"]), (&json!(true), &json!(true)));
    let again = act(&ports, silence(), "run-7/hush", false).await.unwrap().result;
    assert_eq!((&again["made"], &again["id"]), (&json!(false), &first["id"]));
    let other = act(&ports, silence(), "run-8/hush", false).await.unwrap().result;
    assert_ne!(other["id"], first["id"], "another run has its own");
    assert_eq!(bench.ask("silences").await.unwrap().as_array().unwrap().len(), 2);

    bench
        .post(
            json!({"alertname": "Down", "cluster": "a=\"b", "instance": "1"}),
            true,
        )
        .await;
    bench
        .post(json!({"alertname": "Down", "cluster": "other"}), true)
        .await;
    let look = json!({"matchers": "alertname=\"Down\""});
    let seen = act(&ports[1..], look.clone(), "k", true).await.unwrap().result;
    assert_eq!(
        (&seen["ok"], &seen["alerts"], &seen["silenced"]),
        (&json!(true), &json!(2), &json!(1))
    );
    assert_eq!(seen["is_silenced"], false);
    let here = json!({"matchers": {"cluster": "a=\"b"}});
    let seen = act(&ports[1..], here, "k", true).await.unwrap().result;
    assert_eq!(seen["is_silenced"], true);
    let half = act(&ports, look, "k", true).await.unwrap().result;
    assert_eq!((&half["ok"], &half["up_seconds"]), (&json!(false), &Value::Null));

    for which in [first["id"].as_str().unwrap(), "run-8/hush"] {
        for _ in 0..2 {
            let ended = act(&ports, json!({"expire": which}), "k", false)
                .await
                .unwrap()
                .result;
            assert_eq!(
                (&ended["ok"], &ended["found"]),
                (&json!(true), &json!(true)),
                "{which}"
            );
        }
    }
    let there = bench.ask("silences").await.unwrap();
    let states = there
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["status"]["state"]);
    assert!(states.into_iter().all(|state| state == "expired"), "{there}");
    // One that is over stays over: the same step, sent again, does not bring it back.
    let late = act(&ports, silence(), "run-7/hush", false).await.unwrap().result;
    assert_eq!((&late["ok"], &late["made"]), (&json!(false), &json!(false)));
    bench.end();
}

#[tokio::test]
async fn what_cannot_be_sent_says_so_before_anything_is() {
    let nobody = [ports::free().unwrap()];
    for (with, read_only, words) in [
        (silence(), true, "a check only looks"),
        (
            json!({"silence": {"matchers": "a!=\"b\"", "duration": "1h", "comment": "x"}}),
            false,
            "everything",
        ),
        (
            json!({"silence": {"matchers": "a=\"b\"", "duration": "1s", "comment": "x"}}),
            false,
            "duration",
        ),
        (
            json!({"silence": {"matchers": "a=\"b\"", "duration": "1h"}}),
            false,
            "comment",
        ),
        (
            json!({"silence": {"matchers": "a=\"b\"", "durations": "1h"}}),
            false,
            "not known",
        ),
        (json!({"silence": {}, "expire": "x"}), false, "two things"),
        (json!({}), true, "matchers"),
    ] {
        let failure = act(&nobody, with, "k", read_only).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Invalid, "{failure}");
        assert!(failure.message.contains(words), "{failure}");
    }
    let failure = act(&nobody, silence(), "k", false).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::NotSent, "{failure}");
    let targets = targets(&nobody);
    let request = Rendered {
        action: ActionKind::Alertmanager,
        target: SOURCE.to_owned(),
        with: silence(),
    };
    assert_eq!(
        actions::describe(&targets.0[SOURCE], &request),
        r#"silence {alertname="Down", cluster="a=\"b"} in am for 30m: drained"#
    );
}
