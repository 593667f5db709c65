//! The sample failover as it could have gone on a real night, made a scenario and asked as its world would be.

use std::sync::Arc;

use super::*;
use crate::{
    catalog::{parse_runbook, scenario::parse},
    domain::{
        action::{Failure, FailureClass, Rendered},
        approval::Verdict,
        id::IncidentId,
        night::Answered,
        score::Observed,
        simulation::{Manner, Rules, Simulation, Standing},
    },
};

const RUNBOOK: &str = include_str!("../../../../runbooks/postgres-primary-down.yaml");

fn at(s: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_772_000_000 + s, 0).unwrap()
}

fn asking(s: i64, action: ActionKind, target: &str, with: Value, answer: Answered) -> Asking {
    Asking {
        request: Rendered {
            action,
            target: target.to_owned(),
            with,
        },
        command: String::new(),
        sent_at: at(s),
        answered_at: at(s + 1),
        is_effect: false,
        is_done: false,
        answer,
    }
}

fn effect(asking: Asking) -> Asking {
    Asking {
        is_effect: true,
        is_done: true,
        ..asking
    }
}

fn rows(rows: Value) -> Answered {
    Answered::Result(json!({"ok": true, "rows": rows, "row_count": 1}))
}

fn night() -> Night {
    let labels: Labels = Labels(
        [
            ("alertname", "PostgresPrimaryDown"),
            ("cluster", "checkout"),
            ("env", "prod"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
    );
    let standby = json!({"query": "select pg_is_in_recovery() as standby"});
    let long = json!({"query": "select pg_is_in_recovery() as standby, coalesce(pg_last_wal_receive_lsn()::text, '') as received"});
    let proxy = |primary: &str, standby: &str| {
        let server =
            |admin: &str| json!({"operational": "running", "admin": admin, "address": "10.0.0.1:5432"});
        Answered::Result(
            json!({"ok": true, "servers": {"primary": server(primary), "standby": server(standby)}}),
        )
    };
    let refused = Answered::Failed(Failure::new(FailureClass::NotSent, "connection refused"));
    let lb = |with: Value, s, answer| asking(s, ActionKind::Haproxy, "checkout-lb", with, answer);
    let deed = |s, deed| Observed {
        at: at(s),
        seen: Seen::Deed(deed),
    };
    let seen = |s, seen| Observed { at: at(s), seen };
    Night {
        incident: IncidentId(198),
        title: "No server of checkout takes {{ writes }}".to_owned(),
        opened_at: at(30),
        mitigated_at: Some(at(140)),
        resolved_at: at(300),
        alerts: vec![FiredAlert {
            annotations: Labels([("summary".to_owned(), "{{ raw }} {% x".to_owned())].into()),
            labels,
            starts_at: at(0),
            fired_at: at(30),
            ended_at: Some(at(170)),
        }],
        asked: vec![
            asking(
                31,
                ActionKind::Postgres,
                "checkout-primary",
                json!({"query": "select 1"}),
                refused,
            ),
            asking(
                32,
                ActionKind::File,
                "checkout-log",
                json!({"limit": 50}),
                Answered::Result(json!({"ok": true, "count": 1, "lines": [{"text": "PANIC: {{ disk }}"}]})),
            ),
            asking(
                33,
                ActionKind::Postgres,
                "checkout-standby",
                long,
                rows(json!([{"standby": true, "received": "0/3"}])),
            ),
            asking(
                99,
                ActionKind::Postgres,
                "checkout-standby",
                standby.clone(),
                rows(json!([{"standby": true}])),
            ),
            effect(asking(
                100,
                ActionKind::Postgres,
                "checkout-standby",
                json!({"query": "select pg_promote(true, 30) as promoted"}),
                rows(json!([{"promoted": true}])),
            )),
            asking(
                110,
                ActionKind::Postgres,
                "checkout-standby",
                standby,
                rows(json!([{"standby": false}])),
            ),
            lb(json!({"backend": "checkout-db"}), 111, proxy("ready", "maint")),
            effect(lb(
                json!({"backend": "checkout-db", "enable": "standby", "disable": "primary"}),
                112,
                proxy("maint", "ready"),
            )),
            asking(
                130,
                ActionKind::Prometheus,
                "prom",
                json!({"query": "cluster:postgres_writes:ok{cluster=\"checkout\"}"}),
                Answered::Result(
                    json!({"ok": true, "value": 1.0, "samples": [{"labels": {}, "value": 1.0}], "sample_count": 1}),
                ),
            ),
        ],
        observed: vec![
            seen(30, Seen::Opened),
            deed(50, Deed::Acknowledge),
            seen(40, Seen::GateOpened("ask".to_owned())),
            deed(
                98,
                Deed::Decide {
                    gate: "ask".to_owned(),
                    verdict: Verdict::Approve,
                },
            ),
            deed(
                120,
                Deed::Manual {
                    step: "gone-since".to_owned(),
                },
            ),
            seen(140, Seen::Mitigated),
            deed(300, Deed::Resolve),
        ],
        runbooks: vec!["postgres-primary-down".to_owned()],
        left_out: Vec::new(),
    }
}

fn begin(text: &str, runbook: &Runbook) -> Simulation {
    let parsed = parse(text, &[runbook]).unwrap_or_else(|faults| {
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        panic!("{}\n{text}", told.join("\n"))
    });
    Simulation::begin(Arc::new(Rules::of(parsed.scenario).unwrap()), 7).unwrap()
}

fn says(world: &Simulation, target: &str, asked: &str) -> Value {
    let found = world.ask(target, None, asked).unwrap();
    assert_eq!(found.manner, Manner::Arrives, "{asked}");
    found.says
}

#[test]
fn a_night_is_played_again_by_its_effects() {
    let runbook = parse_runbook(RUNBOOK).unwrap().runbook;
    let written = write(&night(), &[&runbook], &Targets::default()).unwrap();
    assert_eq!(
        written.gaps,
        ["\"do gone-since by hand\" was done that night, and has no place today"]
    );
    let mut world = begin(&written.text, &runbook);
    let probe = "select pg_is_in_recovery() as standby";
    assert_eq!(world.firing(), [false]);
    world.advance(Span::from_secs(30)).unwrap();
    assert_eq!(world.firing(), [false], "a second of peace comes first");
    world.advance(Span::from_secs(31)).unwrap();
    assert_eq!(world.firing(), [true]);
    assert_eq!(world.standing("checkout-primary").unwrap(), Standing::Down);
    assert_eq!(
        says(&world, "checkout-standby", probe),
        json!([{"standby": true}])
    );
    assert_eq!(says(&world, "checkout-log", ""), json!(["PANIC: {{ disk }}"]));
    // Nobody knows what writes were before the failover.
    let writes = "cluster:postgres_writes:ok{cluster=\"checkout\"}";
    assert_eq!(world.ask("prom", None, writes).unwrap().manner, Manner::Unheard);

    // Later than on the real night, and everything after it follows from it.
    world.advance(Span::from_secs(500)).unwrap();
    assert_eq!(world.firing(), [true]);
    let promoted = world
        .ask(
            "checkout-standby",
            None,
            "select pg_promote(true, 30) as promoted",
        )
        .unwrap();
    assert_eq!(promoted.says, json!([{"promoted": true}]));
    world.apply(&promoted.changes).unwrap();
    assert_eq!(
        says(&world, "checkout-standby", probe),
        json!([{"standby": false}])
    );
    for (server, state) in [("standby", "ready"), ("primary", "maint")] {
        let change = world
            .set_server("checkout-lb", "checkout-db", server, state)
            .unwrap();
        world.apply(&[change]).unwrap();
    }
    assert_eq!(
        says(&world, "prom", writes),
        json!([{"labels": {}, "value": 1.0}])
    );
    assert_eq!(world.firing(), [true]);
    world.advance(Span::from_secs(557)).unwrap();
    assert_eq!(world.firing(), [true]);
    world.advance(Span::from_secs(558)).unwrap();
    assert_eq!(
        world.firing(),
        [false],
        "as long after the second effect as on the real night"
    );
}

#[test]
fn what_people_did_is_expected_as_fast_as_they_were() {
    let runbook = parse_runbook(RUNBOOK).unwrap().runbook;
    let written = write(&night(), &[&runbook], &Targets::default()).unwrap();
    let scenario = parse(&written.text, &[&runbook]).unwrap().scenario;
    assert_eq!(scenario.reenacts, Some(IncidentId(198)));
    assert_eq!(scenario.slug, "inc-198");
    let expected: Vec<(&str, Option<&str>, Span)> = scenario
        .expected
        .iter()
        .map(|one| (one.id.as_str(), one.after.as_deref(), one.within))
        .collect();
    assert_eq!(
        expected,
        [
            ("acknowledge", None, Span::from_secs(60)),
            ("approve-ask", None, Span::from_secs(68)),
            ("resolve", Some("alerts-over"), Span::from_secs(130)),
        ]
    );
    assert_eq!(scenario.objectives.mitigate, Some(Span::from_secs(110)));
    assert!(scenario.title.starts_with("INC-198 again: No server of checkout"));
}

#[test]
fn the_same_night_is_the_same_text() {
    let runbook = parse_runbook(RUNBOOK).unwrap().runbook;
    let text = || write(&night(), &[&runbook], &Targets::default()).unwrap().text;
    assert_eq!(text(), text());
}

#[test]
fn today_may_ask_what_nobody_asked() {
    let changed = RUNBOOK.replace(
        "  - id: ask\n",
        "  - id: backups\n    phase: detect\n    check: http\n    with: { target: \"{{ inputs.cluster }}-backup\", path: /last }\n  - id: ask\n",
    );
    let runbook = parse_runbook(&changed).unwrap().runbook;
    let written = write(&night(), &[&runbook], &Targets::default()).unwrap();
    assert!(
        written
            .gaps
            .iter()
            .any(|gap| gap.contains("target checkout-backup is asked today")),
        "{:?}",
        written.gaps
    );
    let world = begin(&written.text, &runbook);
    let found = world.ask("checkout-backup", Some("GET"), "/last").unwrap();
    assert_eq!(found.manner, Manner::Unheard);
}

#[test]
fn an_incident_without_alerts_or_runbooks_is_refused() {
    let runbook = parse_runbook(RUNBOOK).unwrap().runbook;
    let none = Targets::default();
    let quiet = Night {
        alerts: Vec::new(),
        ..night()
    };
    assert_eq!(write(&quiet, &[&runbook], &none), Err(Unplayable::NoAlert(198)));
    assert_eq!(write(&night(), &[], &none), Err(Unplayable::NoRunbook));
}

#[test]
fn whatever_a_bound_cuts_is_told_in_the_scenario() {
    let runbook = parse_runbook(RUNBOOK).unwrap().runbook;
    let mut night = night();
    let first = night.alerts[0].clone();
    for number in 0..24 {
        let mut other = first.clone();
        other.labels.0.insert("host".to_owned(), format!("h{number}"));
        night.alerts.push(other);
    }
    night.alerts.extend(vec![first; 7]);
    for number in 0..195 {
        let query = json!({"query": format!("up{{host=\"h{number:03}\"}}")});
        let answer = Answered::Result(json!({"ok": true, "samples": []}));
        night
            .asked
            .push(asking(130, ActionKind::Prometheus, "prom", query, answer));
    }
    let long = Answered::Result(json!({"ok": true, "lines": [{"text": "x".repeat(4000)}]}));
    night
        .asked
        .push(asking(131, ActionKind::File, "checkout-log", json!({}), long));
    night.left_out = vec!["there are more than 50 runs, and only the newest 50 were read".to_owned()];
    let written = write(&night, &[&runbook], &Targets::default()).unwrap();
    for gap in [
        "there are more than 50 runs, and only the newest 50 were read",
        "alerts beyond the first 20 are left out: 5",
        "firings of PostgresPrimaryDown beyond the first 6 are left out: 2",
        "answers of target prom beyond the first 190 are left out: 6",
        "texts of target checkout-log longer than 3000 bytes are cut there: 1",
    ] {
        assert!(
            written.gaps.iter().any(|one| one == gap),
            "{gap}: {:#?}",
            written.gaps
        );
    }
    let scenario = parse(&written.text, &[&runbook]).unwrap().scenario;
    assert_eq!(scenario.gaps, written.gaps);
    assert!(
        scenario
            .summary
            .ends_with("6 things are not as they were: see the gaps."),
        "{}",
        scenario.summary
    );
}

#[test]
fn what_a_probe_was_told_by_a_program_is_told_again() {
    let runbook = parse_runbook(RUNBOOK).unwrap().runbook;
    let probe = |command: &str| {
        let answer = Answered::Result(json!({"ok": true, "exit_code": 3, "stdout": "half", "stderr": ""}));
        let mut probe = asking(120, ActionKind::Command, "box", json!({"run": "du"}), answer);
        probe.command = command.to_owned();
        probe
    };
    let with = |probe: Asking| {
        let mut night = night();
        night.asked.push(probe);
        write(&night, &[&runbook], &Targets::default()).unwrap()
    };
    let known = with(probe("/bin/du -s /srv as nobody"));
    assert!(
        !known.gaps.iter().any(|gap| gap.contains("box")),
        "{:?}",
        known.gaps
    );
    let world = begin(&known.text, &runbook);
    // It is heard from when it was asked, and that is after the second effect.
    let heard = world.ask("box", None, "/bin/du -s /srv").unwrap();
    assert_eq!(heard.manner, Manner::Unheard);
    assert!(known.text.contains("program: /bin/du -s /srv"), "{}", known.text);

    let unknown = with(probe(""));
    assert!(!unknown.text.contains("/bin/du"), "{}", unknown.text);
    assert!(
        unknown.gaps.iter().any(|gap| gap
            == "answers of programs on target box of which nobody knows how they were called are left out: 1"),
        "{:?}",
        unknown.gaps
    );
}

#[test]
fn a_night_longer_than_a_drill_ends_with_it_or_is_refused() {
    let runbook = parse_runbook(RUNBOOK).unwrap().runbook;
    let hours = |hours: i64| at(30 + hours * 3600);
    // It was over soon, and closed in the morning.
    let mut late = night();
    late.resolved_at = hours(11);
    for one in &mut late.observed {
        if matches!(&one.seen, Seen::Deed(Deed::Resolve)) {
            one.at = hours(11);
        }
    }
    late.observed.push(Observed {
        at: hours(10),
        seen: Seen::Deed(Deed::Decide {
            gate: "ask".to_owned(),
            verdict: Verdict::Approve,
        }),
    });
    let written = write(&late, &[&runbook], &Targets::default()).unwrap();
    let scenario = parse(&written.text, &[&runbook]).unwrap().scenario;
    assert_eq!(scenario.length, LENGTH_MAX);
    let resolve = scenario.expected.iter().find(|one| one.id == "resolve").unwrap();
    // The alerts are over 171 s after the drill begins, and it is planned for 8 h.
    assert_eq!(resolve.within.as_millis() / 1000, 8 * 3600 - 171);
    assert_eq!(
        scenario
            .expected
            .iter()
            .filter(|one| one.id.starts_with("approve"))
            .count(),
        1
    );
    for gap in [
        "things that people did later than 8h after it began are not expected: 1",
        "it was resolved 11h",
    ] {
        assert!(
            written.gaps.iter().any(|one| one.starts_with(gap)),
            "{:?}",
            written.gaps
        );
    }

    // Its alerts went on for longer than any drill: it could never be played to its end.
    let mut long = night();
    long.alerts[0].ended_at = Some(hours(9));
    long.resolved_at = hours(10);
    let refused = write(&long, &[&runbook], &Targets::default()).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("a drill is planned for at most 8h: it could not be played to its end"),
        "{refused}"
    );
}
