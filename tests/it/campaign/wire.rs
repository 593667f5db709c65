//! A worker whose lease ends while it connects: another one does the work, and the first sends nothing when it is
//! connected at last.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    time::sleep_until,
};

use super::{figures::FENCED, replicas::Replicas};
use crate::{fleet::wait, scratch::Scratch, support::database::Database};

const RUNBOOK: &str = "
runbook: change
title: One change
match: ['alertname=\"Broken\"']
start: automatic
steps:
  - id: change
    call: http
    with: { target: door, method: PUT, path: /change }
    effect: idempotent
    timeout: 1m
";

const SOON: Duration = Duration::from_secs(30);
const LEASE_END: &str = "select (extract(epoch from max(lease_until)) * 1000)::bigint from replicas";

/// The fences of what came through the door, in order.
type Came = Arc<Mutex<Vec<i64>>>;

async fn open(listener: TcpListener, came: Came) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let came = came.clone();
        tokio::spawn(async move {
            let mut text = vec![0; 4096];
            let read = stream.read(&mut text).await.unwrap_or_default();
            let text = String::from_utf8_lossy(&text[..read]);
            let mut fences = text
                .lines()
                .filter_map(|line| line.strip_prefix("muster-fence: ")?.parse::<i64>().ok());
            came.lock().unwrap().extend(fences.next());
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                .await;
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_lease_ends_while_it_connects_sends_nothing() {
    let (database, scratch) = (Database::new().await, Scratch::new());
    // A door with room for two in front of it: whoever knocks now must knock again, which the kernel does for a
    // process that stands still.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let in_front = [
        TcpStream::connect(address).await.unwrap(),
        TcpStream::connect(address).await.unwrap(),
    ];
    let runbooks = scratch.path().join("runbooks");
    std::fs::create_dir(&runbooks).unwrap();
    std::fs::write(runbooks.join("change.yaml"), RUNBOOK).unwrap();
    let targets = format!("targets:\n  - name: door\n    http: {{ url: \"http://{address}/\" }}\n");
    std::fs::write(runbooks.join("targets.yaml"), targets).unwrap();
    let mut replicas = Replicas::new("ab", &database, &runbooks, scratch.path());
    replicas.start(0);
    let until = async |what: &str, sql: &'static str, wanted: fn(i64) -> bool| {
        wait::until(what, SOON, async || {
            anyhow::ensure!(wanted(database.count(sql).await));
            Ok(())
        })
        .await
        .unwrap();
    };
    let leases = "select count(*) from replicas";
    until("it has a lease", leases, |count| count == 1).await;
    let first = database.count(LEASE_END).await;
    wait::until("the lease is renewed", SOON, async || {
        anyhow::ensure!(database.count(LEASE_END).await != first);
        Ok(())
    })
    .await
    .unwrap();
    let renewed = Instant::now();
    let at = |millis| sleep_until((renewed + Duration::from_millis(millis)).into());
    // From now on the database is slow for this one, and its lease is not renewed.
    let mut hold = database.pools.background.begin().await.unwrap();
    sqlx::raw_sql("set idle_in_transaction_session_timeout = 0; select 1 from replicas for no key update")
        .execute(&mut *hold)
        .await
        .unwrap();
    at(7000).await;
    let alert = json!({"receiver": "r", "groupKey": "{}:{}", "alerts": [{
        "status": "firing", "labels": {"alertname": "Broken"}, "startsAt": "2026-11-21T02:00:00Z",
    }]});
    replicas.muster(0).stores(&alert).await;
    let begun = "select count(*) from attempts";
    until("the change has begun", begun, |count| count == 1).await;
    replicas.stop(0, SOON);
    let came = Came::default();
    drop(in_front);
    tokio::spawn(open(listener, came.clone()));
    // Its first look for the runs of dead processes comes just after the lease can be taken for ended, well before the
    // first one stops trying to connect, 5 s after it began.
    at(10_800).await;
    replicas.start(1);
    until("the other one takes it", begun, |count| count == 2).await;
    replicas.go_on(0, SOON);
    drop(hold);
    wait::until("the fence stops the first one", SOON, async || {
        anyhow::ensure!(replicas.logs().contains(FENCED), "not yet\n{}", replicas.logs());
        Ok(())
    })
    .await
    .unwrap();
    until("the run ends", "select count(*) from run_queue", |count| {
        count == 0
    })
    .await;
    // The first claim has the fence 1, its end is 2, the second claim 3.
    assert_eq!(*came.lock().unwrap(), [3]);
}
