//! Settings of sources, case by case.

use serde_json::json;

use super::*;
use crate::domain::{
    audit::{Act, ActKind, Object},
    operator::Actor,
};

type Change = fn(&mut AskedSettings);

#[test]
fn settings_read_back_as_they_were_written() {
    let mut asked = AskedSettings::default();
    assert_eq!(asked.check(), Ok(SourceSettings::default()));
    assert_eq!(
        (asked.stale_after.as_str(), asked.storm_starts.as_str()),
        ("8h10m", "20")
    );
    asked = AskedSettings {
        format: "generic".to_owned(),
        correlate_by: [" cluster ", "", "größe"].map(str::to_owned).to_vec(),
        stale_after: String::new(),
        heartbeat_within: "5m".to_owned(),
        storm_starts: " 3 ".to_owned(),
        storm_within: "1h".to_owned(),
        storm_fold: " 20 in 5m ".to_owned(),
        sign_with: "env:HOOK".to_owned(),
        mapping: r#"{"alerts": "items"}"#.to_owned(),
        topic_arn: String::new(),
        alertmanager: String::new(),
        client_name: " Sender.Internal ".to_owned(),
    };
    let settings = asked.check().unwrap();
    let expected = SourceSettings {
        format: SourceKind::Generic,
        correlate_by: vec!["cluster".to_owned(), "größe".to_owned()],
        stale_after: None,
        heartbeat_within: Some(Span::from_secs(300)),
        storm: Storm {
            starts: 3,
            within: Span::from_secs(3600),
        },
        storm_fold: Some(FoldRule {
            over: 20,
            within: Span::from_secs(300),
        }),
        sign_with: Some(SecretRef::Env("HOOK".to_owned())),
        mapping: Some(json!({"alerts": "items"})),
        topic_arn: None,
        alertmanager: None,
        client_name: Some("sender.internal".to_owned()),
    };
    assert_eq!(settings, expected);
    assert_eq!(AskedSettings::from(&settings).check(), Ok(settings));
}

#[test]
fn a_faulty_field_is_named_with_the_way_out() {
    let cases: &[(Change, &str, &str)] = &[
        (
            |asked| asked.format = "nagios".into(),
            "format",
            "alertmanager, prometheus",
        ),
        (
            |asked| asked.correlate_by = vec!["a b".into()],
            "correlate_by",
            "no spaces",
        ),
        (
            |asked| asked.correlate_by = vec!["a,b".into()],
            "correlate_by",
            "commas",
        ),
        (
            |asked| asked.correlate_by = vec!["a\0".into()],
            "correlate_by",
            "control",
        ),
        (
            |asked| asked.correlate_by = vec!["x".repeat(201)],
            "correlate_by",
            "200",
        ),
        (
            |asked| asked.correlate_by = vec!["a".into(), "a ".into()],
            "correlate_by",
            "a is named twice",
        ),
        (
            |asked| asked.correlate_by = (0..11).map(|n| format!("l{n}")).collect(),
            "correlate_by",
            "at most 10",
        ),
        (|asked| asked.stale_after = "soon".into(), "stale_after", "8h10m"),
        (
            |asked| asked.stale_after = "59s".into(),
            "stale_after",
            "at least 1m",
        ),
        (
            |asked| asked.stale_after = "31d".into(),
            "stale_after",
            "at most 30d",
        ),
        (
            |asked| asked.heartbeat_within = "10ms".into(),
            "heartbeat_within",
            "at least 1s",
        ),
        (
            |asked| asked.storm_fold = "1 in 5m".into(),
            "storm_fold",
            "from 2",
        ),
        (|asked| asked.storm_fold = "20".into(), "storm_fold", "20 in 5m"),
        (|asked| asked.storm_fold = "20 in x".into(), "storm_fold", ""),
        (|asked| asked.storm_starts = "0".into(), "storm_starts", "freeze"),
        (
            |asked| asked.storm_starts = "10001".into(),
            "storm_starts",
            "10000",
        ),
        (
            |asked| asked.storm_starts = "many".into(),
            "storm_starts",
            "a number",
        ),
        (
            |asked| asked.storm_within = String::new(),
            "storm_within",
            "like 10m",
        ),
        (
            |asked| asked.storm_within = "2d".into(),
            "storm_within",
            "at most 1d",
        ),
        (
            |asked| asked.sign_with = "env:HOOK".into(),
            "sign_with",
            "leave it empty",
        ),
        (
            |asked| asked.sign_with = "hunter2".into(),
            "sign_with",
            "never the secret itself",
        ),
        (
            |asked| asked.sign_with = "file:/a\nb".into(),
            "sign_with",
            "one line",
        ),
        (|asked| asked.mapping = "{}".into(), "mapping", "leave it empty"),
        (|asked| generic(asked, "[]"), "mapping", "JSON object"),
        (|asked| generic(asked, "{"), "mapping", "line 1"),
        (|asked| generic(asked, r#"{"a": "\u0000"}"#), "mapping", "U+0000"),
    ];
    for (change, field, says) in cases {
        let mut asked = AskedSettings::default();
        change(&mut asked);
        let faults = asked.check().unwrap_err();
        let [fault] = &faults[..] else {
            panic!("one fault of {field}: {faults:?}")
        };
        assert_eq!(fault.field, *field, "{fault}");
        assert!(fault.message.contains(says), "{says}: {fault}");
        assert!(!fault.message.contains("hunter2"), "it may be a secret");
    }
}

fn generic(asked: &mut AskedSettings, mapping: &str) {
    asked.format = "generic".to_owned();
    asked.mapping = mapping.to_owned();
}

#[test]
fn all_faults_are_told_at_once() {
    let asked = AskedSettings {
        format: "x".to_owned(),
        correlate_by: vec!["a b".to_owned()],
        stale_after: "x".to_owned(),
        heartbeat_within: "x".to_owned(),
        storm_starts: "x".to_owned(),
        storm_within: "x".to_owned(),
        storm_fold: "x".to_owned(),
        sign_with: "x".to_owned(),
        mapping: "x".to_owned(),
        topic_arn: "x".to_owned(),
        alertmanager: "X".to_owned(),
        client_name: "*.x".to_owned(),
    };
    let fields: Vec<&str> = asked
        .check()
        .unwrap_err()
        .iter()
        .map(|fault| fault.field)
        .collect();
    let expected = [
        "format",
        "correlate_by",
        "stale_after",
        "heartbeat_within",
        "storm_starts",
        "storm_within",
        "storm_fold",
        "sign_with",
        "mapping",
        "topic_arn",
        "alertmanager",
        "client_name",
    ];
    assert_eq!(fields, expected);
}

#[test]
fn names_fit_an_address() {
    for good in ["a", "prometheus-eu", "9", &"x".repeat(63)] {
        assert_eq!(check_name(good), Ok(()), "{good}");
    }
    for bad in [
        "",
        "new",
        "A",
        "-a",
        "a-",
        "a/b",
        "a b",
        "..",
        "<b>",
        "a\0",
        "ä",
        &"x".repeat(64),
    ] {
        assert_eq!(check_name(bad).unwrap_err().field, "name", "{bad}");
    }
}

#[test]
fn a_change_is_told_field_by_field() {
    let old = SourceSettings::default();
    let new = SourceSettings {
        format: SourceKind::Generic,
        correlate_by: vec!["cluster".to_owned(), "env".to_owned()],
        stale_after: None,
        storm: Storm {
            starts: 1,
            ..old.storm
        },
        client_name: Some("a.internal".to_owned()),
        mapping: Some(json!({})),
        ..old.clone()
    };
    let (before, after) = Fields::difference(&old.fields(), &new.fields());
    let act = Act::new(
        Actor::Terminal,
        ActKind::SourceChanged,
        Object::source("team"),
        "",
    );
    assert_eq!(
        act.changing(before, after).changes(),
        [
            "client_name none → a.internal",
            "correlate_by none → cluster, env",
            "format alertmanager → generic",
            "mapping none → {}",
            "stale_after 8h10m → none",
            "storm 20 in 10m → 1 in 10m",
        ]
    );
    let (before, after) = Fields::difference(&old.fields(), &old.fields());
    assert!(before.is_empty() && after.is_empty());
}

#[test]
fn only_sns_has_a_topic() {
    let arn = "arn:aws:sns:eu-central-1:123456789012:alarms";
    let asked = |format: &str, topic: &str| AskedSettings {
        format: format.to_owned(),
        topic_arn: topic.to_owned(),
        ..AskedSettings::default()
    };
    let settings = asked("sns", &format!(" {arn} ")).check().unwrap();
    assert_eq!(settings.topic_arn.as_deref(), Some(arn));
    assert_eq!(AskedSettings::from(&settings).check(), Ok(settings));
    for (format, topic) in [("grafana", arn), ("sns", "alarms"), ("sns", "arn:aws:sns: x")] {
        let faults = asked(format, topic).check().unwrap_err();
        assert_eq!(faults[0].field, "topic_arn", "{format} {topic}");
    }
}

#[test]
fn a_client_certificate_is_named_as_it_can_be_compared() {
    let asked = |name: &str| AskedSettings {
        client_name: name.to_owned(),
        ..AskedSettings::default()
    };
    let longest = format!("{0}.{0}.{0}.{1}", "x".repeat(63), "y".repeat(61));
    for (written, kept) in [
        ("alertmanager", "alertmanager"),
        (" AM-1.Example.COM ", "am-1.example.com"),
        ("a_b.1.x2", "a_b.1.x2"),
        ("10.0.0.7", "10.0.0.7"),
        ("2001:DB8:0::7", "2001:db8::7"),
        (&longest, &longest),
    ] {
        let settings = asked(written).check().unwrap();
        assert_eq!(settings.client_name.as_deref(), Some(kept), "{written}");
        assert_eq!(AskedSettings::from(&settings).check(), Ok(settings));
    }
    assert_eq!(asked(" ").check().unwrap().client_name, None);
    for wrong in [
        "*.example.com",
        "a.example.com.",
        "a..b",
        ".a",
        "-a.b",
        "a-.b",
        "a b",
        "CN=a",
        "https://a",
        "a:443",
        "größe.example",
        "10.0.0.300",
        "10.0.0",
        "a\0",
        &"x".repeat(64),
        &format!("{longest}y"),
    ] {
        let faults = asked(wrong).check().unwrap_err();
        let [fault] = &faults[..] else {
            panic!("one fault of {wrong}: {faults:?}")
        };
        assert_eq!(fault.field, "client_name", "{wrong}");
        assert!(fault.message.contains("alternative names"), "{fault}");
    }
}
