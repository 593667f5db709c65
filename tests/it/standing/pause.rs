//! The pause of all automation, and how many freezes there may be.

use std::time::Duration;

use muster::{
    clock::Clock,
    domain::{id::FreezeId, operator::Role},
    execute::{control, people::PeopleError, standing::Standing},
    store::{audit, freezes, wake::Wake},
};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use super::{asked, at, freeze, person};
use crate::{fleet::wait, support::database::Database};

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_pause_reaches_the_other_replica_by_itself_and_outlives_both() {
    let database = Database::new().await;
    // A clock that stands still: only the notification can tell.
    let (clock, stop) = (Clock::test(at(0)), CancellationToken::new());
    let (near, far) = (Wake::default(), Wake::default());
    let (pool, listening) = (&database.pools.engine, &database.pools.intake);
    let (here, there) = (Standing::new(near.clone()), Standing::new(far.clone()));
    for (wake, standing) in [(&near, &here), (&far, &there)] {
        tokio::spawn(wake.clone().run(listening.clone(), stop.clone()));
        tokio::spawn(standing.clone().run(pool.clone(), clock.clone(), stop.clone()));
    }
    let mut conn = database.pools.web.acquire().await.unwrap();
    let ana = person(&mut conn, "ana", Role::Responder).await;
    let everywhere = async |paused: bool| {
        wait::until("both replicas see it", LONG, async || {
            let seen = [&here, &there].map(|standing| standing.pause().is_some());
            anyhow::ensure!(seen == [paused; 2], "{seen:?}");
            Ok(())
        })
        .await
        .unwrap();
    };
    control::pause(&mut conn, "the network is odd", &ana, at(1))
        .await
        .unwrap();
    near.changed();
    everywhere(true).await;
    assert_eq!(
        there.pause().unwrap().why(),
        "all automation is paused by ana since 21 Nov 2026 03:12:08 UTC: the network is odd"
    );
    let again = control::pause(&mut conn, "me too", &ana, at(2))
        .await
        .unwrap_err();
    assert!(again.to_string().contains("paused by ana"), "{again}");

    let restarted = Standing::new(Wake::default());
    restarted.refresh(&mut conn).await.unwrap();
    assert_eq!(restarted.pause(), there.pause());

    control::resume(&mut conn, "it was a cable", &ana, at(3))
        .await
        .unwrap();
    far.changed();
    everywhere(false).await;
    let again = control::resume(&mut conn, "me too", &ana, at(4)).await;
    assert!(matches!(again, Err(PeopleError::Moved { .. })), "{again:?}");
    let history = audit::list_standing(&mut conn, i64::MAX, 10).await.unwrap();
    let history: Vec<_> = history
        .iter()
        .map(|row| (row.act.kind.as_str(), row.act.reason.as_str()))
        .collect();
    assert_eq!(
        history,
        [("resumed", "it was a cable"), ("paused", "the network is odd")]
    );
    stop.cancel();
}

#[tokio::test]
async fn who_looked_too_early_is_woken_when_the_replica_sees_the_change() {
    let database = Database::new().await;
    let wake = Wake::default();
    let (standing, mut changes) = (Standing::new(wake.clone()), wake.subscribe());
    let mut conn = database.pools.web.acquire().await.unwrap();
    let ana = person(&mut conn, "ana", Role::Responder).await;
    standing.refresh(&mut conn).await.unwrap();
    assert!(!changes.has_changed().unwrap(), "nothing stands");
    control::pause(&mut conn, "a test", &ana, at(0)).await.unwrap();
    for woken in [true, false] {
        standing.refresh(&mut conn).await.unwrap();
        assert_eq!(changes.has_changed().unwrap(), woken);
        changes.mark_unchanged();
    }
}

#[tokio::test]
async fn there_are_never_more_freezes_than_a_start_reads() {
    let database = Database::new().await;
    let mut conn = database.pools.web.acquire().await.unwrap();
    let ana = person(&mut conn, "ana", Role::Approver).await;
    for n in 1..freezes::FREEZES_MAX {
        let asked = asked(&format!("freeze {n}"), "a=b", at(60 + n));
        freeze(&database.pools, &asked, "a test", &ana, at(0))
            .await
            .unwrap();
    }
    // Two people at once, and room for one.
    let makers: Vec<_> = (0..2)
        .map(|_| {
            let (pools, ana) = (database.pools.clone(), ana.clone());
            tokio::spawn(async move {
                let asked = asked("the last", "a=b", at(600));
                let made = freeze(&pools, &asked, "a test", &ana, at(0)).await;
                made.is_ok()
            })
        })
        .collect();
    let mut made = 0;
    for maker in makers {
        made += usize::from(maker.await.unwrap());
    }
    assert_eq!(made, 1);
    let all = freezes::list(&mut conn, at(0)).await.unwrap();
    assert_eq!(all.len() as i64, freezes::FREEZES_MAX);

    let end = async |conn: &mut PgConnection, id| control::end_freeze(conn, id, "enough", &ana, at(1)).await;
    end(&mut conn, all[0].id).await.unwrap();
    let over = end(&mut conn, all[0].id).await;
    assert!(matches!(over, Err(PeopleError::Moved { .. })), "{over:?}");
    let nothing = end(&mut conn, FreezeId(999)).await;
    assert!(
        matches!(nothing, Err(PeopleError::NotFound("freeze"))),
        "{nothing:?}"
    );
    let room = asked("one more", "a=b", at(600));
    freeze(&database.pools, &room, "a test", &ana, at(1))
        .await
        .unwrap();
}
