//! The classes of holes that comparable products had, what Muster does instead, and the tests that show it. Each test is
//! looked up by its name in the sources, so that none can be renamed or removed without this list.
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use std::{collections::BTreeSet, fs, path::Path};

/// A class, the defence, the tests.
const HOLES: &[(&str, &str, &[&str])] = &[
    (
        "server-side request forgery",
        "steps name targets; every address is judged after the one look-up whose answer is connected to",
        &[
            "nothing_that_may_not_be_reached_is_reached",
            "what_a_target_names_is_reached",
            "in_a_network_with_a_metadata_service_nobody_comes_to_it",
            "a_proxy_of_the_environment_sees_nothing",
            "every_address_has_its_scope",
        ],
    ),
    (
        "redirects that leak credentials",
        "none unless the target allows it, each hop judged anew, credentials stay with their host",
        &[
            "redirects_are_followed_as_far_as_the_target_says_and_credentials_stay_at_home",
            "a_redirect_to_where_the_target_may_not_go_is_refused",
        ],
    ),
    (
        "DNS rebinding",
        "the checked address is the one that is connected to",
        &[
            "nothing_that_may_not_be_reached_is_reached",
            "a_name_is_asked_once_and_the_checked_address_is_the_one_connected",
        ],
    ),
    (
        "command injection through labels",
        "no shell; programs take only the arguments that a target foresees",
        &["what_an_alert_says_stays_one_argument_or_is_refused"],
    ),
    (
        "template injection",
        "text from outside is a value, never a template; bounds on time, size and depth",
        &[
            "a_value_from_outside_is_never_a_template",
            "only_expressions_are_in_the_language",
            "no_expression_is_too_deep_for_the_stack",
        ],
    ),
    (
        "SQL injection",
        "bound parameters in one room, checked at compile time",
        &["each_thing_has_its_one_room"],
    ),
    (
        "stored script by label, annotation or output",
        "everything is escaped, a policy without inline script, Trusted Types, Markdown by an allow-list",
        &[
            "every_page_carries_its_guards_and_shows_hostile_text_as_text",
            "nothing_else_gets_through",
            "a_template_never_marks_text_as_safe",
            "parts_escape_what_they_hold",
        ],
    ),
    (
        "requests forged by other sites",
        "what changes anything is refused unless the browser says that it comes from here",
        &[
            "no_other_site_can_make_a_browser_change_anything",
            "no_get_changes_anything",
        ],
    ),
    (
        "approval bypassed",
        "who may decide, once, in time, on exactly this, held by the database",
        &[
            "a_gate_is_decided_by_somebody_else_on_what_they_saw",
            "who_started_the_run_may_not_approve_it_whatever_their_role",
            "of_two_people_who_approve_at_once_one_decides_and_the_other_is_told",
            "a_token_opens_what_it_carries_and_nothing_else_and_never_more_than_its_owner_may",
        ],
    ),
    (
        "edit between approval and start",
        "an approval is bound to a hash of everything that will be sent",
        &["an_approval_is_void_when_its_target_changes_before_the_step_starts"],
    ),
    (
        "missing authorization",
        "no handler can be registered that does not state what its caller needs",
        &[
            "each_route_refuses_each_lesser_role_and_the_matrix_is_printed",
            "what_is_open_to_everybody_is_a_list_that_somebody_wrote",
            "no_route_is_registered_past_the_table",
        ],
    ),
    (
        "privilege by import or nested reference",
        "publishing is a permission of the current and the new version alike; automation acts with its publisher's rights",
        &[],
    ),
    (
        "object reference and filter oracle",
        "one's own things are found by owner and number in one statement; tokens are kept as hashes",
        &["what_is_no_good_token_gets_one_answer_and_changes_nothing"],
    ),
    (
        "secrets in logs, errors and timelines",
        "references, redaction by value and by shape",
        &[
            "no_secret_is_ever_seen_again",
            "the_search_finds_what_is_there",
            "a_secret_is_hidden_in_every_form",
        ],
    ),
    (
        "webhooks without a check, replay",
        "no source opens without a token, compared by hash; a body may come any number of times",
        &[
            "a_door_of_a_sender_opens_for_no_session_however_high",
            "a_wrong_token_and_an_unknown_source_get_the_same_answer_and_are_counted_by_the_minute",
            "one_body_on_eight_connections_at_once_is_one_incident",
        ],
    ),
    (
        "body before authorization, floods",
        "headers first, bounds on bytes, connections and time",
        &[
            "garbage_is_refused_costs_no_memory_and_keeps_no_delivery_out",
            "a_body_that_stalls_is_given_up",
            "gzip_is_unpacked_and_a_bomb_is_not",
            "at_the_cap_a_client_waits_for_another_to_leave",
        ],
    ),
    (
        "path traversal",
        "bodies by number; the loader opens below one folder",
        &[
            "a_path_stays_below_the_targets_url",
            "links_stay_inside_and_pipes_are_not_waited_for",
        ],
    ),
    (
        "YAML",
        "a strict reader with a budget, unknown and doubled keys refused",
        &["bombs_are_refused_at_once", "a_flood_of_faults_is_cut"],
    ),
    (
        "step sandbox",
        "own session and group, limits, an empty environment, no new privileges",
        &[
            "a_program_has_a_session_limits_and_nothing_of_musters",
            "a_program_that_wants_too_much_gets_no_more_than_its_target_allows",
            "whatever_it_starts_ends_with_it",
        ],
    ),
    (
        "sessions",
        "kept by the server, new at every sign-in, over when rights change; cookie and token together are refused",
        &[
            "every_sign_in_begins_a_new_session_and_ends_the_browsers_last",
            "a_session_ends_when_it_is_left_alone_and_when_it_is_old",
            "a_change_of_rights_ends_open_sessions_and_counts_at_once",
            "an_open_page_hears_within_seconds_that_its_session_has_ended",
            "no_cookie_but_the_very_one_opens_anything",
        ],
    ),
    (
        "guessing and enumeration",
        "counted in the database by name and by network, the same answer in the same time",
        &[
            "sign_in_tells_nothing_and_slows_guessing",
            "ten_thousand_tries_across_a_restart_come_to_a_handful_of_hashes",
        ],
    ),
    (
        "empty or default credentials",
        "no account is there before a one-time code made it",
        &[
            "the_first_admin_is_made_once_with_the_code",
            "of_two_who_race_with_the_code_exactly_one_becomes_admin",
        ],
    ),
    (
        "OpenID Connect",
        "issuer and subject are the key; everything in a token is checked",
        &[
            "no_bad_token_lets_anybody_in",
            "a_way_back_belongs_to_one_browser_and_is_taken_once",
            "a_description_that_names_others_is_not_believed",
            "a_person_signs_in_by_a_real_provider_and_lands_on_the_exact_link",
        ],
    ),
    (
        "open redirect, header injection",
        "the way back is a local path; headers are typed",
        &[
            "every_way_in_lands_on_the_exact_link_and_never_outside",
            "headers_of_a_request_come_back_in_no_answer",
        ],
    ),
    (
        "injection into exports, Markdown and logs",
        "cells that begin like formulas are quoted; control characters never get out",
        &[
            "no_cell_begins_a_formula_or_ends_early",
            "a_file_has_every_row_and_no_formula",
            "nothing_else_gets_through",
        ],
    ),
    (
        "dependencies",
        "licences, bans and sources by cargo-deny (.ci/supply-chain); unsafe code is forbidden",
        &["unsafe_code_is_forbidden_and_what_is_built_in_is_listed"],
    ),
];

fn names(folder: &Path, into: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let found = text.split("fn ").skip(1).filter_map(|rest| rest.split_once('('));
            into.extend(found.map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn every_hole_has_a_test_that_closes_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut known = BTreeSet::new();
    names(&root.join("src"), &mut known);
    names(&root.join("tests"), &mut known);
    let mut missing = Vec::new();
    for (class, defence, tests) in HOLES {
        println!("{class}\n    {defence}");
        for test in *tests {
            println!("    - {test}");
        }
        if tests.is_empty() {
            missing.push(format!("{class}: no test is named"));
        }
        let unknown = tests.iter().filter(|test| !known.contains(**test));
        missing.extend(unknown.map(|test| format!("{class}: there is no test {test}")));
    }
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
}

#[test]
fn unsafe_code_is_forbidden_and_what_is_built_in_is_listed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"forbid\""));
    let rules = fs::read_to_string(root.join(".deny.toml")).unwrap();
    for part in ["[licenses]", "[bans]", "[sources]", "openssl"] {
        assert!(rules.contains(part), "{part}");
    }
    assert!(root.join("Cargo.lock").exists());
}
