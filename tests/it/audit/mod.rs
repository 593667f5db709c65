//! The record of who decided what: that it is written, that it shows when somebody changes it, and what people see of it.

mod acts;
mod chain;
mod command;
mod links;
mod pages;
mod screen;

use muster::{
    audit::check::{self, Step, Walk},
    domain::{
        act::{Act, ActKind, Object},
        audit::Broken,
        event::{IncidentFact, NewEvent},
        id::IncidentId,
        operator::{Operator, Role},
    },
    execute::control,
    store::{self, audit, audit_checks::Chain, events},
};
use serde_json::json;
use sqlx::{Executor, PgConnection};

use crate::support::{database::Database, site::Site};

/// Text that would do something if anything took it for more than text.
pub const HOSTILE: &str = "</p><script>alert(1)</script><img src=x onerror=alert(2)>\u{202e}gnp";

/// The pages, with two incidents of three events and more, acts of ana, and a mark of where the timelines stand.
async fn world() -> (Site, Operator, String) {
    let site = Site::new().await;
    let (ana, cookie) = site.person("ana", Role::Approver).await;
    for group in ["a", "b"] {
        let alert = json!({
            "status": "firing", "startsAt": "2026-11-21T02:59:00Z", "labels": {"alertname": group},
        });
        let body = json!({"receiver": "r", "groupKey": group, "alerts": [alert]});
        let (status, answer) = site.intake.post("prom", body.to_string()).await;
        assert_eq!(status, 200, "{answer}");
    }
    let now = site.clock().now();
    let mut conn = site.conn().await;
    control::pause(&mut conn, "the network is odd", &ana, now)
        .await
        .unwrap();
    control::resume(&mut conn, "it was a cable", &ana, now)
        .await
        .unwrap();
    for incident in [1, 2] {
        note(&site, incident, &ana).await;
    }
    site.intake.upkeep.keep_audit().await.unwrap();
    (site, ana, cookie)
}

/// Something more in a timeline.
async fn note(site: &Site, incident: i64, by: &Operator) {
    let now = site.clock().now();
    let fact = IncidentFact::Note {
        text: "it was like that".to_owned(),
        tag: None,
    };
    let event = NewEvent::by(by.actor(), fact, now);
    events::append(&mut *site.conn().await, IncidentId(incident), &[event], now)
        .await
        .unwrap();
}

/// An act that changes nothing else.
async fn act(site: &Site, by: &Operator, target: &str, reason: &str) {
    let act = Act::new(by.actor(), ActKind::CircuitClosed, Object::target(target), reason);
    let mut tx = site.intake.database.pools.web.begin().await.unwrap();
    audit::insert(&mut tx, &act, site.clock().now()).await.unwrap();
    tx.commit().await.unwrap();
}

/// Goes through both chains, as `muster audit verify` does.
async fn verify(database: &Database) -> Option<Broken> {
    verify_on(&mut store::begin_reading(&database.pools.web).await.unwrap()).await
}

async fn verify_on(conn: &mut PgConnection) -> Option<Broken> {
    for chain in [Chain::Acts, Chain::Timelines] {
        let mut walk = Walk::START;
        loop {
            match check::step(conn, chain, &mut walk).await.unwrap() {
                Step::More => {}
                Step::End => break,
                Step::Broken(broken) => return Some(broken),
            }
        }
    }
    None
}

/// What a superuser does who wants to hide something: no trigger and no reference stands in their way.
async fn tamper(database: &Database, statements: &[&'static str]) {
    let mut tx = database.pools.web.begin().await.unwrap();
    alter(&mut tx, statements).await;
    tx.commit().await.unwrap();
}

async fn alter(tx: &mut PgConnection, statements: &[&'static str]) {
    tx.execute("set local session_replication_role = replica")
        .await
        .unwrap();
    for statement in statements {
        tx.execute(*statement).await.unwrap();
    }
}
