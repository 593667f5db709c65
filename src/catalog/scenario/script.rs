//! What happens besides what follows from the world: alerts, surprises, hints, and what ends the drill early.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::{
    super::{
        document::Content,
        fields::Field,
        findings::{Findings, Path},
        fixture::pairs,
        runbook::{self, text, unknown},
    },
    Ids, at,
    names::{Names, Place},
};
use crate::domain::{
    labels::Labels,
    scenario::{Alarm, Failing, Happening, Hint, Inject, LENGTH_MAX, Objectives, StopRule, Twin},
    span::Span,
};

const ALARMS_MAX: usize = 20;
pub(super) const INJECTS_MAX: usize = 50;
const HINTS_MAX: usize = 50;
const PRICES: RangeInclusive<u32> = 0..=100;
const STOPS_MAX: usize = 20;
const AT_ONCE: Span = Span::from_secs(0);
const SECOND: Span = Span::from_secs(1);
const ALERTNAME: &str = "alertname";
const THINGS: [&str; 6] = ["set", "says", "alert", "leaves", "connector", "fault"];

/// Reads `alerts`.
pub(super) fn alarms(field: Option<Field<'_>>, names: &Names<'_>, findings: &mut Findings<'_>) -> Vec<Alarm> {
    let items = field.map(|field| field.list(ALARMS_MAX, findings));
    let mut alarms = Vec::new();
    for item in items.unwrap_or_default() {
        let Some(fields) = item.fields(&["labels", "annotations", "while", "for"], findings) else {
            continue;
        };
        let labels = labels(fields.need("labels", findings), findings);
        let annotations = fields
            .get("annotations")
            .and_then(|field| field.entries(findings));
        let annotations = annotations.iter().flat_map(|fields| fields.all());
        let annotations = annotations
            .filter_map(|(name, value)| {
                let template = names.template(Some(value), Place::World, findings)?;
                Some((name.to_owned(), template))
            })
            .collect();
        let fires_while = fields.need("while", findings);
        let fires_while = names.expression(fires_while, Place::World, findings);
        let lasting = fields
            .get("for")
            .and_then(|field| field.span(AT_ONCE..=LENGTH_MAX, findings));
        alarms.extend(fires_while.map(|fires_while| Alarm {
            at: at(&item),
            labels,
            annotations,
            fires_while,
            lasting: lasting.unwrap_or(AT_ONCE),
        }));
    }
    alarms
}

/// Labels as a sender would set them.
fn labels(field: Option<Field<'_>>, findings: &mut Findings<'_>) -> Labels {
    let path = field.as_ref().map(|field| field.path.clone());
    let labels = plain_pairs(field, findings);
    if let Some(path) = path
        && labels.get(ALERTNAME).is_empty()
        && !findings.has_fault_under(&path)
    {
        findings.fault(&path, format!("an alert has the label {ALERTNAME}; add it"));
    }
    labels
}

/// Texts that nothing is filled into.
fn plain_pairs(field: Option<Field<'_>>, findings: &mut Findings<'_>) -> Labels {
    let path = field.as_ref().map(|field| field.path.clone());
    let pairs = pairs(field, findings);
    if let Some(path) = path {
        for (name, value) in &pairs {
            plain(value, &path.key(name), findings);
        }
    }
    Labels(pairs)
}

fn plain(text: &str, path: &Path, findings: &mut Findings<'_>) {
    if text.contains("{{") {
        findings.fault(path, "nothing is filled in here; write the text without {{ }}");
    }
}

/// Who and what the injects may name.
pub(super) struct Cast<'a> {
    pub(super) length: Span,
    pub(super) roles: &'a [String],
    pub(super) twins: &'a BTreeMap<String, Twin>,
    /// The targets of a game day.
    pub(super) targets: Option<&'a BTreeMap<String, String>>,
}

/// Reads `injects`.
pub(super) fn injects(
    field: Option<Field<'_>>,
    names: &Names<'_>,
    cast: &Cast<'_>,
    ids: &mut Ids,
    findings: &mut Findings<'_>,
) -> Vec<Inject> {
    let items = field.map(|field| field.list(INJECTS_MAX, findings));
    let items = items.unwrap_or_default();
    items
        .iter()
        .filter_map(|item| inject(item, names, cast, ids, findings))
        .collect()
}

fn inject(
    item: &Field<'_>,
    names: &Names<'_>,
    cast: &Cast<'_>,
    ids: &mut Ids,
    findings: &mut Findings<'_>,
) -> Option<Inject> {
    let known: Vec<&str> = ["id", "title", "after", "when"]
        .into_iter()
        .chain(THINGS)
        .collect();
    let fields = item.fields(&known, findings)?;
    let id = ids.read(&fields, findings);
    let title = fields
        .need("title", findings)
        .and_then(|field| runbook::title(&field, findings));
    let after = fields
        .get("after")
        .and_then(|field| field.span(AT_ONCE..=LENGTH_MAX, findings));
    if let Some(after) = after.filter(|after| *after > cast.length) {
        let message = format!(
            "impossible inject: the drill is planned for {}, and this comes after {after}",
            cast.length
        );
        let hint = "let it come earlier, or make length longer".to_owned();
        findings.fault_with_hint(&item.path.key("after"), message, hint);
    }
    if fields.get("after").is_some() && fields.get("when").is_some() {
        let message = "an inject comes by the clock or by a condition: after or when, not both".to_owned();
        fields.fault_at_key("when", message, None, findings);
    }
    let when = names.expression(fields.get("when"), Place::Told, findings);
    let mut then = Vec::new();
    if let Some(set) = fields.get("set") {
        then.push(Happening::Set(names.set(Some(set), Place::Told, findings)));
    }
    then.extend(fields.get("says").and_then(|field| says(&field, findings)));
    then.extend(fields.get("alert").and_then(|field| alert(&field, findings)));
    then.extend(
        fields
            .get("leaves")
            .and_then(|field| leaves(&field, cast, findings)),
    );
    then.extend(
        fields
            .get("connector")
            .and_then(|field| connector(&field, cast, findings)),
    );
    then.extend(
        fields
            .get("fault")
            .and_then(|field| fault(&field, cast, findings)),
    );
    if THINGS.iter().all(|key| fields.get(key).is_none()) {
        findings.fault(
            &item.path,
            format!("nothing happens: at least one of {} is needed", THINGS.join(", ")),
        );
    }
    Some(Inject {
        at: at(item),
        id: id?,
        title: title?,
        after,
        when,
        then,
    })
}

fn says(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Happening> {
    let fields = field.fields(&["who", "text"], findings)?;
    let mut said = |key: &str| {
        let field = fields.need(key, findings)?;
        let text = field.text(findings)?.trim().to_owned();
        plain(&text, &field.path, findings);
        Some(text)
    };
    let (who, text) = (said("who"), said("text"));
    Some(Happening::Says {
        who: who?,
        text: text?,
    })
}

fn alert(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Happening> {
    let fields = field.fields(&["labels", "annotations", "for"], findings)?;
    let labels = labels(fields.need("labels", findings), findings);
    let annotations = plain_pairs(fields.get("annotations"), findings);
    let lasting = fields.need("for", findings)?.span(SECOND..=LENGTH_MAX, findings);
    Some(Happening::Alert {
        labels,
        annotations,
        lasting: lasting?,
    })
}

fn leaves(field: &Field<'_>, cast: &Cast<'_>, findings: &mut Findings<'_>) -> Option<Happening> {
    let role = field.text(findings)?.to_owned();
    if !cast.roles.contains(&role) {
        let known: Vec<&str> = cast.roles.iter().map(String::as_str).collect();
        let (message, hint) = unknown("role", &role, &known);
        let hint = hint.or_else(|| Some("add it to roles".to_owned()));
        findings.fault_with_hint(&field.path, message, hint);
    }
    Some(Happening::Leaves { role })
}

fn connector(field: &Field<'_>, cast: &Cast<'_>, findings: &mut Findings<'_>) -> Option<Happening> {
    if cast.targets.is_some() {
        findings.fault(
            &field.path,
            "a game day has no twins whose connectors could fail; use fault",
        );
        return None;
    }
    let fields = field.fields(&["target", "fails", "for"], findings)?;
    let target = fields.need("target", findings).and_then(|field| {
        let target = field.text(findings)?.to_owned();
        // What is wrong with the twin itself is said there.
        if !cast.twins.contains_key(&target)
            && !findings.has_value(&Path::default().key("twins").key(&target))
        {
            let known: Vec<&str> = cast.twins.keys().map(String::as_str).collect();
            let (message, hint) = unknown("twin", &target, &known);
            findings.fault_with_hint(&field.path, message, hint);
        }
        Some(target)
    });
    let fails = fields
        .need("fails", findings)
        .and_then(|field| field.choice(&Failing::WORDS, findings));
    let lasting = fields
        .need("for", findings)
        .and_then(|field| field.span(SECOND..=LENGTH_MAX, findings));
    Some(Happening::Connector {
        target: target?,
        fails: fails?,
        lasting: lasting?,
    })
}

/// Something real is broken: which targets allow that is looked at once all is read.
fn fault(field: &Field<'_>, cast: &Cast<'_>, findings: &mut Findings<'_>) -> Option<Happening> {
    let Some(targets) = cast.targets else {
        findings.fault(
            &field.path,
            "only a game day breaks anything real; a simulated world is set",
        );
        return None;
    };
    let fields = field.fields(&["target", "cause", "for"], findings)?;
    let target = fields.need("target", findings).and_then(|field| {
        let target = field.text(findings)?.to_owned();
        if !targets.contains_key(&target) {
            let known: Vec<&str> = targets.keys().map(String::as_str).collect();
            let (message, hint) = unknown("target", &target, &known);
            findings.fault_with_hint(&field.path, message, hint);
        }
        Some(target)
    });
    let cause = text(fields.need("cause", findings), findings);
    let lasting = fields
        .need("for", findings)
        .and_then(|field| field.span(SECOND..=LENGTH_MAX, findings));
    Some(Happening::Fault {
        target: target?,
        cause: cause?,
        lasting: lasting?,
    })
}

/// Reads `objectives`.
pub(super) fn objectives(field: Option<Field<'_>>, findings: &mut Findings<'_>) -> Objectives {
    let known = [
        "detect",
        "acknowledge",
        "first_step",
        "gate",
        "mitigate",
        "update_every",
    ];
    let Some(fields) = field.and_then(|field| field.fields(&known, findings)) else {
        return Objectives::default();
    };
    let mut span = |key: &str| fields.get(key)?.span(SECOND..=LENGTH_MAX, findings);
    Objectives {
        detect: span("detect"),
        acknowledge: span("acknowledge"),
        first_step: span("first_step"),
        gate: span("gate"),
        mitigate: span("mitigate"),
        update_every: span("update_every"),
    }
}

/// Reads `hints`; one without a price is free.
pub(super) fn hints(field: Option<Field<'_>>, findings: &mut Findings<'_>) -> Vec<Hint> {
    let items = field.map(|field| field.list(HINTS_MAX, findings));
    let mut hints = Vec::new();
    for item in items.unwrap_or_default() {
        let Some(fields) = item.fields(&["text", "price"], findings) else {
            continue;
        };
        let said = text(fields.need("text", findings), findings);
        let price = fields
            .get("price")
            .and_then(|field| field.count(PRICES, findings));
        hints.extend(said.map(|text| Hint {
            text,
            price: price.unwrap_or_default(),
        }));
    }
    hints
}

/// Reads `stop`.
pub(super) fn stops(
    field: Option<Field<'_>>,
    names: &Names<'_>,
    findings: &mut Findings<'_>,
) -> Vec<StopRule> {
    let items = field.map(|field| field.list(STOPS_MAX, findings));
    let mut stops = Vec::new();
    for item in items.unwrap_or_default() {
        let Some(fields) = item.fields(&["when", "because"], findings) else {
            continue;
        };
        let when = names.expression(fields.need("when", findings), Place::Told, findings);
        let because = text(fields.need("because", findings), findings);
        if let (Some(when), Some(because)) = (when, because) {
            stops.push(StopRule {
                at: at(&item),
                when,
                because,
            });
        }
    }
    stops
}

/// The names of injects before they are read, since any of them may read any other.
pub(super) fn names_of(field: Option<&Field<'_>>) -> Vec<String> {
    let Some(Content::List(items)) = field.map(|field| &field.node.content) else {
        return Vec::new();
    };
    let id = |item: &Content| match item {
        Content::Map(entries) => entries.iter().find_map(|entry| match &entry.value.content {
            Content::Text(text) if entry.key == "id" => Some(text.clone()),
            _ => None,
        }),
        _ => None,
    };
    items.iter().filter_map(|item| id(&item.content)).collect()
}
