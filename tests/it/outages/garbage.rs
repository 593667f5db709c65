//! F26: bodies that nobody can use and senders that dawdle. Each is told so, none is remembered by a growing memory, and
//! the next delivery is stored.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    Bench, is_full,
    report::{Row, memory},
    server::LONG,
};
use crate::support::muster::TOKEN;

/// The most that the process may grow, in MiB.
const GROWTH_MAX: u64 = 16;
/// How often a good body is sent before: each may be read by another thread, and the allocator keeps for a thread what it
/// once needed.
const WARM: usize = 6;
/// The longest body of this Muster, in bytes.
const BODY_MAX: usize = 4 << 20;

fn head(length: &str, encoding: &str) -> String {
    format!(
        "POST /api/v1/sources/test/alertmanager HTTP/1.1\r\nhost: muster\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: application/json\r\n{encoding}{length}\r\n"
    )
}

/// Sends bytes and reads the status; 0 when the connection is closed without one.
async fn exchange(bench: &Bench, head: &str, body: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(bench.setup.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.split();
    let sending = async {
        // An answer may come, and the connection end, before all is sent.
        let _ = write.write_all(body).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        status = status(&mut read) => status,
        () = sending => 0,
    }
}

async fn status(read: &mut (impl AsyncReadExt + Unpin)) -> u16 {
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    while !answer.windows(2).any(|two| two == b"\r\n") {
        match read.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
        }
    }
    let line = String::from_utf8_lossy(&answer).into_owned();
    line.split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or_default()
}

/// About as long as the longest of the bad bodies.
fn many_alerts(name: &str) -> String {
    let alert = |n: usize| {
        let labels: serde_json::Map<_, _> = (0..25).map(|l| (format!("label_{l}"), json!("v"))).collect();
        let mut labels = json!(labels);
        labels["alertname"] = json!(format!("{name}-{n}"));
        json!({"status": "firing", "labels": labels, "startsAt": "2026-11-21T02:59:00Z"})
    };
    json!({"groupKey": name, "alerts": (0..4_000).map(alert).collect::<Vec<_>>()}).to_string()
}

/// Bodies that can never be used.
fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let whole = super::history::alert("cut", 100).to_string();
    let labels: serde_json::Map<_, _> = (0..100_000).map(|n| (format!("label_{n}"), json!("v"))).collect();
    let many = json!({"groupKey": "labels", "alerts": [{"status": "firing", "labels": labels,
                      "startsAt": "2026-11-21T02:59:00Z"}]});
    let nul = r#"{"groupKey": "nul\u0000", "alerts": [{"status": "firing", "labels": {"a\u0000": "b\u0000"},
                  "startsAt": "2026-11-21T02:59:00Z"}]}"#;
    vec![
        ("empty", Vec::new()),
        ("cut in the middle", whole.as_bytes()[..whole.len() / 2].to_vec()),
        ("an array", b"[1, 2, 3]".to_vec()),
        ("a number for alerts", br#"{"alerts": 7}"#.to_vec()),
        (
            "a number for labels",
            br#"{"groupKey": "x", "alerts": [{"status": "firing", "labels": 7}]}"#.to_vec(),
        ),
        ("bytes of zero", vec![0; 1000]),
        (
            "no UTF-8",
            b"{\"groupKey\": \"\xff\xfe\", \"alerts\": []}".to_vec(),
        ),
        ("depth 10,000", "[".repeat(10_000).into_bytes()),
        ("depth 10,000 in an object", "{\"a\":".repeat(10_000).into_bytes()),
        ("zeroes in names", nul.as_bytes().to_vec()),
        ("100,000 labels", many.to_string().into_bytes()),
        (
            "a long name",
            format!("{{\"{}\": 1}}", "n".repeat(1 << 20)).into_bytes(),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_refused_costs_no_memory_and_keeps_no_delivery_out() {
    let bench = Bench::with("garbage", &[], &[("MUSTER_BODY_MAX", BODY_MAX.to_string())]).await;
    let muster = bench.muster.as_ref().unwrap();
    // What every process allocates once, and what a good body of this length takes.
    bench.history.burst(100, 8).await;
    bench.history.post_of(BODY_MAX / 2).await;
    for n in 0..WARM {
        let name = format!("warm-{n}");
        let sent = bench.history.send(name.clone(), many_alerts(&name)).await;
        assert!(matches!(sent.status, Some(200 | 202)), "{sent:?}");
        bench.drains(LONG).await;
    }
    bench.history.forget_times();
    let (_, before) = memory(muster);

    // Those that dawdle do so while the others are tried.
    let dawdlers = tokio::spawn(dawdle(bench.setup.address));
    let mut refused = 0;
    for (name, body) in bodies() {
        let status = exchange(
            &bench,
            &head(&format!("content-length: {}\r\n", body.len()), ""),
            &body,
        )
        .await;
        // What can be made of it without guessing may be stored; nothing else is accepted.
        let is_fine = matches!(status, 400 | 413) || (name == "zeroes in names" && status == 200);
        assert!(is_fine, "{name}: {status}\n{}", bench.setup.logged());
        refused += usize::from(status != 200);
        assert_eq!(bench.history.post().await, Some(200), "after {name}");
    }

    // 1 GB, said so and not.
    let gigabyte = head("content-length: 1073741824\r\n", "");
    assert_eq!(exchange(&bench, &gigabyte, &[b'x'; 1 << 16]).await, 413);
    let chunk = [b"100000\r\n".as_slice(), &vec![b'x'; 1 << 20], b"\r\n"].concat();
    let chunked = head("transfer-encoding: chunked\r\n", "");
    assert_eq!(exchange(&bench, &chunked, &chunk.repeat(64)).await, 413);
    // A bomb is unpacked no further than a body may be long.
    let bomb = gzip_bomb();
    let packed = head(
        &format!("content-length: {}\r\n", bomb.len()),
        "content-encoding: gzip\r\n",
    );
    assert_eq!(exchange(&bench, &packed, &bomb).await, 413);
    // Nobody is let in by a body: the token comes first.
    let stranger = head("content-length: 1073741824\r\n", "").replace(TOKEN, "wrong");
    assert_eq!(exchange(&bench, &stranger, b"").await, 401);
    refused += 4;

    let (ended, longest) = dawdlers.await.unwrap();
    refused += ended;
    assert_eq!(bench.history.post().await, Some(200));
    bench.is_usable().await;
    bench.drains(LONG).await;
    let (_, after) = memory(muster);
    let growth = after.saturating_sub(before);
    let remark = format!(
        "{growth} MiB more, dawdlers cut after {:.0} s",
        longest.as_secs_f64()
    );
    bench
        .server
        .run("delete from deliveries where outcome = 'applied' and body like '%nul%'")
        .await;
    bench
        .checked(Row {
            fault: "F26 garbage",
            fired: refused,
            remark,
        })
        .await;
    assert!(growth < GROWTH_MAX, "{growth} MiB more than {before}");
}

/// 64 MiB of zeroes, packed: stored blocks would not be a bomb, so one block of the same byte again and again.
fn gzip_bomb() -> Vec<u8> {
    use std::process::{Command, Stdio};
    let packed = Command::new("sh")
        .args(["-c", "head -c 67108864 /dev/zero | gzip -9"])
        .stderr(Stdio::null())
        .output()
        .unwrap();
    assert!(packed.status.success() && packed.stdout.len() < 1 << 20);
    packed.stdout
}

/// Senders of a header and of a body that never end; how many were cut off, and after how long at most.
async fn dawdle(address: std::net::SocketAddr) -> (usize, Duration) {
    let head_only = tokio::spawn(drip(
        address,
        "POST /api/v1/sources/test/al".to_owned(),
        Duration::from_secs(1),
    ));
    let silent = head("content-length: 1000\r\n", "") + "{";
    let pausing = tokio::spawn(drip(address, silent.clone(), Duration::from_secs(60)));
    let mut tasks = vec![head_only, pausing];
    if is_full() {
        // Never a pause, and never an end.
        tasks.push(tokio::spawn(drip(address, silent, Duration::from_secs(1))));
    }
    let (mut ended, mut longest) = (0, Duration::ZERO);
    for task in tasks {
        if let Some(after) = task.await.unwrap() {
            ended += 1;
            longest = longest.max(after);
        }
    }
    (ended, longest)
}

/// Sends the beginning, then a byte now and then; after how long it was cut off.
async fn drip(address: std::net::SocketAddr, beginning: String, pause: Duration) -> Option<Duration> {
    let began = Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(beginning.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.split();
    let dripping = async {
        loop {
            tokio::time::sleep(pause).await;
            if write.write_all(b"x").await.is_err() {
                return;
            }
        }
    };
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(50), async {
        tokio::select! {
            _ = read.read_to_end(&mut rest) => {}
            () = dripping => {}
        }
    });
    ended.await.ok().map(|()| began.elapsed())
}
