//! Where a token may stand, bodies that are packed, and how an address may not be asked.

use std::io::Write;

use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use flate2::{Compression, write::GzEncoder};
use muster::web::hooks::HookLimits;

use super::firing;
use crate::support::intake::{Intake, TOKEN};

async fn team() -> Intake {
    let intake = Intake::new().await;
    intake.source("team", None).await;
    intake
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_token_may_stand_in_a_header_of_its_own_or_in_the_path() {
    let intake = team().await;
    let base = "/api/v1/sources/team";
    let token = format!("{TOKEN}-team");
    let lease = r#"[{"labels": {"alertname": "Down"}, "endsAt": "2026-11-21T04:00:00Z"}]"#;
    for (path, header, body, status) in [
        (
            format!("{base}/alertmanager"),
            Some(token.as_str()),
            firing("A"),
            StatusCode::OK,
        ),
        (
            format!("{base}/alertmanager"),
            Some("wrong"),
            firing("A"),
            StatusCode::UNAUTHORIZED,
        ),
        (
            format!("{base}/alertmanager/{token}"),
            None,
            firing("A"),
            StatusCode::OK,
        ),
        (
            format!("{base}/alertmanager/{token}/"),
            None,
            firing("A"),
            StatusCode::OK,
        ),
        (
            format!("{base}/alertmanager/{token}x"),
            None,
            firing("A"),
            StatusCode::UNAUTHORIZED,
        ),
        (
            format!("{base}/prometheus/{token}/api/v2/alerts"),
            None,
            lease.to_owned(),
            StatusCode::OK,
        ),
        (
            format!("{base}/prometheus/wrong/api/v2/alerts"),
            None,
            lease.to_owned(),
            StatusCode::UNAUTHORIZED,
        ),
        (
            format!("{base}/prometheus/api/v2/alerts"),
            Some(&token),
            lease.to_owned(),
            StatusCode::OK,
        ),
    ] {
        let mut request = Request::post(&path);
        if let Some(header) = header {
            request = request.header("X-Muster-Token", header);
        }
        let answer = intake.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(answer.status, status, "{path} {header:?}: {}", answer.body);
    }
    let leaked = "select count(*) from deliveries d
                  where (to_jsonb(d) - 'body')::text like '%a-token-of-a-test%'";
    assert_eq!(intake.database.count(leaked).await, 0);
}

#[tokio::test]
async fn only_what_delivers_is_answered_and_never_by_a_redirect() {
    let intake = team().await;
    for (method, path, status) in [
        (Method::GET, "team/alertmanager", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "team/alertmanager/", StatusCode::METHOD_NOT_ALLOWED),
        (
            Method::GET,
            "team/prometheus/api/v2/alerts",
            StatusCode::METHOD_NOT_ALLOWED,
        ),
        (Method::PUT, "team/alertmanager", StatusCode::METHOD_NOT_ALLOWED),
        (Method::PUT, "team/grafana", StatusCode::OK),
    ] {
        let request = Request::builder()
            .method(method.clone())
            .uri(format!("/api/v1/sources/{path}"))
            .header("authorization", format!("Bearer {TOKEN}-team"))
            .body(Body::from(firing("A")))
            .unwrap();
        let answer = intake.send(request).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_packed_body_is_unpacked_up_to_the_limit() {
    let limits = HookLimits {
        body_bytes_max: 4096,
        ..HookLimits::default()
    };
    let intake = Intake::with_limits(limits).await;
    intake.source("team", None).await;
    let bomb = packed(&vec![b' '; 1 << 20]);
    assert!(bomb.len() < 4096, "it is the unpacked length that counts");
    for (encoding, body, status) in [
        ("gzip", packed(firing("A").as_bytes()), StatusCode::OK),
        ("GZIP", packed(firing("A").as_bytes()), StatusCode::OK),
        ("identity", firing("A").into_bytes(), StatusCode::OK),
        ("gzip", bomb, StatusCode::PAYLOAD_TOO_LARGE),
        ("gzip", firing("A").into_bytes(), StatusCode::BAD_REQUEST),
        ("br", firing("A").into_bytes(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        let request = Request::post("/api/v1/sources/team/alertmanager")
            .header("authorization", format!("Bearer {TOKEN}-team"))
            .header("content-encoding", encoding)
            .body(Body::from(body))
            .unwrap();
        let answer = intake.send(request).await;
        assert_eq!(answer.status, status, "{encoding}: {}", answer.body);
    }
    let applied = "select count(*) from deliveries where outcome = 'applied' and body like '{%'::bytea";
    assert_eq!(intake.database.count(applied).await, 3, "kept unpacked");
    let seen = "select count(*) from deliveries where reason like '%unpacks to more than 4096%'";
    assert_eq!(intake.database.count(seen).await, 1);
}
