//! What can be typed into the search, and what it means.

use super::*;

fn faults(query: &str) -> Vec<(usize, String, Option<String>)> {
    let (_, faults) = read(query);
    faults
        .iter()
        .map(|fault| (fault.column, fault.term.clone(), fault.mended(query)))
        .collect()
}

#[test]
fn what_was_typed_is_read_and_written_back_the_same() {
    for query in [
        "",
        "state:open",
        "state:all sev:1,2",
        "sev:1 state:open owner:me service:checkout label:region=eu -is:drill database",
        "owner:nobody,ana -owner:\"Ben Doe\"",
        "label:\"a b\"=\"c,d\"",
        "has:run is:running -is:waiting is:flapping is:folded",
        "source:prom-eu -source:old",
        "INC-204 -INC-7",
        "\"host:9090\" \"replica lag\" \"-x\" \"INC-9\"",
    ] {
        let (search, faults) = read(query);
        assert!(faults.is_empty(), "{query}: {faults:?}");
        assert_eq!(search.to_string(), query);
    }
}

#[test]
fn people_write_as_they_like() {
    for (query, meant) in [
        ("  Severity:SEV1   STATE:Open ", "sev:1 state:open"),
        ("owner:none inc-204", "owner:nobody INC-204"),
        ("state:triggered,acknowledged,mitigated", "state:open"),
        ("service:\"check out\"", "service:\"check out\""),
        ("-\"replica lag\"", "-\"replica lag\""),
        ("a,b inc-x", "\"a,b\" inc-x"),
    ] {
        let (search, faults) = read(query);
        assert!(faults.is_empty(), "{query}: {faults:?}");
        assert_eq!(search.to_string(), meant, "{query}");
    }
}

#[test]
fn a_wrong_term_is_answered_with_its_column_and_what_was_probably_meant() {
    for (query, column, term, mended) in [
        ("sevv:1", 1, "sevv:1", Some("sev:1")),
        ("sev:1 stat:open db", 7, "stat:open", Some("sev:1 state:open db")),
        ("é state:opne x", 3, "state:opne", Some("é state:open x")),
        ("sev:5", 1, "sev:5", Some("sev:1")),
        ("-is:runing", 1, "-is:runing", Some("-is:running")),
        ("http://x", 1, "http://x", Some("\"http://x\"")),
        ("-srvice:a", 1, "-srvice:a", Some("-service:a")),
        ("sev:", 1, "sev:", None),
        ("sev:1,", 1, "sev:1,", None),
        ("label:region", 1, "label:region", None),
        ("a ---", 3, "---", None),
        ("db \"open", 4, "\"open", Some("db \"open\"")),
        ("state:nonsense", 1, "state:nonsense", None),
    ] {
        let found = faults(query);
        let wanted = vec![(column, term.to_owned(), mended.map(str::to_owned))];
        assert_eq!(found, wanted, "{query}");
        if let Some(mended) = mended {
            assert_eq!(faults(mended), [], "what is offered is right: {mended}");
        }
    }
}

#[test]
fn the_right_terms_count_beside_the_wrong_one() {
    let (search, faults) = read("sev:1 nonsense:1 state:open");
    assert_eq!(search.to_string(), "sev:1 state:open");
    assert_eq!(faults.len(), 1);
    let message = &faults[0].message;
    assert!(
        message.contains("no \"nonsense:\"") && message.contains("quotes"),
        "{message}"
    );
}

#[test]
fn a_query_has_its_bounds() {
    let long = "a ".repeat(QUERY_CHARS_MAX);
    let (search, faults) = read(&long);
    assert_eq!(search.terms.len(), TERMS_MAX);
    assert_eq!(faults.len(), 2, "{faults:?}");
}

#[test]
fn one_kind_widens_and_a_minus_narrows() {
    use IncidentState::*;
    let filter = |query: &str| read(query).0.filter();
    for (query, states) in [
        ("state:open", vec![Triggered, Acknowledged, Mitigated]),
        ("state:open -state:mitigated", vec![Triggered, Acknowledged]),
        ("state:closed state:resolved", vec![Closed, Resolved]),
        ("-state:open", vec![Resolved, Closed, Merged, Cancelled]),
        ("state:open -state:open", vec![]),
    ] {
        assert_eq!(filter(query).states, Some(states), "{query}");
    }
    assert_eq!(filter("").states, None);
    assert_eq!(
        filter("sev:1 sev:2 -sev:2").severities,
        Some(vec![Severity::Sev1])
    );
    let mixed = filter("owner:me,ana -owner:nobody label:a=b -label:c=d -word");
    assert_eq!(mixed.owners, [Owner::Me, Owner::Named("ana".to_owned())]);
    assert_eq!(mixed.not_owners, [Owner::Nobody]);
    assert_eq!(mixed.labels, [("a".to_owned(), "b".to_owned())]);
    assert_eq!(mixed.words, [("word".to_owned(), false)]);
    assert!(!mixed.is_impossible());
    assert!(filter("is:waiting -is:waiting").is_impossible());
    assert!(filter("label:a=b label:a=c").is_impossible());
    assert_eq!(filter("-is:drill").asks(Trait::Drill), Some(false));
}

#[test]
fn a_link_takes_the_place_of_its_kind_and_is_taken_back() {
    let search = read("state:open sev:1 -sev:2 is:waiting db").0;
    let changed = search.toggled(What::Severity(vec![Severity::Sev3]));
    assert_eq!(changed.to_string(), "state:open is:waiting db sev:3");
    assert!(changed.has(&What::Severity(vec![Severity::Sev3])));
    let back = changed.toggled(What::Severity(vec![Severity::Sev3]));
    assert_eq!(back.to_string(), "state:open is:waiting db");
    let both = back.toggled(What::Is(Trait::Ran));
    assert_eq!(both.to_string(), "state:open is:waiting db has:run");
    assert!(Search::open().is_plain() && !search.is_plain());
}
