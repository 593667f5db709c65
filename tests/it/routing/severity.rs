//! People say how bad an incident opens; it says which rule did.

use super::{World, severity, threshold};

async fn opened(world: &World) -> Vec<String> {
    world
        .texts("select 'SEV' || severity || ' ' || title from incidents order by id")
        .await
}

async fn ruled(world: &World) -> Vec<String> {
    world
        .texts("select incident_id || ' ' || (body ->> 'rule') from events where kind = 'severity_ruled' order by 1")
        .await
}

#[tokio::test]
async fn the_first_rule_about_the_alert_gives_the_severity_and_the_timeline_says_which() {
    let world = World::new().await;
    world.rule(severity("Shop", "team=shop", "sev2", 100), "").await;
    world
        .rule(severity("Money", "alertname=Payments", "sev1", 50), "")
        .await;
    world
        .rule(
            severity("Quiet source", "alertname!=Payments", "sev4", 900),
            "other",
        )
        .await;
    world.says_in("s", "1", 0, &[("Payments", 0, None)]).await;
    world.says_in("s", "2", 0, &[("Search", 0, None)]).await;
    world.says_in("other", "3", 0, &[("Search", 0, None)]).await;
    world.says_in("other", "4", 0, &[("Payments", 0, None)]).await;
    assert_eq!(
        opened(&world).await,
        ["SEV1 Payments", "SEV2 Search", "SEV4 Search", "SEV1 Payments"]
    );
    assert_eq!(
        ruled(&world).await,
        ["1 Money", "2 Shop", "3 Quiet source", "4 Money"]
    );
}

#[tokio::test]
async fn the_worst_alert_by_the_rules_names_the_incident() {
    let world = World::new().await;
    world
        .rule(severity("Money", "alertname=Payments", "sev1", 50), "")
        .await;
    world.rule(threshold(3, "10m"), "").await;
    world.says(&[("A", 0, None)]).await;
    world.says(&[("Payments", 0, None)]).await;
    world.says(&[("Z", 0, None)]).await;
    assert_eq!(opened(&world).await, ["SEV1 Payments"]);
}

#[tokio::test]
async fn without_a_rule_the_label_says_it() {
    let world = World::new().await;
    let rule = world
        .rule(severity("Money", "alertname=Payments", "sev1", 50), "")
        .await;
    world.says_in("s", "1", 0, &[("Search", 0, None)]).await;
    world.end(rule).await;
    world.says_in("s", "2", 0, &[("Payments", 0, None)]).await;
    assert_eq!(opened(&world).await, ["SEV3 Search", "SEV3 Payments"]);
    assert!(ruled(&world).await.is_empty());
}
