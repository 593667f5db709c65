//! The pages people wait for: how long the server takes for the list of incidents and for the page of one, with a short
//! history and with a long one.
//!
//! The pages are the real ones over a private Postgres in a temporary folder, asked over loopback by one browser at a
//! time that is signed in. Nobody else is at work: what is measured is the answer, from the request to its last byte.
//! It ends with an error when a page is slower than [`P95_MAX`].

mod site;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use muster::{
    catalog,
    clock::Clock,
    store::{embedded::Embedded, runbooks, wake::Wake},
};
use sqlx::{Executor, PgConnection};

use site::{Site, person};

/// Incidents of the three histories.
const HISTORIES: [i64; 3] = [1_000, 10_000, 100_000];
/// Those of them that are open, whatever the history.
const OPEN: i64 = 200;
/// Events of each incident, and of the one whose page is asked for.
const EVENTS: i64 = 20;
const EVENTS_LONG: i64 = 200;
/// Requests of one measurement, after some that are not counted.
const REQUESTS: usize = 200;
const WARM_UP: usize = 20;
/// What nineteen answers of twenty take at most.
const P95_MAX: Duration = Duration::from_millis(50);

const RUNBOOK: &str = r#"
runbook: failover
title: Failover
match: ['alertname="Never"']
steps:
  - id: wait
    wait: 1h
  - id: again
    wait: 1h
"#;

/// Rows by the thousand, written as the program would have written them; `$1` is how many incidents there are, `$2` how
/// many of them are open, `$3` how many events each has.
const FILL: &[&str] = &[
    "insert into incidents (title, severity, state, source_id, receiver, group_key, correlation_key, context, opened_at,
                            detected_at, acknowledged_at, acknowledged_by, resolved_at, closed_at, next_seq)
     select (array['Checkout','Payments','Search','Basket','Login','Mail','Images','Orders'])[1 + n % 8] || ' '
            || (array['DatabaseDown','latency is high','HighErrorRate','disk almost full','queue grows'])[1 + n % 5]
            || ' on host-' || n,
            1 + n % 4,
            case when n > $1 - $2 then (array['triggered','acknowledged'])[1 + n % 2]
                 else (array['resolved','closed'])[1 + n % 2] end,
            1, 'r', n::text, sha256(n::text::bytea),
            jsonb_build_object('labels', jsonb_build_object('alertname', 'a' || n % 50, 'region',
                (array['eu','us','ap'])[1 + n % 3], 'instance', 'host-' || n,
                'service', (array['checkout','payments','search','basket'])[1 + n % 4]), 'annotations', '{}'::jsonb),
            t.at, t.at, case when n <= $1 - $2 or n % 2 = 1 then t.at + interval '2 min' end,
            case when n <= $1 - $2 or n % 2 = 1 then 1 + n % 5 end,
            case when n <= $1 - $2 then t.at + interval '1 h' end,
            case when n <= $1 - $2 and n % 2 = 1 then t.at + interval '2 h' end, $3 + 1
     from generate_series(1, $1) n, lateral (select now() - ($1 - n + 1) * interval '5 min' as at) t",
    "insert into alerts (source_id, fingerprint, title, labels, annotations, generator_url, first_received_at,
                         last_received_at)
     select 1, lpad(to_hex(i.id), 16, '0'), i.title, i.context -> 'labels', '{}', '', i.opened_at, i.opened_at
     from incidents i where $1 + $2 + $3 > 0 order by i.id",
    "insert into episodes (alert_id, incident_id, starts_at, ends_at, opened_at, ended_at, reason)
     select a.id, i.id, i.opened_at, i.resolved_at, i.opened_at, i.resolved_at, 'opens'
     from incidents i join alerts a on a.fingerprint = lpad(to_hex(i.id), 16, '0') where $1 + $2 + $3 > 0",
    "insert into events (incident_id, seq, kind, body, actor, occurred_at, recorded_at, hash)
     select i.id, seq, 'note', jsonb_build_object('kind', 'note', 'text', 'What was seen, number ' || seq),
            '{\"by\": \"automation\"}', i.opened_at + seq * interval '1 min', i.opened_at + seq * interval '1 min',
            i.last_hash
     from incidents i, generate_series(1, $3) seq where $1 + $2 > 0 order by i.id, seq",
    "insert into runs (incident_id, runbook_id, version_id, mode, inputs, context, started_at, finished_at, result)
     select i.id, 1, 1, 'automatic', '{}', '{}', i.opened_at, i.resolved_at,
            case when i.resolved_at is not null then 'succeeded' end
     from incidents i where i.id % 3 = 0 and $1 + $2 + $3 > 0 order by i.id",
    "insert into run_queue (run_id, incident_id, state, due)
     select r.id, r.incident_id, 2, now() + interval '1 day' from runs r
     where r.result is null and $1 + $2 + $3 > 0",
    "insert into approvals (run_id, incident_id, step, state, bound, digest, rule, title, impact, opened_at, decide_by,
                            decided_at)
     select r.id, r.incident_id, 'ask', case when r.result is null then 'pending' else 'expired' end, '{\"steps\": []}',
            i.last_hash, '{}', 'Fail over?', '', r.started_at, r.started_at + interval '1 day', r.finished_at
     from runs r join incidents i on i.id = r.incident_id where r.id % 5 = 0 and r.result is not null
       and $1 + $2 + $3 > 0",
];

/// One page, by what it is called in the table; `{n}` is the number of incidents, `{half}` half of it.
const PAGES: &[(&str, &str)] = &[
    ("list, as it opens", "/incidents"),
    (
        "list, three filters",
        "/incidents?q=state:open+sev:1+owner:nobody",
    ),
    ("list, everything", "/incidents?q=state:all"),
    ("list, mine, all states", "/incidents?q=owner:me"),
    ("list, a service", "/incidents?q=service:checkout+has:run"),
    ("list, a label", "/incidents?q=label:region%3Deu+state:closed"),
    ("list, a common word", "/incidents?q=database"),
    ("list, a rare word", "/incidents?q=host-{half}"),
    ("list, a word and no match", "/incidents?q=nonsense"),
    ("list, deep in the past", "/incidents?q=state:all&before={half}"),
    ("incident of 200 events", "/incidents/{n}"),
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Tests that build every target also run it, without this word.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    site::in_folder("pages", run).await
}

async fn run(folder: &Path) -> anyhow::Result<()> {
    muster::actions::install_crypto();
    let server = Embedded::start(&folder.join("postgres")).await?;
    let mut slow = Vec::new();
    for incidents in HISTORIES {
        let mut cookie = String::new();
        let name = format!("bench_{incidents}");
        let site = Site::new(&server, &name, Wake::default(), async |conn| {
            cookie = fill(conn, incidents).await?;
            Ok(())
        })
        .await?;
        println!(
            "\n{incidents} incidents, {OPEN} open, {} events: milliseconds\n{:<30}{:>9}{:>9}{:>9}{:>9}",
            incidents * EVENTS,
            "",
            "best",
            "p50",
            "p95",
            "p99"
        );
        for (name, path) in PAGES {
            let path = path.replace("{n}", &incidents.to_string());
            let path = path.replace("{half}", &(incidents / 2).to_string());
            let times = measure(&site, &path, &cookie).await?;
            let at = |quantile: f64| times.value_at_quantile(quantile) as f64 / 1000.0;
            let figures = [0.0, 0.5, 0.95, 0.99].map(|quantile| format!("{:>9.1}", at(quantile)));
            println!("{name:<30}{}", figures.concat());
            if at(0.95) > P95_MAX.as_secs_f64() * 1000.0 {
                slow.push(format!("{name} at {incidents} incidents"));
            }
        }
        site.pools.web.close().await;
    }
    server.stop().await;
    let verdict = if slow.is_empty() { "yes" } else { "no" };
    println!("\nEvery p95 is at most {} ms: {verdict}", P95_MAX.as_millis());
    ensure!(slow.is_empty(), "too slow: {}", slow.join(", "));
    Ok(())
}

/// A history of that many incidents, and five people, the last of whom is signed in; returns their cookie.
async fn fill(conn: &mut PgConnection, incidents: i64) -> anyhow::Result<String> {
    let mut cookie = String::new();
    for name in ["eve", "dan", "cem", "ben", "ana"] {
        cookie = person(conn, name).await?;
    }
    conn.execute("insert into sources (name, created_at) values ('bench', now())")
        .await?;
    let runbook = catalog::parse_runbook(RUNBOOK)
        .map_err(|faults| anyhow::anyhow!("the runbook has {} faults", faults.len()))?
        .runbook;
    runbooks::publish(conn, &runbook, RUNBOOK, "a benchmark", Clock::real().now()).await?;
    for sql in FILL {
        sqlx::query(*sql)
            .bind(incidents)
            .bind(OPEN)
            .bind(EVENTS)
            .execute(&mut *conn)
            .await
            .with_context(|| format!("filling: {sql}"))?;
    }
    lengthen(conn, incidents).await?;
    // What the server does by itself on a quiet machine, now: none of it is to fall into a measurement.
    conn.execute("vacuum analyze").await?;
    conn.execute("checkpoint").await?;
    Ok(cookie)
}

async fn measure(site: &Site, path: &str, cookie: &str) -> anyhow::Result<Histogram<u64>> {
    let mut times = Histogram::<u64>::new(3)?;
    for n in 0..WARM_UP + REQUESTS {
        let began = Instant::now();
        let answer = site
            .get(path, cookie)
            .header("accept", "text/html")
            .send()
            .await?;
        let status = answer.status();
        let html = answer.text().await?;
        ensure!(status.is_success(), "{path} answered {status}");
        ensure!(!html.contains("could not be read"), "the list failed at {path}");
        if n >= WARM_UP {
            times.record(began.elapsed().as_micros() as u64)?;
        }
    }
    Ok(times)
}

/// Gives the newest incident a long timeline.
async fn lengthen(conn: &mut PgConnection, incident: i64) -> anyhow::Result<()> {
    sqlx::query(
        "insert into events (incident_id, seq, kind, body, actor, occurred_at, recorded_at, hash)
         select incident_id, $2 + n, kind, body, actor, occurred_at, recorded_at, hash
         from events, generate_series(1, $3 - $2) n where incident_id = $1 and seq = 1",
    )
    .bind(incident)
    .bind(EVENTS)
    .bind(EVENTS_LONG)
    .execute(&mut *conn)
    .await?;
    sqlx::query("update incidents set next_seq = $2 where id = $1")
        .bind(incident)
        .bind(EVENTS_LONG + 1)
        .execute(conn)
        .await?;
    Ok(())
}
