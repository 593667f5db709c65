//! The fleet itself, without Muster: a primary dies, the alert arrives, a person fails over by hand, all is well again.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Html;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::Value;

use crate::fleet::browser::Screen;
use crate::fleet::postgres::{self, APPLICATION, DATABASE};
use crate::fleet::prometheus::{ALERT, PRIMARIES, PRIMARY_UP, WRITES_WORK};
use crate::fleet::{Fleet, wait};

const TOKEN: &str = "a-token-for-the-webhook";
const PAGE: &str = "<!doctype html><meta name=viewport content='width=device-width'><title>Fleet</title>
    <link rel=icon href='data:,'>
    <h1 style='height: 1500px'>A page</h1><script>console.error('as expected')</script>";

/// Every body that came with the right token, and when.
type Inbox = Arc<Mutex<Vec<(Instant, Value)>>>;

#[tokio::test]
async fn a_dead_primary_raises_the_alert_and_a_failover_by_hand_clears_it() -> Result<()> {
    let mut watch = Stages::begin();
    let (address, inbox) = receiver().await?;
    let mut fleet = Fleet::start().await?;
    fleet.alert_to(&format!("http://{address}/hook"), TOKEN).await?;
    watch.reached("the fleet is healthy");

    assert!(!fleet.primary.is_in_recovery().await?);
    assert!(fleet.standby.is_in_recovery().await?);
    assert_eq!(order("a plate", &fleet).await?, fleet.primary.port);
    assert_eq!(fleet.haproxy.status("standby").await?, "MAINT");
    let by_socket = tokio::net::UnixStream::connect(&fleet.haproxy.admin_socket).await;
    assert!(by_socket.is_ok());

    fleet.kill_primary();
    let killed = Instant::now();
    watch.reached("the primary is killed");
    assert!(!fleet.primary.is_running());
    assert!(order("a fork", &fleet).await.is_err());
    assert!(std::fs::read_to_string(&fleet.primary.log)?.contains("ready to accept connections"));

    arrived(&inbox, "firing", killed).await?;
    watch.reached("the firing body arrived");
    fleet.prometheus.becomes(PRIMARY_UP, 0.).await?;
    fleet.prometheus.becomes(PRIMARIES, 0.).await?;
    fleet.prometheus.expect(WRITES_WORK, 0.).await?;
    watch.reached("pg_up is 0 as well");
    let firing = inbox
        .lock()
        .ok()
        .and_then(|inbox| inbox.last().cloned())
        .context("nothing arrived")?
        .1;
    println!("{firing:#}");
    let alert = &firing["alerts"][0];
    assert_eq!(alert["labels"]["alertname"], ALERT);
    assert_eq!(alert["labels"]["severity"], "critical");
    assert_eq!(alert["labels"]["env"], "prod");
    assert_eq!(alert["labels"]["cluster"], "checkout");

    let held = fleet.standby.hold_promotion().await?;
    let watched = async {
        let asked = async || {
            ensure!(fleet.standby.times_asked("pg_promote")? == 1, "nobody asked");
            Ok(())
        };
        wait::until("the promotion is asked for", Duration::from_secs(10), asked).await?;
        ensure!(fleet.standby.is_in_recovery().await?, "it was not held");
        drop(held);
        Ok(())
    };
    tokio::try_join!(fleet.standby.promote(), watched)?;
    watch.reached("the standby is promoted");
    assert!(!fleet.standby.is_in_recovery().await?);
    assert_eq!(fleet.standby.times_asked("pg_promote")?, 1);
    let switched = Instant::now();
    fleet.haproxy.set_state("standby", "ready").await?;
    fleet.haproxy.set_state("primary", "maint").await?;
    fleet.prometheus.becomes(WRITES_WORK, 1.).await?;
    watch.reached("Prometheus sees writes through the proxy");
    assert_eq!(order("a spoon", &fleet).await?, fleet.standby.port);
    assert_eq!(fleet.haproxy.status("primary").await?, "MAINT");
    fleet.prometheus.expect(PRIMARY_UP, 0.).await?;
    fleet.prometheus.becomes(PRIMARIES, 1.).await?;

    arrived(&inbox, "resolved", switched).await?;
    watch.reached("the resolved body arrived");

    let browser = fleet.browser().await?;
    browser.page.goto(&format!("http://{address}/")).await?;
    assert_eq!(browser.page.title().await?, "Fleet");
    let errors = browser.console_errors().await?;
    assert!(
        errors.len() == 1 && errors[0].contains("as expected"),
        "{errors:?}"
    );
    let pictures = fleet.scratch.folder("pictures")?;
    for (screen, name, size) in [
        (Screen::Desktop, "desktop", (1280, 900)),
        (Screen::Phone, "phone", (2 * 360, 2 * 740)),
    ] {
        browser.screen(screen).await?;
        let file = pictures.join(format!("{name}.png"));
        browser.screenshot(&file).await?;
        assert_eq!(png_size(&std::fs::read(&file)?), Some(size));
        let whole = pictures.join(format!("{name}-whole.png"));
        browser.screenshot_whole(&whole).await?;
        assert!(png_size(&std::fs::read(&whole)?).is_some_and(|(_, height)| height > size.1));
    }
    browser.close().await?;
    watch.reached("Chromium took its pictures");
    fleet.end();
    watch.reached("everything has ended");
    Ok(())
}

/// Orders something as the application does, through the proxy, and says which server took the order.
async fn order(item: &str, fleet: &Fleet) -> Result<u16> {
    let mut connection = postgres::connect(fleet.haproxy.port, &APPLICATION, DATABASE).await?;
    let insert = "insert into orders (item) values ($1) returning inet_server_port()";
    let port: i32 = sqlx::query_scalar(insert)
        .bind(item)
        .fetch_one(&mut connection)
        .await?;
    Ok(port.try_into()?)
}

async fn receiver() -> Result<(std::net::SocketAddr, Inbox)> {
    let inbox = Inbox::default();
    let kept = inbox.clone();
    let hook = post(async move |headers: HeaderMap, Json(body): Json<Value>| {
        if headers
            .get("authorization")
            .is_none_or(|value| value != &format!("Bearer {TOKEN}"))
        {
            return StatusCode::UNAUTHORIZED;
        }
        if let Ok(mut inbox) = kept.lock() {
            inbox.push((Instant::now(), body));
        }
        StatusCode::OK
    });
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let router = Router::new()
        .route("/hook", hook)
        .route("/", get(async || Html(PAGE)));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((address, inbox))
}

async fn arrived(inbox: &Inbox, status: &str, since: Instant) -> Result<()> {
    wait::until(
        &format!("a {status} body arrives"),
        Duration::from_secs(30),
        async || {
            let inbox = inbox.lock().ok().context("the receiver failed")?;
            ensure!(
                inbox
                    .iter()
                    .any(|(at, body)| *at >= since && body["status"] == status),
                "{} came",
                inbox.len()
            );
            Ok(())
        },
    )
    .await
}

fn png_size(png: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize| Some(u32::from_be_bytes(png.get(at..at + 4)?.try_into().ok()?));
    png.starts_with(b"\x89PNG").then_some((number(16)?, number(20)?))
}

/// Prints how long each stage took.
struct Stages {
    begin: Instant,
    last: Instant,
}

impl Stages {
    fn begin() -> Stages {
        Stages {
            begin: Instant::now(),
            last: Instant::now(),
        }
    }

    fn reached(&mut self, stage: &str) {
        let (took, total) = (
            self.last.elapsed().as_secs_f64(),
            self.begin.elapsed().as_secs_f64(),
        );
        println!("{total:6.2} s  (+{took:5.2} s)  {stage}");
        self.last = Instant::now();
    }
}
