//! The twin of HAProxy's runtime interface.

use super::*;

#[tokio::test]
async fn servers_are_listed_and_moved() {
    let states = Mutex::new([
        ("a".to_owned(), "ready".to_owned()),
        ("b.2".to_owned(), "maint".to_owned()),
    ]);
    let stage = Stage::open(proxy(), move |asked| {
        let mut states = states.lock().unwrap();
        match asked {
            Asked::Servers { backend } if backend == "db" => {
                let all = states
                    .iter()
                    .map(|(name, admin)| (name.clone(), true, admin.clone()));
                Reply::Servers(all.collect())
            }
            Asked::Servers { .. } => Reply::Refused("Can't find backend.".to_owned()),
            Asked::SetServer { server, state, .. } => {
                let found = states.iter_mut().find(|(name, _)| name == server);
                found.unwrap().1.clone_from(state);
                Reply::Done
            }
            other => panic!("{other:?}"),
        }
    })
    .await;
    let shown = stage.look(json!({"backend": "db"})).await.unwrap().result;
    assert_eq!(
        shown,
        json!({"ok": true, "servers": {
            "a": {"operational": "running", "admin": "ready", "address": "-"},
            "b.2": {"operational": "stopped", "admin": "maint", "address": "-"}}})
    );
    let swap = json!({"backend": "db", "enable": "b.2", "drain": "a"});
    let swapped = stage.go(swap).await.unwrap().result;
    assert_eq!(swapped["ok"], true, "{swapped}");
    assert_eq!(
        (
            &swapped["servers"]["a"]["admin"],
            &swapped["servers"]["b.2"]["admin"]
        ),
        (&json!("drain"), &json!("ready"))
    );
    let moved = Asked::SetServer {
        backend: "db".to_owned(),
        server: "a".to_owned(),
        state: "drain".to_owned(),
    };
    assert!(stage.script.heard().contains(&("thing".to_owned(), moved)));
    let failure = stage
        .go(json!({"backend": "nope", "drain": "a"}))
        .await
        .unwrap_err();
    assert_eq!(failure.class, FailureClass::Refused);
    assert!(failure.message.contains("find backend"), "{failure}");
}
