//! Amazon SNS: alarms, confirmations, and whose signature is believed. The envelopes in `tests/data/sns` were signed
//! with openssl by a key that was thrown away.

use serde_json::{Value, json};

use super::{alerts, at, only, place, told, told_json};
use crate::{
    domain::{
        alert::AlertStatus::{Firing, Resolved},
        labels::Labels,
    },
    intake::{
        Content, Format,
        mapping::Mapping,
        sns::{Envelope, Kind, signed_text},
    },
};

macro_rules! data {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sns/", $name))
    };
}

const CERTIFICATE: &[u8] = data!("certificate.pem");
const NOTIFICATION: &[u8] = data!("notification-v2.json");

/// The notification with another message, or with that message's state changed.
fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut envelope: Value = serde_json::from_slice(NOTIFICATION).unwrap();
    let mut alarm: Value = serde_json::from_str(envelope["Message"].as_str().unwrap()).unwrap();
    change(&mut alarm);
    envelope["Message"] = json!(alarm.to_string());
    envelope
}

#[test]
fn an_alarm_is_one_alert() {
    let (groups, _) = alerts(told(Format::Sns, NOTIFICATION, None));
    assert_eq!(groups[0].group_key, r#"{"alertname"="orders-5xx"}"#);
    let report = &groups[0].alerts[0];
    assert_eq!(report.status, Firing);
    assert_eq!(report.starts_at, at("2026-11-21T02:01:26.123Z"));
    assert_eq!(
        report.labels,
        Labels::from([
            ("alertname", "orders-5xx"),
            ("source", "cloudwatch"),
            ("account", "123456789012"),
            ("region", "US West (Oregon)"),
            ("metric", "HTTPCode_Target_5XX_Count"),
            ("metric_namespace", "AWS/ApplicationELB"),
            ("LoadBalancer", "app/orders/50dc6c495c0c9188"),
        ])
    );
    assert!(report.annotations.get("reason").starts_with("Threshold Crossed"));
    assert_eq!(
        report.annotations.get("description"),
        "Too many 5xx from the orders service"
    );
}

#[test]
fn its_state_says_whether_it_fires_and_its_arn_who_it_is() {
    let firing = only(told(Format::Sns, NOTIFICATION, None));
    let resolved = only(told_json(
        Format::Sns,
        &changed(|alarm| {
            alarm["NewStateValue"] = json!("OK");
            alarm["StateChangeTime"] = json!("2026-11-21T02:04:00.000+0000");
            alarm["Trigger"] = json!(null);
        }),
    ));
    assert_eq!(resolved.status, Resolved);
    assert_eq!(resolved.ends_at, Some(at("2026-11-21T02:04:00Z")));
    assert_eq!(resolved.fingerprint, firing.fingerprint);

    let unknown = changed(|alarm| alarm["NewStateValue"] = json!("INSUFFICIENT_DATA"));
    assert!(matches!(
        told_json(Format::Sns, &unknown),
        Ok(Content::Nothing(_))
    ));

    let without_arn = |region: &str| {
        only(told_json(
            Format::Sns,
            &changed(|alarm| {
                alarm["AlarmArn"] = json!(null);
                alarm["Region"] = json!(region);
            }),
        ))
    };
    assert_ne!(without_arn("a").fingerprint, without_arn("b").fingerprint);
    assert_eq!(without_arn("a").fingerprint, without_arn("a").fingerprint);
}

#[test]
fn a_dimension_never_takes_a_label_of_the_alarms_own() {
    let hostile = changed(|alarm| {
        alarm["Trigger"]["Dimensions"] = json!([
            {"name": "alertname", "value": "other"}, {"name": "a\0", "value": "x\0"}, {"name": "", "value": "x"},
            {"name": 7, "value": "x"}, {"name": "n", "value": null}, 7, {"name": "__proto__", "value": 1},
        ]);
    });
    let labels = only(told_json(Format::Sns, &hostile)).labels;
    assert_eq!(labels.get("alertname"), "orders-5xx");
    assert_eq!(labels.get("a␀"), "x␀");
    assert_eq!(labels.get("__proto__"), "1");
    assert_eq!(labels.0.len(), 8);
}

#[test]
fn a_subscription_is_confirmed_at_amazon_and_nowhere_else() {
    let told = told(Format::Sns, data!("subscription-v2.json"), None);
    let Ok(Content::Confirm { url }) = told else {
        panic!("{told:?}")
    };
    assert!(
        url.as_str()
            .starts_with("https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&")
    );

    let confirmation =
        |url: &str| json!({"Type": "SubscriptionConfirmation", "SubscribeURL": url, "SigningCertURL": url});
    for url in [
        "https://sns.eu-central-1.amazonaws.com/x.pem",
        "https://sns.cn-north-1.amazonaws.com.cn/x.pem",
        "HTTPS://SNS.us-gov-west-1.amazonaws.com:443/x.pem",
    ] {
        let body = confirmation(url);
        assert!(
            matches!(told_json(Format::Sns, &body), Ok(Content::Confirm { .. })),
            "{url}"
        );
        let envelope = Envelope::parse(body.to_string().as_bytes()).unwrap();
        assert!(envelope.signing_cert_url().is_ok(), "{url}");
    }
    for url in [
        "",
        "not an address",
        "http://sns.eu-central-1.amazonaws.com/x.pem",
        "https://sns.amazonaws.com/x.pem",
        "https://sns..amazonaws.com/x.pem",
        "https://sns.a.b.amazonaws.com/x.pem",
        "https://sns.eu-central-1.amazonaws.com.evil.example/x.pem",
        "https://sns.eu-central-1.amazonaws.com.cn.cn/x.pem",
        "https://sns.eu-central-1.amazonaws.comcn/x.pem",
        "https://evilsns.eu-central-1.amazonaws.com/x.pem",
        "https://s3.eu-central-1.amazonaws.com/x.pem",
        "https://sns.eu-central-1.amazonaws.com:8443/x.pem",
        "https://sns.eu-central-1.amazonaws.com@evil.example/x.pem",
        "https://user@sns.eu-central-1.amazonaws.com/x.pem",
        "https://:secret@sns.eu-central-1.amazonaws.com/x.pem",
        "https://evil.example/?https://sns.eu-central-1.amazonaws.com/x.pem",
        "https://sns.eu-central-1.amazonaws.com\u{ff0e}evil.example/x.pem",
        "https://127.0.0.1/x.pem",
        "file:///etc/passwd.pem",
    ] {
        let body = confirmation(url);
        assert_eq!(place(Format::Sns, &body), "SubscribeURL", "{url}");
        let envelope = Envelope::parse(body.to_string().as_bytes()).unwrap();
        assert_eq!(
            envelope.signing_cert_url().unwrap_err().place,
            "SigningCertURL",
            "{url}"
        );
    }
    let no_certificate = confirmation("https://sns.eu-central-1.amazonaws.com/x");
    let envelope = Envelope::parse(no_certificate.to_string().as_bytes()).unwrap();
    assert!(envelope.signing_cert_url().is_err());

    let ended = json!({"Type": "UnsubscribeConfirmation", "SubscribeURL": "https://evil.example/"});
    assert!(matches!(told_json(Format::Sns, &ended), Ok(Content::Nothing(_))));
}

#[test]
fn a_signature_holds_for_its_envelope_and_its_certificate_alone() {
    for body in [
        data!("notification-v1.json").as_slice(),
        NOTIFICATION,
        data!("no-subject-v2.json"),
        data!("subscription-v2.json"),
    ] {
        let envelope = Envelope::parse(body).unwrap();
        assert_eq!(envelope.verify(CERTIFICATE), Ok(()));
        assert_eq!(
            envelope.verify(data!("other-certificate.pem")).unwrap_err().place,
            "Signature"
        );
        assert_eq!(
            envelope.verify(b"no certificate").unwrap_err().place,
            "SigningCertURL"
        );

        for key in [
            "Message",
            "MessageId",
            "Timestamp",
            "TopicArn",
            "Subject",
            "SubscribeURL",
            "Token",
        ] {
            let mut forged: Value = serde_json::from_slice(body).unwrap();
            forged[key] = json!("forged");
            let forged = Envelope::parse(forged.to_string().as_bytes()).unwrap();
            let is_signed = !match envelope.kind {
                Kind::Notification => ["SubscribeURL", "Token"].contains(&key),
                _ => key == "Subject",
            };
            assert_eq!(forged.verify(CERTIFICATE).is_err(), is_signed, "{key}");
        }
    }
    for (key, value, place) in [
        ("SignatureVersion", "3", "SignatureVersion"),
        ("SignatureVersion", "1", "Signature"),
        ("Signature", "?", "Signature"),
        ("Signature", "", "Signature"),
        ("Type", "UnsubscribeConfirmation", "Signature"),
    ] {
        let mut envelope: Value = serde_json::from_slice(NOTIFICATION).unwrap();
        envelope[key] = json!(value);
        let envelope = Envelope::parse(envelope.to_string().as_bytes()).unwrap();
        assert_eq!(
            envelope.verify(CERTIFICATE).unwrap_err().place,
            place,
            "{key} {value}"
        );
    }
}

#[test]
fn what_is_signed_is_the_text_that_amazon_documents() {
    let envelope = json!({
        "Type": "Notification", "MessageId": "id", "TopicArn": "arn", "Subject": "s", "Message": "m\nn",
        "Timestamp": "t",
    });
    let envelope = Envelope::parse(envelope.to_string().as_bytes()).unwrap();
    assert_eq!(
        signed_text(&envelope),
        "Message\nm\nn\nMessageId\nid\nSubject\ns\nTimestamp\nt\nTopicArn\narn\nType\nNotification\n"
    );
}

#[test]
fn other_messages_need_a_mapping() {
    let envelope = changed(|alarm| *alarm = json!({"state": "open", "id": 7, "what": "Budget exceeded"}));
    assert_eq!(place(Format::Sns, &envelope), "Message");
    let mapping: Mapping = serde_json::from_value(
        json!({"status": "state", "labels": {"names": {"alertname": "what"}}, "key": ["id"]}),
    )
    .unwrap();
    let report = only(told(Format::Sns, envelope.to_string().as_bytes(), Some(&mapping)));
    assert_eq!(report.title(), "Budget exceeded");
    // An alarm is one with and without it.
    assert_eq!(
        told(Format::Sns, NOTIFICATION, Some(&mapping)),
        told(Format::Sns, NOTIFICATION, None)
    );
}

#[test]
fn a_fault_names_its_place() {
    for (body, at) in [
        (json!([]), ""),
        (json!({"AlarmName": "raw delivery"}), "Type"),
        (json!({"Type": "Other"}), "Type"),
        (json!({"Type": "Notification", "Message": 7}), "Message"),
        (
            json!({"Type": "Notification", "Message": "plain text"}),
            "Message: line 1, column 1",
        ),
        (
            changed(|alarm| alarm["NewStateValue"] = json!("alarm")),
            "Message: NewStateValue",
        ),
        (
            changed(|alarm| alarm["StateChangeTime"] = json!("x")),
            "Message: StateChangeTime",
        ),
        (changed(|alarm| alarm["Trigger"] = json!("x")), "Message: Trigger"),
    ] {
        assert_eq!(place(Format::Sns, &body), at, "{body}");
    }
}
