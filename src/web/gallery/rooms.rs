//! The rooms around the incident: targets, System, settings, first steps, help, the banner, and the page of a database that is
//! away.

use askama::Template;
use chrono::TimeDelta;

use super::{Specimen, frame, now, operator};
use crate::{
    catalog,
    domain::{
        audit::Broken,
        breaker::BreakerState,
        id::{IncidentId, ReplicaId, RunId},
        preferences::{Clocks, Keys, Preferences, TextSize, Theme},
        setting::{Origin, Setting},
        target::Targets,
    },
    execute::rehearse::touch::{Found, Touch},
    receive::Waiting,
    store::{
        breakers::Breaker, calls::Call, health::Database, locks::HeldLock, locks::Holder, openings::Opening,
        own_heartbeats::OwnHeartbeat, troubles::Trouble,
    },
    web::view::{
        banner::{BannerPart, Line},
        check::{Check, Workers},
        error::{ErrorPage, Outage},
        help::{HelpPage, KeysPage},
        layout::{Frame, Place},
        set_up::{AlertsStep, ChecksStep, Facts, ReadyStep},
        setting::SettingsPage,
        standing::{StandingFacts, StandingPart},
        system::SystemPage,
        target::{TargetFacts, TargetPage, Touched},
        targets::TargetsPage,
    },
};

macro_rules! specimens {
    ($($page:literal, $state:literal => $made:expr;)*) => {
        vec![$(Specimen { page: $page, state: $state, html: || $made.render() },)*]
    };
}

/// The specimens of these rooms.
pub fn specimens() -> Vec<Specimen> {
    specimens! {
        "targets", "full" => targets(2, true);
        "targets", "long" => targets(100, false);
        "targets", "empty" => targets(0, false);
        "target", "full" => target(false, None);
        "target", "open" => target(true, None);
        "target", "answers" => target(false, Some(Found::Answers("connected in 3 ms".to_owned())));
        "target", "silent" => target(true, Some(Found::Silent("connection refused by 10.0.0.7:9999".to_owned())));
        "target", "held" => by_hand();
        "target", "gone" => gone();
        "system", "full" => system(false, true);
        "system", "degraded" => system(true, true);
        "system", "cannot_tell" => system(false, false);
        "settings", "full" => SettingsPage::of(frame("Settings", Place::Settings), Some(&settings()));
        "settings", "viewer" => SettingsPage::of(frame("Settings", Place::Settings), None);
        "first_steps", "checks" => ChecksStep::of(steps_frame(), &Facts::default(), checks(true, true));
        "first_steps", "alerts" => AlertsStep::of(steps_frame(), &Facts::default(), Vec::new());
        "first_steps", "ready" => ReadyStep::of(steps_frame(), &facts());
        "help", "words" => HelpPage::of(frame("What is what", Place::Help));
        "help", "keys" => KeysPage::of(frame("Keys", Place::Help));
        "help", "night" => KeysPage::of(night());
        "banner", "one" => HelpPage::of(troubled(1));
        "banner", "all" => HelpPage::of(troubled(9));
        "database", "away" => away(Some(12));
        "database", "no_disk" => away(None);
    }
}

fn night() -> Frame {
    frame("Keys", Place::Help).looking(Preferences {
        theme: Theme::Night,
        text: TextSize::Larger,
        keys: Keys::Alt,
        clocks: Clocks::Both,
    })
}

fn steps_frame() -> Frame {
    frame("First steps", Place::Settings)
}

fn facts() -> Facts {
    Facts {
        has_source: true,
        has_delivery: true,
        runbooks: 4,
        targets: 0,
        people: 1,
    }
}

fn troubled(lines: usize) -> Frame {
    let mut all = vec![
        Line::of(
            &Trouble::Broken(Broken {
                incident: Some(IncidentId(204)),
                seq: 12,
                at: Some(now()),
                why: "its hash does not follow from it and the row before".to_owned(),
            }),
            true,
            now(),
        ),
        Line::of(
            &Trouble::Idle {
                since: now() - TimeDelta::seconds(95),
            },
            true,
            now(),
        ),
        Line::of(
            &Trouble::Silent {
                source: "prometheus-eu-central-1-production".to_owned(),
                since: now() - TimeDelta::minutes(14),
                incident: IncidentId(203),
            },
            true,
            now(),
        ),
        Line::of(
            &Trouble::Circuit {
                target: "lb".to_owned(),
                since: now() - TimeDelta::minutes(4),
                reason: "connection refused".to_owned(),
            },
            true,
            now(),
        ),
        Line::of_spool(TimeDelta::seconds(40), now()),
        Line::of_files(3),
    ];
    if lines == 1 {
        all.drain(..2);
        all.truncate(1);
    }
    let mut frame = frame("What is what", Place::Help);
    frame.faults = BannerPart::of(all);
    frame
}

fn away(waiting: Option<usize>) -> ErrorPage {
    let mut frame = Frame::bare("The database does not answer", None, now());
    frame.refresh_s = Some(Outage::REFRESH_S);
    let answered = Some(now() - TimeDelta::seconds(40));
    ErrorPage {
        frame,
        message: "Until it does, pages cannot be shown and nothing can be decided.".to_owned(),
        since: Vec::new(),
        kept: Vec::new(),
        again: None,
        next: None,
        reference: "0190c7e2-3f5a-7b10-9c1d-2f6f3c1a9e55".to_owned(),
        says_reference: true,
        outage: Some(Outage::of(answered, waiting, "/incidents/204".to_owned(), now())),
    }
}

const TARGETS: &str = "
targets:
  - name: checkout-db
    environment: prod
    timeout_max: 30s
    postgres: { host: db-1.internal.example, user: muster, password: 'file:/run/secrets/checkout-db' }
    networks: [10.0.0.0/8]
  - name: lb
    environment: prod
    labels: { team: shop, region: eu-central-1 }
    haproxy: { address: 'lb-1.internal.example:9999' }
    networks: [10.0.0.0/8]
";

fn all_targets() -> Targets {
    catalog::parse_targets(TARGETS).unwrap_or_default()
}

fn open() -> Breaker {
    Breaker {
        target: "lb".to_owned(),
        state: BreakerState::Open {
            since: now() - TimeDelta::minutes(4),
            reason: "connection refused by 10.0.0.7:9999".to_owned(),
            retry_at: now() + TimeDelta::seconds(6),
        },
        changed_at: now(),
        revision: 7,
    }
}

fn targets(count: usize, is_open: bool) -> TargetsPage {
    let mut targets = match count {
        0 => Targets::default(),
        _ => all_targets(),
    };
    if let Some(lb) = targets.0.get("lb").cloned() {
        for n in 2..count {
            let name = format!("lb-{n:03}-of-a-fleet-whose-names-say-where-they-stand-and-what-for");
            targets.0.insert(name, lb.clone());
        }
    }
    let failing = Breaker {
        target: "checkout-db".to_owned(),
        state: BreakerState::Closed { failures: 3 },
        ..open()
    };
    let breakers = if is_open {
        vec![open(), failing]
    } else {
        Vec::new()
    };
    let lock = HeldLock {
        lock: "checkout-db".to_owned(),
        run: RunId(31),
        runbook: "failover".to_owned(),
        incident: IncidentId(204),
        incident_title: "Checkout DB down".to_owned(),
        since: now() - TimeDelta::seconds(50),
    };
    let frame = frame("Targets", Place::Targets);
    TargetsPage::of(frame, &targets, &breakers, &[lock], "", 50, now())
}

fn call(state: &str, summary: &str) -> Call {
    Call {
        run: RunId(31),
        incident: IncidentId(204),
        step: "drain".to_owned(),
        command: "set server web/checkout-2 state drain".to_owned(),
        state: state.to_owned(),
        summary: Some(summary.to_owned()),
        started_at: now() - TimeDelta::seconds(300),
        finished_at: Some(now() - TimeDelta::seconds(298)),
    }
}

fn target(is_open: bool, found: Option<Found>) -> TargetPage {
    let known = all_targets();
    let opening = |hours: i64, minutes: i64| Opening {
        opened_at: now() - TimeDelta::hours(hours),
        closed_at: Some(now() - TimeDelta::hours(hours) + TimeDelta::minutes(minutes)),
        reason: "connection refused by 10.0.0.7:9999".to_owned(),
    };
    let facts = TargetFacts {
        name: "lb",
        target: known.0.get("lb"),
        breaker: is_open.then(open),
        openings: vec![opening(20, 45), opening(70, 600)],
        holder: is_open.then_some(Holder {
            lock: "lb".to_owned(),
            run: RunId(31),
            incident: IncidentId(204),
            is_in_line: false,
        }),
        calls: vec![
            call("unknown", "sent, but no full answer within 30 s"),
            call("succeeded", "checkout-2 drains"),
        ],
        runbooks: Vec::new(),
        touched: found.map(|found| Touched::of(&Touch { found, took_ms: 12 })),
        may_touch: true,
        may_release: true,
        may_hold: true,
    };
    TargetPage::of(frame("Target lb", Place::Targets), facts, now())
}

fn by_hand() -> TargetPage {
    let known = all_targets();
    let facts = TargetFacts {
        name: "lb",
        target: known.0.get("lb"),
        breaker: Some(Breaker {
            state: BreakerState::ByHand {
                since: now() - TimeDelta::seconds(500),
                reason: "the network team moves it until four".to_owned(),
            },
            ..open()
        }),
        openings: vec![Opening {
            opened_at: now() - TimeDelta::seconds(500),
            closed_at: None,
            reason: "the network team moves it until four".to_owned(),
        }],
        holder: None,
        calls: Vec::new(),
        runbooks: Vec::new(),
        touched: None,
        may_touch: true,
        may_release: true,
        may_hold: true,
    };
    TargetPage::of(frame("Target lb", Place::Targets), facts, now())
}

fn gone() -> TargetPage {
    let facts = TargetFacts {
        name: "lb",
        target: None,
        breaker: Some(open()),
        openings: Vec::new(),
        holder: None,
        calls: Vec::new(),
        runbooks: Vec::new(),
        touched: None,
        may_touch: true,
        may_release: false,
        may_hold: false,
    };
    TargetPage::of(frame("Target lb", Place::Targets), facts, now())
}

fn checks(is_well: bool, is_seen: bool) -> Vec<Check> {
    let database = Database {
        version: "15.4".to_owned(),
        now: now(),
        bytes: 212_000_000,
    };
    let took = TimeDelta::milliseconds(if is_well { 2 } else { 900 });
    let workers = Workers {
        replicas: 2,
        oldest: Some(now() - TimeDelta::days(3)),
        runs: 4,
        due: (!is_well).then(|| now() - TimeDelta::seconds(95)),
    };
    let spool = Waiting {
        batches: if is_well { 0 } else { 12 },
        bytes: Some(48_000),
        oldest: (!is_well).then(|| now() - TimeDelta::seconds(40)),
    };
    let faults: Vec<String> = match is_well {
        true => Vec::new(),
        false => vec!["failover.yaml:12:7: unknown field \"time_out\"; did you mean \"timeout\"?".to_owned()],
    };
    let sign = OwnHeartbeat {
        replica: ReplicaId(2),
        sent_at: Some(now() - TimeDelta::seconds(30)),
        failed_at: None,
        problem: String::new(),
    };
    let mut checks = vec![
        Check::database(is_seen.then_some(&database), took),
        Check::clock(is_seen.then(|| TimeDelta::milliseconds(80))),
        Check::workers(is_seen.then_some(&workers), now()),
        Check::timers(is_seen.then_some(None), now()),
        Check::intake(is_seen.then(|| (41, Some(now() - TimeDelta::minutes(2)))), now()),
        Check::spool(is_seen.then_some(spool), now()),
        Check::live(3, 512),
        Check::files(&faults),
    ];
    checks.extend(Check::heartbeat(Some(&[sign]), now()));
    checks.push(Check::record(
        is_seen.then_some(None),
        is_seen.then_some(None),
        now(),
    ));
    checks.push(Check::backups());
    checks
}

fn system(is_degraded: bool, is_seen: bool) -> SystemPage {
    let standing = StandingFacts {
        pause: None,
        breakers: if is_degraded { vec![open()] } else { Vec::new() },
        freezes: Vec::new(),
        locks: Vec::new(),
        acts: Vec::new(),
        rows_max: 50,
    };
    SystemPage {
        frame: frame("System", Place::System),
        checks: checks(!is_degraded, is_seen),
        standing: StandingPart::of(&standing, &operator(), now()),
        boot: None,
        version: "0.1.0",
    }
}

fn settings() -> Vec<Setting> {
    let setting =
        |group: &str, flag: &str, value: Option<&str>, default: Option<&str>, origin, effect: &str| Setting {
            group: group.to_owned(),
            flag: flag.to_owned(),
            variable: Some(format!("MUSTER_{}", flag.trim_start_matches('-').to_uppercase())),
            effect: effect.to_owned(),
            value: value.map(str::to_owned),
            default: default.map(str::to_owned),
            origin,
        };
    vec![
        setting(
            "Database",
            "--database-url",
            Some("set; not shown, since it may hold a password"),
            None,
            Origin::Environment,
            "Postgres to use; without it Muster starts a private one in the data folder",
        ),
        setting(
            "Alerts",
            "--hold-down",
            Some("90s"),
            Some("60s"),
            Origin::CommandLine,
            "How long every alert must stay ended before an incident recovers",
        ),
        setting(
            "Alerts",
            "--refire",
            Some("60s"),
            Some("60s"),
            Origin::Default,
            "How long an ended alert must be said to fire with its old start before that is believed",
        ),
        setting(
            "Addresses and TLS",
            "--public-url",
            None,
            None,
            Origin::Default,
            "The address people use, when it is not the one Muster listens on",
        ),
    ]
}
