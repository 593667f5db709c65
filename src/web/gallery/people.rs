//! People: one's own account, who is here, who decided what; and the list of senders.

use askama::Template;
use chrono::TimeDelta;

use super::{Specimen, frame, now, operator};
use crate::{
    audit::list::Decision,
    domain::{
        act::{Act, ActKind, Object},
        audit::RecordedAct,
        digest::Digest,
        fields::Fields,
        id::{OperatorId, SourceId},
        operator::Role,
        preferences::Preferences,
        source::SourceSettings,
    },
    store::{
        passkeys::Passkey,
        people::Person,
        sources::{Pulse, Source},
        teams::Team,
    },
    web::view::{
        audit::{Asked, AuditPage, Row},
        layout::{Frame, Place},
        me::{MePage, PasskeyRow, choices},
        parts::{ago, said},
        people::{Gates, PeoplePage, PersonPage, Refused, Typed},
        source::{SourceRow, SourcesPage, samples},
    },
};

macro_rules! specimens {
    ($($page:literal, $state:literal => $made:expr;)*) => {
        vec![$(Specimen { page: $page, state: $state, html: || $made.render() },)*]
    };
}

/// The specimens of these pages.
pub fn specimens() -> Vec<Specimen> {
    specimens! {
        "account", "full" => account(Vec::new(), true);
        "account", "fault" => account(vec![("current", "Your password now: it is another one".to_owned())], true);
        "account", "bare" => account(Vec::new(), false);
        "people", "full" => people(None);
        "people", "fault" => people(Some(Refused::new("invite", "name", "somebody has this name; choose another one".to_owned())));
        "person", "full" => person(false);
        "person", "disabled" => person(true);
        "audit", "full" => audit(false, false, 3);
        "audit", "empty" => audit(false, false, 0);
        "audit", "filtered" => audit(true, false, 0);
        "audit", "older" => audit(false, true, 2);
        "sources", "full" => sources();
        "sources", "empty" => SourcesPage {
            frame: frame("Sources", Place::Sources),
            rows: Vec::new(),
            may_change: true,
            samples: samples("https://muster.example"),
        };
    }
}

/// A sender that is busy, one that went quiet, one of which nothing came.
fn sources() -> SourcesPage {
    let hours = |hours: std::ops::Range<i32>| {
        hours
            .map(|hour| (hour, i64::from(hour * hour % 17 + 1)))
            .collect()
    };
    let rows = [
        ("prometheus-eu", hours(0..24)),
        (
            "prometheus-of-the-checkout-team-in-the-second-region",
            hours(0..19),
        ),
        ("grafana", Vec::new()),
    ];
    let row = |(name, hours): (&str, Vec<(i32, i64)>)| {
        let source = Source {
            id: SourceId(1),
            name: name.to_owned(),
            heartbeat_within: None,
            settings: SourceSettings::default(),
            revision: 1,
            created_at: now() - TimeDelta::days(40),
            disabled_at: None,
        };
        let deliveries = hours.iter().map(|(_, count)| count).sum();
        let last = hours
            .last()
            .map(|(hour, _)| now() - TimeDelta::hours(i64::from(24 - hour)));
        let pulse = Pulse {
            source: source.id,
            last_delivery_at: last,
            deliveries,
            rejected: i64::from(hours.len() == 19) * 3,
            hours,
            heartbeats: 0,
            last_beat_at: None,
            beat_due: None,
            silence: None,
            tokens: 1,
            token_used_at: last,
        };
        SourceRow::of(&source, &pulse, now())
    };
    SourcesPage {
        frame: frame("Sources", Place::Sources),
        rows: rows.into_iter().map(row).collect(),
        may_change: true,
        samples: Vec::new(),
    }
}

fn account(faults: Vec<(&'static str, String)>, has_all: bool) -> MePage {
    let key = Passkey {
        id: 1,
        name: "The blue key".to_owned(),
        created_at: now() - TimeDelta::days(40),
        last_used_at: None,
    };
    MePage {
        frame: frame("Your account", Place::Account),
        choices: choices(Preferences::default()),
        name: said("Ana"),
        plain_name: "Ana".to_owned(),
        role: Role::Approver.name(),
        done: has_all.then_some("Your pages are as you chose from now on, here and wherever you sign in."),
        faults,
        has_password: has_all,
        issuers: vec![said("https://id.example")],
        sessions: Vec::new(),
        idle: "12 h".to_owned(),
        longest: "7 d".to_owned(),
        passkeys: if has_all {
            vec![PasskeyRow::of(&key, now())]
        } else {
            Vec::new()
        },
        has_passkeys: has_all,
        codes: Vec::new(),
        codes_made: has_all.then(|| ago(now() - TimeDelta::days(3), now())),
        codes_left: 8,
        uses: Vec::new(),
    }
}

fn of(id: i64, name: &str, role: Role) -> Person {
    Person {
        id: OperatorId(id),
        name: name.to_owned(),
        role,
        teams: vec!["storage".to_owned()],
        created_at: now() - TimeDelta::days(200),
        disabled_at: None,
        seen_at: Some(now() - TimeDelta::minutes(4)),
        sessions: 2,
        tokens: 1,
        has_way_in: true,
    }
}

fn teams() -> Vec<Team> {
    vec![Team {
        name: "storage".to_owned(),
        members: vec!["Ana".to_owned(), "Ben".to_owned()],
    }]
}

fn people(fault: Option<Refused>) -> PeoplePage {
    let mut gone = of(3, "Cleo", Role::Responder);
    gone.disabled_at = Some(now() - TimeDelta::days(2));
    let mut new = of(
        4,
        "a-name-without-any-space-that-goes-on-and-on-and-on",
        Role::Viewer,
    );
    (new.has_way_in, new.seen_at, new.teams) = (false, None, Vec::new());
    let all = [of(1, "Ana", Role::Approver), of(2, "Ben", Role::Admin), gone, new];
    let typed = Typed {
        name: "Ana".to_owned(),
        ..Typed::default()
    };
    let frame = frame("People", Place::People);
    PeoplePage::of(frame, &all, &Gates::default(), teams(), typed, fault, now())
}

fn person(is_disabled: bool) -> PersonPage {
    let mut ben = of(2, "Ben", Role::Approver);
    ben.disabled_at = is_disabled.then(|| now() - TimeDelta::days(2));
    let shut = vec!["failover: ask".to_owned()];
    let (gates, typed) = (Gates::default(), (Typed::default(), None));
    PersonPage::of(
        frame("Ben", Place::People),
        &ben,
        teams(),
        (&gates, shut),
        None,
        typed,
        now(),
    )
}

fn audit(is_filtered: bool, is_older: bool, rows: i64) -> AuditPage {
    let row = |seq: i64| {
        let act = Act::new(
            operator().actor(),
            ActKind::CircuitClosed,
            Object::target("lb"),
            "the cable is back",
        );
        let state = |state: &str| Fields::of([("state", state.to_owned())]);
        let act = act.changing(state("open"), state("closed"));
        let recorded = RecordedAct {
            seq,
            at: now() - TimeDelta::minutes(seq),
            act,
            hash: Digest::ZERO,
        };
        Row::of(&Decision::Act(recorded), &operator(), now())
    };
    let frame: Frame = frame("Audit", Place::Audit);
    AuditPage {
        frame,
        chains: Vec::new(),
        asked: Asked {
            actor: if is_filtered {
                "Nobody".to_owned()
            } else {
                String::new()
            },
            ..Asked::default()
        },
        is_filtered,
        is_older,
        newer: if is_older { 3 } else { 0 },
        rows: (1..=rows).map(row).collect(),
        older: None,
        export_rows_max: "10,000".to_owned(),
    }
}
