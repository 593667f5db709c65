//! The actions that speak HTTP, against servers that answer well, badly or not at all.

use futures_util::FutureExt;
use serde_json::json;

use super::*;

#[tokio::test]
async fn a_request_carries_its_key_and_fence_and_reports_the_answer() {
    let (address, request) = serve(
        reply(
            "201 Created",
            "application/json; charset=utf-8",
            r#"{"standby":"b","n":[1]}"#,
        ),
        End::Close,
    )
    .await;
    let with = json!({
        "method": "POST", "path": "/failover/x", "query": {"force": true, "to": ["a b", "c"]},
        "headers": {"X-Reason": "primary down"}, "body": {"to": "b"},
    });
    let outcome = go(&http(address), with, &envelope()).await.unwrap();
    assert_eq!(
        outcome.result,
        json!({"ok": true, "status": 201, "body": {"standby": "b", "n": [1]},
               "headers": {"content-type": "application/json; charset=utf-8"}})
    );
    assert_eq!(outcome.summary, "POST /api/failover/x answered 201");
    let request = request.await.unwrap();
    for part in [
        "POST /api/failover/x?force=true&to=a+b&to=c HTTP/1.1",
        "idempotency-key: run-7/promote\r\n",
        "muster-fence: 42\r\n",
        "x-reason: primary down\r\n",
        "content-type: application/json\r\n",
        "\r\n\r\n{\"to\":\"b\"}",
    ] {
        assert!(request.contains(part), "{part} in {request}");
    }
}

#[tokio::test]
async fn a_status_means_what_its_method_asked_for() {
    for (method, status, class) in [
        ("GET", "200 OK", None),
        ("GET", "404 Not Found", None),
        ("GET", "503 Busy", None),
        ("HEAD", "500 Oops", None),
        ("POST", "204 Done", None),
        ("POST", "303 See Other", None),
        ("POST", "404 Not Found", Some(FailureClass::Refused)),
        ("PUT", "409 Conflict", Some(FailureClass::Refused)),
        ("DELETE", "429 Slow Down", Some(FailureClass::Refused)),
        ("POST", "500 Oops", Some(FailureClass::Lost)),
        ("PATCH", "503 Busy", Some(FailureClass::Lost)),
    ] {
        let body = if method == "HEAD" || status.starts_with("204") {
            ""
        } else {
            "because"
        };
        let (address, _request) = serve(reply(status, "text/plain", body), End::Close).await;
        let answer = go(&http(address), json!({"method": method}), &envelope()).await;
        let number: u16 = status[..3].parse().unwrap();
        match (answer, class) {
            (Ok(outcome), None) => {
                assert_eq!(outcome.result["ok"], number < 400);
                assert_eq!(outcome.result["status"], number);
            }
            (Err(failure), Some(class)) => {
                assert_eq!(failure.class, class, "{method} {status}");
                assert!(failure.message.contains(&status[..3]) && failure.message.contains("because"));
            }
            (answer, _) => panic!("{method} {status}: {answer:?}"),
        }
    }
}

#[tokio::test]
async fn a_check_sends_nothing_that_changes() {
    let (address, request) = serve(reply("200 OK", "text/plain", ""), End::Close).await;
    let failure = go(&http(address), json!({"method": "POST"}), &reading())
        .await
        .unwrap_err();
    assert_eq!(failure.class, FailureClass::Invalid);
    assert!(request.now_or_never().is_none());
}

#[tokio::test]
async fn a_connection_that_breaks_after_sending_is_lost() {
    let whole = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort";
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort\r\n";
    for method in ["GET", "POST"] {
        for (reply, end) in [
            ("", End::Close),
            ("", End::Reset),
            ("HTTP/1.1 200", End::Close),
            ("nonsense\r\n\r\n", End::Close),
            (whole, End::Close),
            (whole, End::Reset),
            (chunked, End::Close),
        ] {
            let (address, request) = serve(reply, end).await;
            let failure = go(&http(address), json!({"method": method}), &envelope())
                .await
                .unwrap_err();
            assert_eq!(failure.class, FailureClass::Lost, "{method} {reply:?}: {failure}");
            assert!(request.await.unwrap().starts_with(method), "it was sent, once");
        }
    }
    // A refusal is known from its status, whatever becomes of its text.
    let (address, _request) = serve("HTTP/1.1 403 No\r\ncontent-length: 100\r\n\r\nshort", End::Reset).await;
    let failure = go(&http(address), json!({"method": "POST"}), &envelope())
        .await
        .unwrap_err();
    assert_eq!(failure.class, FailureClass::Refused, "{failure}");
}

#[tokio::test]
async fn no_answer_in_time_is_lost_once_sent_and_not_sent_before() {
    let short = within(Span::from_millis(200));
    let slow = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort";
    for reply in ["", "HTTP/1.1 200 OK\r\n", slow] {
        let (address, request) = serve(reply, End::Hold).await;
        let failure = go(&http(address), json!({"method": "POST"}), &short)
            .await
            .unwrap_err();
        assert_eq!(failure.class, FailureClass::Lost, "{reply:?}: {failure}");
        assert!(request.await.unwrap().starts_with("POST"));
    }
    // The port accepts and the TLS greeting is never answered: the request itself has not left.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let target = target(Connection::Http(web(&url)));
    let failure = go(&target, json!({"method": "POST"}), &short).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::NotSent, "{failure}");
    let hasty = Outside::new(Bounds {
        connect: Span::from_millis(100),
    });
    let failure = go_by(&hasty, &target, json!({"method": "POST"}), &envelope())
        .await
        .unwrap_err();
    assert_eq!(failure.class, FailureClass::NotSent, "{failure}");
}

#[tokio::test]
async fn an_endless_body_is_cut_off() {
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\n\r\n",
    ] {
        let (address, request) = serve(head, End::Repeat).await;
        let outcome = go(&http(address), json!({}), &envelope()).await.unwrap();
        request.await.unwrap();
        assert_eq!(outcome.result["truncated"], true);
        assert!(outcome.result["body"].as_str().unwrap().starts_with("yyyy"));
        assert!(outcome.result.to_string().len() <= RESULT_BYTES_MAX);
    }
}

#[tokio::test]
async fn a_redirect_is_reported_and_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for (method, status) in [
        ("GET", "301 x"),
        ("POST", "302 x"),
        ("GET", "307 x"),
        ("POST", "308 x"),
    ] {
        let location = format!("http://{}/", elsewhere.local_addr().unwrap());
        let answer = format!("HTTP/1.1 {status}\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        let (address, _request) = serve(answer, End::Close).await;
        let answer = go(&http(address), json!({"method": method}), &envelope()).await;
        match status {
            "308 x" => assert_eq!(
                answer.unwrap_err().class,
                FailureClass::Refused,
                "nothing was done"
            ),
            _ => assert_eq!(answer.unwrap().result["headers"]["location"], location.as_str()),
        }
    }
    assert!(elsewhere.accept().now_or_never().is_none());
}

#[tokio::test]
async fn bytes_no_database_takes_become_visible() {
    let (address, _request) = serve(
        reply("200 OK", "application/json", r#"{"a":"x\u0000y"}"#),
        End::Close,
    )
    .await;
    let outcome = go(&http(address), json!({}), &envelope()).await.unwrap();
    assert_eq!(outcome.result["body"]["a"], "x␀y");
}

#[tokio::test]
async fn prometheus_is_asked_and_answers() {
    let body = r#"{"status":"success","data":{"resultType":"vector","result":[
        {"metric":{"__name__":"pg_up"},"value":[1700000000.1,"1"]}]}}"#;
    let (address, request) = serve(reply("200 OK", "application/json", body), End::Close).await;
    let prometheus = |address| target(Connection::Prometheus(web(&format!("http://{address}/prom"))));
    let with = json!({"query": "pg_up{cluster=\"a\"} == 1"});
    let outcome = go(&prometheus(address), with.clone(), &reading()).await.unwrap();
    assert_eq!(
        (&outcome.result["ok"], &outcome.result["value"]),
        (&json!(true), &json!(1.0))
    );
    assert!(
        request
            .await
            .unwrap()
            .starts_with("GET /prom/api/v1/query?query=pg_up%7Bcluster%3D%22a%22%7D+%3D%3D+1 ")
    );
    for (status, body, class) in [
        (
            "400 Bad",
            r#"{"status":"error","error":"parse error"}"#,
            FailureClass::Refused,
        ),
        ("503 Busy", "starting", FailureClass::Refused),
        ("200 OK", "<html>", FailureClass::Refused),
    ] {
        let (address, _request) = serve(reply(status, "application/json", body), End::Close).await;
        let failure = go(&prometheus(address), with.clone(), &reading())
            .await
            .unwrap_err();
        assert_eq!(failure.class, class, "{failure}");
    }
}

#[tokio::test]
async fn loki_is_asked_and_answers() {
    let body = r#"{"status":"success","data":{"resultType":"streams","result":[
        {"stream":{},"values":[["1700000000000000002","b\u0000"],["1700000000000000001","a"]]}]}}"#;
    let (address, request) = serve(reply("200 OK", "application/json", body), End::Close).await;
    let loki = target(Connection::Loki(web(&format!("http://{address}"))));
    let with = json!({"query": "{app=\"x\"}", "since": "1h30m", "limit": 2});
    let outcome = go(&loki, with, &reading()).await.unwrap();
    assert_eq!(
        outcome.result,
        json!({"ok": true, "count": 2, "lines": [
            {"at": "2023-11-14T22:13:20.000000001Z", "text": "a"},
            {"at": "2023-11-14T22:13:20.000000002Z", "text": "b␀"}]})
    );
    let request = request.await.unwrap();
    assert!(
        request.starts_with(
            "GET /loki/api/v1/query_range?query=%7Bapp%3D%22x%22%7D&limit=2&since=5400s&direction=backward "
        ),
        "{request}"
    );
}

#[tokio::test]
async fn elasticsearch_is_asked_and_answers() {
    let body = r#"{"timed_out":false,"_shards":{"failed":1},"hits":{"hits":[
        {"_source":{"@timestamp":"2026-01-01T00:00:02Z","message":"new"}},
        {"_source":{"@timestamp":"2026-01-01T00:00:01Z","message":"old"}}]}}"#;
    let (address, request) = serve(reply("200 OK", "application/json", body), End::Close).await;
    let elastic = target(Connection::Elasticsearch(web(&format!("http://{address}"))));
    let with = json!({"index": "logs-*", "query": "level:error", "limit": 7});
    let outcome = go(&elastic, with, &reading()).await.unwrap();
    assert_eq!(
        outcome.result["lines"][0],
        json!({"at": "2026-01-01T00:00:01Z", "text": "old"})
    );
    assert_eq!(
        (&outcome.result["count"], &outcome.result["partial"]),
        (&json!(2), &json!(true))
    );
    let request = request.await.unwrap();
    assert!(request.starts_with("POST /logs-*/_search "), "{request}");
    let (_, sent) = request.split_once("\r\n\r\n").unwrap();
    let sent: Value = serde_json::from_str(sent).unwrap();
    assert_eq!(
        (&sent["size"], &sent["sort"][0]["@timestamp"]),
        (&json!(7), &json!("desc"))
    );
    assert_eq!(
        sent["query"]["bool"]["filter"][1]["range"]["@timestamp"]["gte"],
        "now-900s"
    );
}

/// Answers every connection with the next of these heads and nothing else, and keeps what was asked.
async fn serve_each(replies: Vec<String>) -> (SocketAddr, Arc<tokio::sync::Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(tokio::sync::Mutex::new(Vec::new()));
    let ledger = Arc::clone(&asked);
    tokio::spawn(async move {
        for reply in replies {
            let (mut stream, _) = listener.accept().await.unwrap();
            let text = request(&mut stream).await;
            ledger.lock().await.push(text);
            stream.write_all(reply.as_bytes()).await.unwrap();
        }
    });
    (address, asked)
}

fn found(location: &str) -> String {
    format!("HTTP/1.1 302 x\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

#[tokio::test]
async fn redirects_are_followed_as_far_as_the_target_says_and_credentials_stay_at_home() {
    let folder = Folder::new();
    for (method, status) in [
        ("GET", "301"),
        ("GET", "302"),
        ("GET", "303"),
        ("GET", "307"),
        ("HEAD", "308"),
    ] {
        let (other, other_asked) = serve_each(vec![reply("200 OK", "text/plain", "")]).await;
        let there = |location: &str| found(location).replace("302", status);
        let (home, asked) = serve_each(vec![there("/b?x=1#y"), there(&format!("http://{other}/c"))]).await;
        let mut target = http(home);
        target.networks = vec!["127.0.0.1".parse().unwrap()];
        if let Connection::Http(web) = &mut target.connection {
            web.redirects = 2;
            web.bearer = Some(folder.secret("token", "c4n4ry-token"));
            web.headers
                .insert("x-api-key".to_owned(), folder.secret("key", "c4n4ry-key"));
        }
        let with = json!({"path": "a", "method": method, "headers": {"x-reason": "c4n4ry-reason"}});
        let outcome = go(&target, with, &reading()).await.unwrap();
        assert_eq!(outcome.result["status"], 200, "{status}");
        let asked = asked.lock().await;
        assert!(
            asked[0].starts_with(&format!("{method} /api/a "))
                && asked[1].starts_with(&format!("{method} /b?x=1 ")),
            "{asked:?}"
        );
        for request in asked.iter() {
            assert!(
                request.contains("c4n4ry-token") && request.contains("c4n4ry-key"),
                "{request}"
            );
        }
        let elsewhere = other_asked.lock().await;
        assert!(
            elsewhere[0].starts_with(&format!("{method} /c ")),
            "{elsewhere:?}"
        );
        assert!(
            !elsewhere[0].contains("c4n4ry") && !elsewhere[0].contains("muster-fence"),
            "{elsewhere:?}"
        );
    }
}

#[tokio::test]
async fn a_redirect_to_where_the_target_may_not_go_is_refused() {
    let inside = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = inside.local_addr().unwrap().port();
    for location in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://127.1:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("//127.0.0.1:{port}/"),
        "http://169.254.169.254/".to_owned(),
        "http://10.0.0.1/".to_owned(),
        "ftp://example.com/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "http://me:hush@example.com/".to_owned(),
        format!("http://x.example/{}", "a".repeat(5000)),
    ] {
        let (home, _asked) = serve_each(vec![found(&location)]).await;
        let mut target = http(home);
        if let Connection::Http(web) = &mut target.connection {
            web.redirects = 5;
        }
        let failure = go(&target, json!({}), &reading()).await.unwrap_err();
        assert!(
            matches!(failure.class, FailureClass::Refused | FailureClass::Invalid),
            "{location}: {failure}"
        );
    }
    assert!(inside.accept().now_or_never().is_none());
    // One more than the target allows.
    let (home, asked) = serve_each(vec![found("/b"), found("/c"), found("/d")]).await;
    let mut target = http(home);
    if let Connection::Http(web) = &mut target.connection {
        web.redirects = 2;
    }
    let failure = go(&target, json!({}), &reading()).await.unwrap_err();
    assert!(failure.message.contains("more than 2 redirects"), "{failure}");
    assert_eq!(asked.lock().await.len(), 3);
    // What changes something is never sent twice.
    for status in [307, 308] {
        let again = found("/b").replace("302", &status.to_string());
        let (home, asked) = serve_each(vec![again]).await;
        let mut target = http(home);
        if let Connection::Http(web) = &mut target.connection {
            web.redirects = 5;
        }
        let answer = go(&target, json!({"method": "POST", "body": "x"}), &envelope()).await;
        assert!(answer.is_err() || answer.unwrap().result["status"] == status);
        assert_eq!(asked.lock().await.len(), 1);
    }
}

#[tokio::test]
async fn an_answer_is_read_as_far_as_the_target_says() {
    for (max, cut) in [(None, false), (Some(1024), true)] {
        let (address, _request) = serve(reply("200 OK", "text/plain", &"x".repeat(2000)), End::Close).await;
        let mut target = http(address);
        if let Connection::Http(web) = &mut target.connection {
            web.answer_bytes_max = max;
        }
        let outcome = go(&target, json!({}), &reading()).await.unwrap();
        assert_eq!(outcome.result["truncated"] == true, cut, "{max:?}");
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nx-long: {}\r\ncontent-length: 0\r\n\r\n",
        "x".repeat(70_000)
    );
    for (method, class) in [("GET", FailureClass::Refused), ("POST", FailureClass::Lost)] {
        let (address, _request) = serve(head.clone(), End::Close).await;
        let failure = go(&http(address), json!({"method": method}), &envelope())
            .await
            .unwrap_err();
        assert_eq!(failure.class, class, "{failure}");
        assert!(failure.message.contains("headers"), "{failure}");
    }
}
