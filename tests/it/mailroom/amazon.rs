//! What Amazon SNS sends: signatures, topics, and subscriptions that are confirmed. The envelopes were signed with a
//! certificate made for them; Amazon's hosts are a double that hands it out.

use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use muster::domain::source::{SourceKind, SourceSettings};
use serde_json::Value;

use crate::support::intake::Intake;

const TOPIC: &str = "arn:aws:sns:us-west-2:123456789012:alarms";

fn envelope(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sns");
    std::fs::read_to_string(format!("{folder}/{name}.json")).unwrap()
}

async fn aws(topic: Option<&str>) -> Intake {
    let intake = Intake::new().await;
    let settings = SourceSettings {
        format: SourceKind::Sns,
        topic_arn: topic.map(str::to_owned),
        ..SourceSettings::default()
    };
    intake.source_with("aws", settings).await;
    intake
}

#[tokio::test]
async fn only_what_amazon_signed_of_the_right_topic_is_taken() {
    let intake = aws(Some(TOPIC)).await;
    let (status, answer) = intake.post_as("aws", "sns", envelope("notification-v2")).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["incidents"].as_array().unwrap().len(), 1);
    let (status, _) = intake.post_as("aws", "sns", envelope("notification-v2")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        intake.amazon.asked.lock().unwrap().len(),
        1,
        "the certificate is kept"
    );

    let changed = envelope("notification-v2").replace("orders-5xx", "orders-4xx");
    let (status, answer) = intake.post_as("aws", "sns", changed).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{answer}");
    let elsewhere =
        envelope("notification-v2").replace("https://sns.us-west-2.amazonaws.com/", "https://evil.example/");
    let (status, answer) = intake.post_as("aws", "sns", elsewhere).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{answer}");
    let other = aws(Some("arn:aws:sns:us-west-2:123456789012:others")).await;
    let (status, answer) = other.post_as("aws", "sns", envelope("notification-v2")).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{answer}");
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("messages of"),
        "{answer}"
    );
    assert!(
        other.amazon.asked.lock().unwrap().is_empty(),
        "nobody was asked for a stranger"
    );

    let refused =
        "select count(*) from deliveries where outcome = 'rejected' and reason like 'no or wrong signature%'";
    assert_eq!(intake.database.count(refused).await, 2);
    let asked = intake.amazon.asked.lock().unwrap().clone();
    assert!(
        asked
            .iter()
            .all(|url| url.starts_with("https://sns.us-west-2.amazonaws.com/")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_certificate_that_cannot_be_fetched_makes_the_sender_come_again() {
    let intake = aws(None).await;
    intake.amazon.is_away.store(true, Ordering::SeqCst);
    let (status, answer) = intake.post_as("aws", "sns", envelope("notification-v2")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    intake.amazon.is_away.store(false, Ordering::SeqCst);
    let (status, answer) = intake.post_as("aws", "sns", envelope("notification-v2")).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

#[tokio::test]
async fn a_signed_subscription_confirms_itself() {
    let intake = aws(Some(TOPIC)).await;
    let body = envelope("subscription-v2");
    let parsed: Value = serde_json::from_str(&body).unwrap();
    let unsigned = body.replace("2336412f37fb687f5d51e6e2425e", "2336412f37fb687f5d51e6e2425f");
    let (status, answer) = intake.post_as("aws", "sns", unsigned).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{answer}");
    let confirm = parsed["SubscribeURL"].as_str().unwrap();
    let was_asked = || {
        intake
            .amazon
            .asked
            .lock()
            .unwrap()
            .iter()
            .any(|url| url == confirm)
    };
    assert!(!was_asked());
    let (status, answer) = intake.post_as("aws", "sns", body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert!(was_asked(), "{:?}", intake.amazon.asked.lock().unwrap());
    let kept = "select count(*) from deliveries where outcome = 'applied' and reason like '%is confirmed%'";
    assert_eq!(intake.database.count(kept).await, 1);
}
