//! `muster source` at the terminal.

use std::process::Stdio;

use crate::support::database::Database;

async fn muster(database: &Database, arguments: &[&str]) -> (bool, String) {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_muster"))
        .arg("source")
        .args(arguments)
        .env("DATABASE_URL", database.url())
        .env_remove("MUSTER_PUBLIC_URL")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn senders_are_added_listed_and_given_tokens() {
    let database = Database::new().await;
    let (ok, none) = muster(&database, &["list"]).await;
    assert!(ok && none.contains("No sender is known"), "{none}");
    let (ok, added) = muster(
        &database,
        &[
            "add",
            "team",
            "--format",
            "grafana",
            "--url",
            "https://ops.example/",
        ],
    )
    .await;
    assert!(ok, "{added}");
    for said in [
        "Post to   https://ops.example/api/v1/sources/team/grafana",
        "mst_",
        "contactPoints",
        "not shown again",
    ] {
        assert!(added.contains(said), "{said} in {added}");
    }
    let (ok, twice) = muster(&database, &["add", "team"]).await;
    assert!(!ok && twice.contains("a source has this name"), "{twice}");
    let (ok, second) = muster(&database, &["token", "team", "--for", "the eu one"]).await;
    assert!(ok && second.contains("Token 2: mst_"), "{second}");
    let (ok, third) = muster(&database, &["token", "team"]).await;
    assert!(!ok && third.contains("revoke one of them first"), "{third}");
    let (ok, list) = muster(&database, &["list"]).await;
    assert!(ok && list.starts_with("team (grafana)\n"), "{list}");
    assert!(
        list.contains("…, made with the source, never used") && list.contains("the eu one"),
        "{list}"
    );
    let (ok, gone) = muster(&database, &["token", "team", "--revoke", "1", "--for", "lost"]).await;
    assert!(ok && gone.contains("opens nothing any more"), "{gone}");
    assert_eq!(
        database
            .count("select count(*) from audit where actor ->> 'by' = 'terminal'")
            .await,
        4
    );
}
