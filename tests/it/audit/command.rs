//! `muster audit` at the terminal.

use std::process::Stdio;

use super::{act, tamper, world};
use crate::support::database::Database;

async fn muster(database: &Database, arguments: &[&str]) -> (Option<i32>, String) {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_muster"))
        .arg("audit")
        .args(arguments)
        .env("DATABASE_URL", database.url())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn verify_counts_what_holds_and_names_the_first_link_that_does_not() {
    let (site, ana, _) = world().await;
    let database = &site.intake.database;
    let (code, said) = muster(database, &["verify"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("Audit: 3 acts, unbroken\n"), "{said}");
    assert!(
        said.contains("\nTimelines: ") && said.contains(" events, unbroken\n"),
        "{said}"
    );
    let known = said.split("next time: ").nth(1).unwrap().lines().next().unwrap();
    assert!(known.starts_with("3:") && known.len() == 66, "{known}");

    act(&site, &ana, "lb", "one more").await;
    let (code, said) = muster(database, &["verify", "--expect", known]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Row 3 is the one that is expected"), "{said}");
    // Somebody who can do everything cuts the end off and puts the counter back: only a copy shows it.
    tamper(
        database,
        &[
            "delete from audit_anchors where audit_seq = 3",
            "delete from audit where seq > 2",
            "update audit_head set next_seq = 3, last_hash = (select hash from audit where seq = 2)",
        ],
    )
    .await;
    assert_eq!(muster(database, &["verify"]).await.0, Some(0));
    let (code, said) = muster(database, &["verify", "--expect", known]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("Row 3 is not the one that is expected"), "{said}");

    tamper(database, &["update audit set reason = 'x' where seq = 2"]).await;
    tamper(
        database,
        &["delete from events where incident_id = 2 and seq = 1"],
    )
    .await;
    let (code, said) = muster(database, &["verify"]).await;
    assert_eq!(code, Some(1), "{said}");
    for line in [
        "Audit: the audit is broken at #2 (21 Nov 2026 03:00:00 UTC): its hash does not follow",
        "; 1 acts before it hold",
        "Timelines: the timeline of INC-2 is broken at #2 (21 Nov 2026 03:00:00 UTC): #1 should stand here",
    ] {
        assert!(said.contains(line), "{line} in {said}");
    }
}

#[tokio::test]
async fn export_writes_a_time_in_either_form() {
    let (site, ana, _) = world().await;
    let database = &site.intake.database;
    act(&site, &ana, "lb", "=1").await;
    let (code, csv) = muster(database, &["export"]).await;
    assert_eq!(code, Some(0), "{csv}");
    assert_eq!(csv.lines().count(), 4, "{csv}");
    assert!(
        csv.starts_with("time,who,via,kind,") && csv.contains("\"'=1\""),
        "{csv}"
    );
    let (code, jsonl) = muster(
        database,
        &["export", "--format", "jsonl", "--from", "2026-11-21T03:00"],
    )
    .await;
    assert_eq!((code, jsonl.lines().count()), (Some(0), 3), "{jsonl}");
    let (code, none) = muster(database, &["export", "--format", "jsonl", "--to", "2026-11-21"]).await;
    assert_eq!((code, none.as_str()), (Some(0), ""));
    for wrong in [
        ["export", "--format", "xls"],
        ["export", "--from", "soon"],
        ["verify", "--expect", "3"],
    ] {
        assert_eq!(muster(database, &wrong).await.0, Some(2), "{wrong:?}");
    }
}
