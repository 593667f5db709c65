//! What a person is told who comes back.

use std::time::Duration;

use futures_util::StreamExt;
use muster::domain::{
    event::{Event, IncidentFact},
    operator::Role,
};

use super::{PAGE, act, happen};
use crate::{pages::fire, support::site::Site};

fn fired(name: &str) -> Event {
    IncidentFact::AlertsFired {
        count: 1,
        names: vec![name.to_owned()],
        reason: "same group".to_owned(),
    }
    .into()
}

const AWAY: &str = "While you were away";

#[tokio::test]
async fn who_comes_back_is_told_what_happened_until_they_have_read_it() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    let (_, ben) = site.person("ben", Role::Responder).await;
    fire(&site, "Down", 1).await;
    let seen = site.get(PAGE, &ana).await.field("seen");
    act(&site, &ana, "acknowledge", &[("seen", &seen)]).await;
    site.clock().advance(Duration::from_secs(240));
    happen(&site, &[fired("one")]).await;
    assert!(
        !site.get(PAGE, &ana).await.text.contains(AWAY),
        "four minutes are not away"
    );

    site.clock().advance(Duration::from_secs(240));
    happen(&site, &[fired("two")]).await;
    let visits = "select count(*) from incident_visits where seen_at > '2026-11-21 03:02:00Z'";
    let before = site.intake.database.count(visits).await;
    let page = site.get(PAGE, &ana).await;
    assert!(
        page.text.contains(AWAY) && page.text.contains("2 reports of new alerts"),
        "{}",
        page.text
    );
    let since = format!("{PAGE}?since={seen}#timeline");
    assert!(page.text.contains(&since), "{}", page.text);
    assert_eq!(
        site.intake.database.count(visits).await,
        before,
        "asking for a page changes nothing"
    );
    assert!(
        !site.get(PAGE, &ben).await.text.contains(AWAY),
        "ben was never here"
    );

    // Acting on the page does not lose it; saying so does.
    let seen = page.field("seen");
    act(&site, &ana, "severity", &[("seen", &seen), ("severity", "4")]).await;
    assert!(site.get(PAGE, &ana).await.text.contains(AWAY));
    act(&site, &ana, "read", &[("seen", &seen)]).await;
    assert!(!site.get(PAGE, &ana).await.text.contains(AWAY));
}

#[tokio::test]
async fn a_page_that_is_open_in_front_of_somebody_is_looking() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    fire(&site, "Down", 1).await;
    let seen = site.get(PAGE, &ana).await.field("seen");
    let mut stream = site
        .live(&format!("/live?scope=incident:1&after={seen}.0"), &ana)
        .await;
    let visits = "select count(*) from incident_visits";
    assert_eq!(site.intake.database.count(visits).await, 0);
    let mut heard = String::new();
    while heard.matches("event: tick").count() < 2 {
        let bytes = stream.next().await.unwrap().unwrap();
        heard.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    assert_eq!(site.intake.database.count(visits).await, 1);
}
