//! The rows of the timeline: what is always shown, what is found, what is folded, and a very long one.

use std::time::{Duration, Instant};

use muster::domain::{
    event::{Event, IncidentFact},
    operator::Role,
};

use super::{PAGE, act, between, form, happen};
use crate::{pages::fire, support::site::Site};

fn fired(name: &str) -> Event {
    IncidentFact::AlertsFired {
        count: 1,
        names: vec![name.to_owned()],
        reason: "same group".to_owned(),
    }
    .into()
}

fn rows(html: &str) -> usize {
    html.matches("class=\"event ").count()
}

#[tokio::test]
async fn decisions_and_pins_are_shown_whatever_the_filter_hides() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    fire(&site, "Down", 1).await;
    act(&site, &ana, "acknowledge", &[]).await;
    happen(&site, &[fired("First"), fired("Second")]).await;
    let page = site.get(PAGE, &ana).await.text;
    let is_first = |row: &&str| row.contains("Alert fired: First");
    let row = page.split("<li id=\"e").find(is_first).unwrap();
    let seq = row.split('"').next().unwrap().to_owned();
    let seen = site.get(PAGE, &ana).await.field("seen");
    let answer = act(&site, &ana, "pins", &[("seq", &seq), ("seen", &seen)]).await;
    assert_eq!(answer.header("location"), format!("{PAGE}#e{seq}"));
    let notes = site.get(&format!("{PAGE}?show=notes"), &ana).await.text;
    let list = between(&notes, "id=\"events\"", "</ol>");
    assert!(
        list.contains("Acknowledged") && list.contains("First") && !list.contains("Second"),
        "{list}"
    );
    let again = form(&site, &ana, "pins", &[("seq", &seq)]).await;
    assert_eq!(again.status.as_u16(), 303, "a pin twice is one pin");
    act(&site, &ana, "pins/remove", &[("seq", &seq)]).await;
    let notes = site.get(&format!("{PAGE}?show=notes"), &ana).await.text;
    assert!(!between(&notes, "id=\"events\"", "</ol>").contains("First"));
    let count = "select count(*) from events where kind in ('pinned', 'unpinned')";
    assert_eq!(site.intake.database.count(count).await, 2);
    let nowhere = form(&site, &ana, "pins", &[("seq", "999")]).await;
    assert_eq!(nowhere.status.as_u16(), 404);
}

#[tokio::test]
async fn what_says_the_same_is_one_row_and_a_quiet_time_is_told() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    fire(&site, "Down", 1).await;
    happen(&site, &vec![fired("Noisy"); 36]).await;
    site.clock().advance(Duration::from_secs(14 * 60));
    happen(&site, &[fired("Later")]).await;
    let page = site.get(PAGE, &ana).await.text;
    let list = between(&page, "id=\"events\"", "</ol>");
    assert!(
        list.contains("the same ×36") && list.contains("14 min quiet"),
        "{list}"
    );
    assert_eq!(list.matches("Alert fired: Noisy").count(), 1);
    let oldest = site.get(&format!("{PAGE}?order=oldest"), &ana).await.text;
    let list = between(&oldest, "id=\"events\"", "</ol>");
    assert!(
        list.find("Noisy").unwrap() < list.find("Later").unwrap(),
        "{list}"
    );
    assert!(list.contains("the same ×36") && list.contains("14 min quiet"));
}

#[tokio::test]
async fn a_timeline_of_ten_thousand_events_opens_in_part_and_is_searched_whole() {
    let site = Site::new().await;
    let (_, ana) = site.person("ana", Role::Responder).await;
    fire(&site, "Down", 1).await;
    happen(&site, &[fired("Needle in the hay")]).await;
    for chunk in 0..10 {
        let many: Vec<Event> = (0..1000).map(|n| fired(&format!("Hay {chunk} {n}"))).collect();
        happen(&site, &many).await;
    }
    let began = Instant::now();
    let page = site.get(PAGE, &ana).await.text;
    println!("the page took {:?}", began.elapsed());
    assert_eq!(rows(&page), 200);
    assert!(page.contains(">Older<"));
    assert!(
        between(&page, "id=\"chips\"", "</nav>").contains("10,00"),
        "counted whole"
    );
    let began = Instant::now();
    let found = site.get(&format!("{PAGE}?find=needle+HAY"), &ana).await.text;
    println!("the search took {:?}", began.elapsed());
    assert!(
        found.contains("1 found") && rows(&found) == 1,
        "{}",
        between(&found, "id=\"timeline\"", "</ol>")
    );
    let hidden = site
        .get(&format!("{PAGE}?find=needle&show=notes"), &ana)
        .await
        .text;
    assert!(hidden.contains("Nothing found, 1 more hidden by the filter"));

    // From page to page by the links alone, every event comes once.
    let mut seen = std::collections::BTreeSet::new();
    let mut address = format!("{PAGE}?show=all");
    loop {
        let page = site.get(&address, &ana).await.text;
        let list = between(&page, "id=\"events\"", "</ol>");
        for row in list.split("<li id=\"e").skip(1) {
            let seq: i64 = row.split('"').next().unwrap().parse().unwrap();
            assert!(seen.insert(seq), "{seq} twice");
        }
        let Some(at) = page.find(">Older<") else { break };
        let href = page[..at].rsplit("href=\"").next().unwrap();
        let href = href.replace("&#38;", "&").replace("&amp;", "&");
        address = href.split('#').next().unwrap().to_owned();
    }
    let last: i64 = site.get(PAGE, &ana).await.field("seen").parse().unwrap();
    assert_eq!(seen.len() as i64, last);
    // A link to one row shows it wherever it is.
    let pointed = site.get(&format!("{PAGE}?row=40"), &ana).await.text;
    assert!(pointed.contains("<li id=\"e40\"") && rows(&pointed) < 200);
}
