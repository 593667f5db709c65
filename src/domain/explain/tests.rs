//! The sentence and the door say the same, for anybody and any rule.

use proptest::{prelude::*, sample};

use super::*;
use crate::domain::{
    access::{Circle, may, may_publish, may_within},
    operator::Via,
    span::Span,
    step::EVIDENCE_WITHIN,
};

const TEAMS: [&str; 2] = ["storage", "web"];
const NAMES: [&str; 3] = ["ana", "ben", "eve"];

fn few(of: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    sample::subsequence(of, 0..=of.len()).prop_map(|some| some.into_iter().map(str::to_owned).collect())
}

fn roles() -> impl Strategy<Value = Vec<Role>> {
    sample::subsequence(&[Role::Responder, Role::Approver, Role::Admin][..], 0..=3)
}

fn circle() -> impl Strategy<Value = Circle> {
    (roles(), few(&TEAMS), few(&NAMES)).prop_map(|(roles, teams, people)| Circle { roles, teams, people })
}

fn rule() -> impl Strategy<Value = GateRule> {
    (roles(), few(&TEAMS), few(&NAMES), any::<[bool; 2]>()).prop_map(|(roles, teams, people, flags)| {
        GateRule {
            approvals: 1,
            roles,
            teams,
            people,
            requester_may_approve: flags[0],
            decide_within: Span::from_secs(60),
            use_within: Span::from_secs(60),
            evidence_within: EVIDENCE_WITHIN,
            impact: None,
            on_expiry: None,
            break_glass: flags[1],
        }
    })
}

fn person() -> impl Strategy<Value = Operator> {
    (0..3usize, sample::select(Role::ALL.to_vec()), few(&TEAMS)).prop_map(|(at, role, teams)| Operator {
        id: OperatorId(at as i64),
        name: NAMES[at].to_owned(),
        role,
        teams,
        via: Via::Session,
    })
}

proptest! {
    #[test]
    fn what_is_explained_is_what_would_happen(
        person in person(),
        permission in sample::select(Permission::ALL.to_vec()),
        start in circle(),
        publish in circle(),
        rule in rule(),
        requester in proptest::option::of(0..3i64),
    ) {
        let requester = requester.map(OperatorId);
        let access = Access { start, publish };
        let said = |deed| {
            let explained = explain(&person, deed);
            assert!(explained.sentence.starts_with(if explained.may { "yes, because " } else { "no: " }));
            explained.may
        };
        prop_assert_eq!(said(Deed::Anything(permission)), may(&person, permission).is_ok());
        prop_assert_eq!(said(Deed::Run(&access)), may_within(&person, Permission::Run, &access.start).is_ok());
        prop_assert_eq!(said(Deed::Publish(&access)), may_publish(&person, Some(&access), &access).is_ok());
        prop_assert_eq!(
            said(Deed::Decide(&rule, requester)),
            may_decide(&rule, &person, requester).is_ok()
        );
        prop_assert_eq!(
            said(Deed::BreakGlass(&rule, &access)),
            may_break(&rule, &access.start, &person).is_ok()
        );
        // A rule of a runbook or a gate only ever narrows what the role gives.
        for (deed, permission) in [
            (Deed::Run(&access), Permission::Run),
            (Deed::Publish(&access), Permission::Publish),
            (Deed::Decide(&rule, requester), Permission::Decide),
            (Deed::BreakGlass(&rule, &access), Permission::BreakGlass),
        ] {
            prop_assert!(!said(deed) || may(&person, permission).is_ok());
        }
    }
}

#[test]
fn the_reason_is_named() {
    let ana = Operator {
        id: OperatorId(1),
        name: "ana".to_owned(),
        role: Role::Responder,
        teams: vec!["storage".to_owned()],
        via: Via::Session,
    };
    let access = Access {
        start: Circle {
            teams: vec!["storage".to_owned()],
            ..Circle::default()
        },
        publish: Circle::default(),
    };
    let rule = GateRule {
        approvals: 1,
        roles: vec![Role::Responder],
        teams: Vec::new(),
        people: Vec::new(),
        requester_may_approve: false,
        decide_within: Span::from_secs(60),
        use_within: Span::from_secs(60),
        evidence_within: EVIDENCE_WITHIN,
        impact: None,
        on_expiry: None,
        break_glass: false,
    };
    for (deed, sentence) in [
        (
            Deed::Run(&access),
            "yes, because ana is in the team storage, which the runbook names",
        ),
        (
            Deed::Publish(&access),
            "no: ana has the role responder, and only approver or more may publish runbooks",
        ),
        (
            Deed::Decide(&rule, None),
            "yes, because ana has the role responder, which the gate names",
        ),
        (
            Deed::Decide(&rule, Some(ana.id)),
            "no: ana started this run, and the gate wants somebody else",
        ),
        (
            Deed::BreakGlass(&rule, &access),
            "no: the gate cannot be opened alone: its runbook says break_glass: false",
        ),
        (
            Deed::Anything(Permission::Respond),
            "yes, because ana has the role responder, which may respond to incidents",
        ),
    ] {
        assert_eq!(explain(&ana, deed).sentence, sentence);
    }
}
