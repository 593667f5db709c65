//! A hundred people with one incident's page open, while twenty things a second happen in it: how long after its commit
//! each of them is sent each of these.
//!
//! The streams are the real ones over a private Postgres, read over loopback by as many different people, each of whom
//! is rendered what they may see. It ends with an error when something is missing, comes twice or comes later than
//! [`P95_MAX`].

mod site;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use futures_util::StreamExt;
use hdrhistogram::Histogram;
use muster::{
    clock::Clock,
    domain::{
        event::{IncidentFact, NewEvent},
        id::IncidentId,
        operator::Actor,
    },
    store::{embedded::Embedded, events, wake::Wake},
};
use sqlx::Executor;
use tokio::task::JoinSet;

use site::{Site, person};

const VIEWERS: usize = 100;
const PER_SECOND: u32 = 20;
const EVENTS: usize = 400;
/// How long after a commit nineteen of twenty are told at most.
const P95_MAX: Duration = Duration::from_millis(400);
/// After that long without a word, less than from tick to tick, what has not come is missing.
const PATIENCE: Duration = Duration::from_secs(8);
const INCIDENT: IncidentId = IncidentId(1);

const FILL: &str = "
    insert into sources (name, created_at) values ('bench', now());
    insert into incidents (title, severity, state, source_id, receiver, group_key, correlation_key, context, opened_at,
                           detected_at, next_seq)
    values ('CheckoutDatabaseDown', 1, 'triggered', 1, 'r', 'g', sha256('g'),
            '{\"labels\": {\"service\": \"checkout\"}, \"annotations\": {}}', now(), now(), 1);
    insert into alerts (source_id, fingerprint, title, labels, annotations, generator_url, first_received_at,
                        last_received_at)
    select 1, lpad(to_hex(n), 16, '0'), 'CheckoutDatabaseDown', jsonb_build_object('instance', 'host-' || n), '{}', '',
           now(), now() from generate_series(1, 12) n;
    insert into episodes (alert_id, incident_id, starts_at, opened_at, reason)
    select id, 1, now(), now(), 'opens' from alerts";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Tests that build every target also run it, without this word.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    site::in_folder("live", run).await
}

async fn run(folder: &Path) -> anyhow::Result<()> {
    muster::actions::install_crypto();
    let server = Embedded::start(&folder.join("postgres")).await?;
    let wake = Wake::default();
    let mut cookies = Vec::new();
    let site = Site::new(&server, "bench_live", wake.clone(), async |conn| {
        for number in 0..VIEWERS {
            cookies.push(person(conn, &format!("viewer-{number}")).await?);
        }
        conn.execute(FILL).await.map(drop).context("filling")
    })
    .await?;

    let mut viewers = JoinSet::new();
    for cookie in &cookies {
        let live = format!("/live?scope=incident:{INCIDENT}&after=0.0");
        let answer = site.get(&live, cookie).send().await?.error_for_status()?;
        viewers.spawn(watch(answer, EVENTS));
    }
    let mut beat = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
    let mut conn = site.pools.web.acquire().await?;
    let mut committed = Vec::new();
    for number in 0..EVENTS {
        beat.tick().await;
        let now = Clock::real().now();
        let text = format!("Looked at replica {number}.");
        let note = NewEvent::by(Actor::Automation, IncidentFact::Note { text, tag: None }, now);
        events::append(&mut conn, INCIDENT, &[note], now).await?;
        committed.push(Instant::now());
        wake.told();
    }
    drop(conn);
    let mut times = Histogram::<u64>::new(3)?;
    while let Some(viewer) = viewers.join_next().await {
        let rows = viewer??;
        let missing = (1..=EVENTS).find(|seq| rows.iter().all(|(came, _)| came != seq));
        ensure!(missing.is_none(), "event {missing:?} is missing");
        for (place, (seq, at)) in rows.iter().enumerate() {
            ensure!(*seq == place + 1, "event {seq} came as number {}", place + 1);
            times.record(at.saturating_duration_since(committed[place]).as_micros() as u64)?;
        }
    }
    site.pools.web.close().await;
    server.stop().await;
    let at = |quantile: f64| times.value_at_quantile(quantile) as f64 / 1000.0;
    println!(
        "{VIEWERS} viewers, {PER_SECOND} events/s, from commit to each: p50 {:.0} ms, p95 {:.0} ms, p99 {:.0} ms",
        at(0.5),
        at(0.95),
        at(0.99)
    );
    ensure!(at(0.95) <= P95_MAX.as_secs_f64() * 1000.0, "too slow");
    Ok(())
}

/// The events of a stream in their order, each with when it came, until so many have come or none came for too long.
async fn watch(answer: reqwest::Response, events: usize) -> anyhow::Result<Vec<(usize, Instant)>> {
    let mut pieces = answer.bytes_stream();
    let (mut text, mut rows) = (String::new(), Vec::new());
    while rows.len() < events {
        let Ok(piece) = tokio::time::timeout(PATIENCE, pieces.next()).await else {
            break;
        };
        text.push_str(&String::from_utf8_lossy(&piece.context("the stream ended")??));
        let now = Instant::now();
        let Some(end) = text.rfind("\n\n") else { continue };
        let seqs = text[..end].split("<li id=\\\"e").skip(1);
        let seqs = seqs.filter_map(|rest| rest.split('\\').next()?.parse::<usize>().ok());
        let mut fresh: Vec<usize> = seqs.collect();
        fresh.sort_unstable();
        rows.extend(fresh.into_iter().map(|seq| (seq, now)));
        text.drain(..end + 2);
    }
    Ok(rows)
}
