//! A worker that dies leaves what it stored, and one whose claim is over stores nothing more.

use muster::{
    domain::{
        id::{IncidentId, ReplicaId, StepId},
        output::{Batch, OutputChunk},
    },
    store::{outputs, queue::Claim},
};

use super::{Press, STEP};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_worker_had_stored_stays_and_the_page_says_that_the_rest_is_lost() {
    let press = Press::new(16 << 20).await;
    let script = format!("echo 'half way'; {}; echo 'never seen'", press.waiting("never"));
    let run = press.print(&script).await;
    press.page(run, "", &["half way", "It is still running"]).await;
    press.kill_worker();
    let fence = sqlx::query_scalar::<_, i64>("select fence from run_queue where run_id = $1")
        .bind(run.0)
        .fetch_one(&mut *press.site.conn().await)
        .await
        .unwrap();
    press.start_worker().await;
    // An effect that may have happened waits for a person: nobody does it again.
    let page = press
        .page(
            run,
            "",
            &["half way", "is lost: the worker died", "That was found at"],
        )
        .await;
    assert!(!page.contains("never seen") && page.contains("1 line"), "{page}");

    // A worker that only thought it was dead finds its claim over.
    let claim = Claim {
        run,
        incident: IncidentId(1),
        fence,
        owner: ReplicaId(1),
        drill: None,
    };
    let late = Batch {
        chunks: vec![OutputChunk {
            first_line: 2,
            lines: 1,
            first_byte: 9,
            errors: Vec::new(),
            text: "too late\n".to_owned(),
        }],
        let_go: None,
        gone_lines: 0,
        gone_bytes: 0,
    };
    let mut conn = press.site.conn().await;
    let stored = outputs::insert(&mut conn, claim, &StepId::from(STEP), 1, &late).await;
    assert!(!stored.unwrap());
    drop(conn);
    assert_eq!(press.file(run).await, "half way\n");
}
