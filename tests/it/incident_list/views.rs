//! Views that people keep.

use axum::http::StatusCode;
use muster::domain::operator::Role;

use super::{Desk, rows};

#[tokio::test]
async fn a_view_is_mine_or_everybodys_and_may_be_what_my_list_opens_with() {
    let desk = Desk::new().await;
    desk.five().await;
    let (_, ben) = desk.site.person("ben", Role::Viewer).await;
    let worst = [("name", "Worst"), ("q", "state:open sev:1"), ("opening", "yes")];
    let kept = desk.act("/incidents/views", &worst).await;
    assert_eq!(
        kept.header("location"),
        "/incidents?q=state%3Aopen+sev%3A1",
        "{}",
        kept.text
    );
    assert_eq!(
        rows(&desk.get("/incidents").await.text),
        [3, 1],
        "the list opens with it"
    );
    let shared = [("name", "Ben's"), ("q", "owner:me"), ("shared", "yes")];
    desk.act_as(&ben, "/incidents/views", &shared).await;

    let mine = desk.get("/incidents").await.text;
    assert!(
        mine.contains("<bdi>Worst</bdi>") && mine.contains("<bdi>Ben&#39;s</bdi>"),
        "{mine}"
    );
    let his = desk.site.get("/incidents", &ben).await.text;
    assert!(
        !his.contains("<bdi>Worst</bdi>") && his.contains("<bdi>Ben&#39;s</bdi>"),
        "{his}"
    );

    // `owner:me` is whoever looks; and nobody removes what is another's.
    let open = desk.act("/incidents/views/2/open-with", &[]).await;
    assert_eq!(open.status, StatusCode::SEE_OTHER);
    assert_eq!(rows(&desk.get("/incidents").await.text), [3]);
    let refused = desk.act("/incidents/views/2/remove", &[]).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    let hidden = desk.act_as(&ben, "/incidents/views/1/open-with", &[]).await;
    assert_eq!(hidden.status, StatusCode::NOT_FOUND);

    // When it is gone the list opens as ever.
    desk.act_as(&ben, "/incidents/views/2/remove", &[]).await;
    assert_eq!(rows(&desk.get("/incidents").await.text), [5, 3, 2, 1]);
    desk.act("/incidents/views/1/open-with", &[]).await;
    desk.act("/incidents/views/open-with-open", &[]).await;
    assert_eq!(rows(&desk.get("/incidents").await.text), [5, 3, 2, 1]);
}

#[tokio::test]
async fn what_cannot_be_read_or_has_no_name_is_not_kept_and_a_name_is_kept_once() {
    let desk = Desk::new().await;
    desk.five().await;
    for wrong in [[("name", " "), ("q", "sev:1")], [("name", "x"), ("q", "sevv:1")]] {
        let refused = desk.act("/incidents/views", &wrong).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong:?}");
    }
    for query in ["sev:1", "sev:2"] {
        desk.act("/incidents/views", &[("name", "x"), ("q", query)]).await;
    }
    let kept = desk
        .site
        .intake
        .database
        .count("select count(*) from saved_views where query = 'sev:2'")
        .await;
    assert_eq!(kept, 1);
    let all = desk
        .site
        .intake
        .database
        .count("select count(*) from saved_views")
        .await;
    assert_eq!(all, 1);
}
