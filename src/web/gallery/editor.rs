//! Writing a runbook: the editor, and the last look before publishing.

use askama::Template;
use chrono::TimeDelta;

use super::{
    Specimen, now,
    runbooks::{SHOP, careless, hours_ago, loss, page, read, targets},
};
use crate::{
    catalog::parse_runbook,
    domain::{
        id::IncidentId,
        incident::{IncidentState, Severity},
        labels::Labels,
    },
    matching::replay::replay,
    store::past_alerts::PastAlert,
    web::view::{
        checked::{CheckedPart, ReplayPart},
        diff::DiffView,
        parts::said,
        publishing::{Conflict, DraftNote, EditPage, PublishPage},
    },
};

/// The specimens of this room.
pub fn specimens() -> Vec<Specimen> {
    let specimen = |page, state, html| Specimen { page, state, html };
    vec![
        specimen("editor", "full", || editor(SHOP)?.render()),
        specimen("editor", "fault", || {
            editor(&SHOP.replace("timeout: 5s", "time_out: 5s").replace("cross", "x"))?
                .with_refusal("nothing was published: errors have to be put right first")
                .render()
        }),
        specimen("editor", "draft", || {
            let page = editor(SHOP)?;
            EditPage {
                draft: DraftNote::of(now() - TimeDelta::hours(1), false, now()),
                is_saved: false,
                ..page
            }
            .render()
        }),
        specimen("editor", "conflict", || {
            let mine = SHOP.replace("timeout: 5s", "timeout: 9s");
            let page = editor(&mine)?;
            EditPage {
                conflict: Some(conflict(&mine)?),
                is_saved: false,
                ..page
            }
            .with_refusal("version 15 came into use since you looked; look at the difference again")
            .render()
        }),
        specimen("publish", "full", || publish(&careless(), 0)?.render()),
        specimen("publish", "proposed", || {
            publish(&SHOP.replace("within: 2m", "within: 5m"), 2)?.render()
        }),
    ]
}

fn past(incident: i64, name: &str) -> PastAlert {
    PastAlert {
        labels: Labels::from([("alertname", name), ("service", "shop")]),
        incident: IncidentId(incident),
        title: format!("{name} of the shop"),
        severity: Severity::Sev2,
        state: IncidentState::Resolved,
        opened_at: hours_ago(300 - incident),
    }
}

fn checked(source: &str) -> CheckedPart {
    let read = parse_runbook(source);
    let mut part = CheckedPart::of(source, &read, &targets());
    let past = [
        past(204, "ServiceDown"),
        past(198, "ServiceSlow"),
        past(190, "ServiceDown"),
    ];
    part.replay = read
        .ok()
        .map(|parsed| ReplayPart::of(&replay(None, &parsed.runbook, &past), 90, false, now()));
    part
}

fn editor(source: &str) -> askama::Result<EditPage> {
    Ok(EditPage {
        frame: page("Change web-service-down"),
        slug: Some("web-service-down".to_owned()),
        action: "/runbooks/web-service-down/edit".to_owned(),
        source: source.to_owned(),
        note: String::new(),
        base: 14,
        has_file: true,
        needed: 1,
        checked: checked(source),
        refusal: None,
        conflict: None,
        draft: DraftNote::None,
        is_saved: true,
    })
}

fn conflict(mine: &str) -> askama::Result<Conflict> {
    let theirs = SHOP.replace("wait: 10s", "wait: 20s");
    let (base, their, my) = (read(SHOP)?, read(&theirs)?, read(mine)?);
    let (base, their, my) = (
        (Some(&base), SHOP),
        (Some(&their), theirs.as_str()),
        (Some(&my), mine),
    );
    Ok(Conflict {
        who: said("Ben"),
        number: 15,
        base: 14,
        theirs: DiffView::between(base, their),
        yours: DiffView::between(base, my),
        over: DiffView::between(their, my),
    })
}

fn publish(source: &str, needed: u32) -> askama::Result<PublishPage> {
    let (old, new) = (read(SHOP)?, read(source)?);
    Ok(PublishPage {
        frame: page("Publish web-service-down"),
        slug: Some("web-service-down".to_owned()),
        title: said(&new.title),
        action: "/runbooks/web-service-down/edit".to_owned(),
        source: source.to_owned(),
        note: String::new(),
        base: 14,
        has_file: false,
        needed,
        difference: DiffView::between((Some(&old), SHOP), (Some(&new), source)),
        loss: loss(&old, &new),
        checked: checked(source),
    })
}
