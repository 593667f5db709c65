//! Faults of what is expected and what would be wrong.

use super::*;

#[test]
fn expected_deeds_name_what_is_there() {
    let cases: [(&str, &[&str]); 2] = [
        ("expected: []", &["1:11: expected: at least one deed is needed"]),
        (
            "expected:
  - { id: a, acknowledge: false, within: 2m }
  - { id: a, approve: drain, within: 2m }
  - { id: c, approve: ask-storag, within: 2m }
  - { id: d, start: pol, within: 2m }
  - { id: e, manual: ask-storage, within: 9h }
  - { id: f, unknown: drain, within: 1m }
  - { id: g, unknown: by-hand, choose: mark_don, within: 1m }
  - { id: h, update: true, choose: mark_done, within: 1m }
  - { id: i, severity: sev9, within: 1m }
  - { id: j, within: 1m }
  - { id: k, update: true, resolve: true, within: 1m }
  - { id: l, resolve: true }
",
            &[
                "2:27: expected[0].acknowledge: expected true; leave it out otherwise",
                r#"3:11: expected[1].id: "a" is in line 22 already"#,
                "3:23: expected[1].approve: drain is not a gate",
                r#"4:23: expected[2].approve: there is no step "ask-storag"; did you mean "ask-storage"?"#,
                r#"5:21: expected[3].start: "pol" is not among the runbooks of this scenario; did you mean "pool"?"#,
                "6:22: expected[4].manual: ask-storage is not a manual step",
                "6:43: expected[4].within: must be from 1s to 8h, found 9h",
                r#"7:5: expected[5]: the field "choose" is missing"#,
                "8:23: expected[6].unknown: by-hand is not a step that acts",
                r#"8:40: expected[6].choose: expected run_check, mark_done, mark_not_done, retry_same_key, retry_new_key, found "mark_don"; did you mean "mark_done"?"#,
                "9:28: expected[7].choose: only a step whose outcome is unknown is settled by a choice; write unknown: STEP",
                r#"10:24: expected[8].severity: expected sev1, sev2, sev3, sev4, found "sev9"; did you mean "sev1"?"#,
                "11:5: expected[9]: a deed is one of acknowledge, start, approve, reject, manual, unknown, stop, update, severity, mitigate, resolve",
                "12:28: expected[10].resolve: one deed is one thing, but here are update and resolve",
                r#"13:5: expected[11]: the field "within" is missing"#,
            ],
        ),
    ];
    for (sections, wanted) in cases {
        assert_eq!(with(sections), wanted, "{sections}");
    }
}

#[test]
fn a_deed_comes_after_an_inject_or_a_deed_above_it() {
    let sections = "injects:
  - { id: boss, title: T, says: { who: W, text: T } }
expected:
  - { id: first, acknowledge: true, within: 2m, after: boss }
  - { id: second, update: true, within: 2m, after: first }
  - { id: third, update: true, within: 2m, after: fourth }
  - { id: fourth, update: true, within: 2m, after: fourth }
  - { id: fifth, update: true, within: 2m, after: forth }
  - { id: boss, update: true, within: 2m }
";
    assert_eq!(
        with(sections),
        [
            r#"6:51: expected[2].after: "fourth" is not expected before this; name an inject, or a deed that stands above this one"#,
            r#"7:52: expected[3].after: "fourth" is not expected before this; name an inject, or a deed that stands above this one"#,
            r#"8:51: expected[4].after: there is no inject or expected deed "forth"; did you mean "fourth"?"#,
            r#"9:11: expected[5].id: "boss" is in line 22 already"#
        ]
    );
}

#[test]
fn wrong_deeds_say_why_and_in_place_of_what() {
    let sections = "wrong:
  - { id: take, approve: ask-storage, because: B }
  - { id: a, approve: ask-storage, when: app.lagg > 1, because: B }
  - { id: b, reject: ask-storage, instead_of: tak, because: B }
  - { id: c, stop: pool }
  - { id: d, stop: pool, because: B, within: 1m }
";
    assert_eq!(
        with(sections),
        [
            r#"2:11: wrong[0].id: "take" is in line 22 already"#,
            r#"3:42: wrong[1].when: app has no variable "lagg"; did you mean "lag"?"#,
            r#"4:47: wrong[2].instead_of: there is no expected deed "tak"; did you mean "take"?"#,
            r#"5:5: wrong[3]: the field "because" is missing"#,
            r#"6:38: wrong[4].within: unknown field "within"; known here: id, choose, because, acknowledge, start, approve, reject, manual, unknown, stop, update, severity, mitigate, resolve, when, instead_of"#
        ]
    );
}
