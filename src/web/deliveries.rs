//! What senders sent, what became of it, and sending it again.

use std::str::from_utf8;

use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    http::header,
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    act::{Act, see},
    caller::{Reads, Responds},
    error::WebError,
    extract::Path,
    page,
    state::AppState,
    view::{
        delivery::{DeliveriesPage, DeliveryPage, ROWS_MAX, Row, WayPage, body_text},
        layout::Place,
        text,
    },
    way,
};
use crate::{
    domain::{id::DeliveryId, operator::Operator},
    intake::Format,
    receive::{
        counter::Handed,
        spool::record::{Head, Record},
    },
    store::{
        self, StoreError,
        deliveries::{self, Kept},
        sources,
    },
};

/// Bytes of a body that its page shows; the rest is in the file.
const SHOWN_BYTES_MAX: i32 = 64 * 1024;
/// Times it was sent again that its page shows.
const REPLAYS_MAX: i64 = 20;

/// The list's filter and place.
#[derive(Debug, Default, Deserialize)]
pub struct ListQuery {
    #[serde(default)]
    show: String,
    #[serde(default)]
    source: String,
    before: Option<i64>,
}

/// `GET /deliveries`
pub async fn list(
    State(app): State<AppState>,
    Reads(me): Reads,
    Query(query): Query<ListQuery>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let frame = page::frame(&app, &mut tx, &me, "Deliveries", Place::Deliveries, now).await?;
    let only_rejected = query.show == "rejected";
    let before = query.before.unwrap_or(i64::MAX);
    let limit = ROWS_MAX as i64 + 1;
    let mut lines = match query.source.as_str() {
        "" => deliveries::list(&mut tx, only_rejected, before, limit).await?,
        name => {
            let source = sources::find_by_name(&mut tx, name).await?;
            let source = source.ok_or_else(|| WebError::not_found("source"))?;
            deliveries::list_of_source(&mut tx, source.id, only_rejected, before, limit).await?
        }
    };
    let more = lines.len() > ROWS_MAX;
    lines.truncate(ROWS_MAX);
    let older = lines.last().filter(|_| more).map(|last| {
        let before = last.id.to_string();
        let parameters = [
            ("show", query.show.as_str()),
            ("source", query.source.as_str()),
            ("before", before.as_str()),
        ];
        text::with_query("/deliveries", &parameters)
    });
    let names = sources::list(&mut tx).await?;
    let page = DeliveriesPage {
        frame,
        rows: lines.iter().map(|line| Row::of(line, now)).collect(),
        only_rejected,
        older,
        sources: names.into_iter().map(|source| source.name).collect(),
        source: query.source,
    };
    Ok(Html(page.render()?))
}

/// `GET /deliveries/{id}`
pub async fn show(
    State(app): State<AppState>,
    Reads(me): Reads,
    Path(id): Path<DeliveryId>,
) -> Result<Html<String>, WebError> {
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let title = format!("Delivery {id}");
    let frame = page::frame(&app, &mut tx, &me, title, Place::Deliveries, now).await?;
    let kept = find(&mut tx, id, SHOWN_BYTES_MAX).await?;
    let replays = deliveries::list_replays(&mut tx, id, REPLAYS_MAX).await?;
    let present = match &kept.row.source {
        Some(name) => sources::find_by_name(&mut tx, name).await?,
        None => None,
    };
    let present = present.map(|source| source.settings.format.name());
    Ok(Html(
        DeliveryPage::of(frame, &kept, present, &replays, now).render()?,
    ))
}

async fn find(conn: &mut sqlx::PgConnection, id: DeliveryId, body_max: i32) -> Result<Kept, WebError> {
    let found = deliveries::find(conn, id, body_max).await?;
    found.ok_or_else(|| WebError::not_found("delivery"))
}

/// `GET /deliveries/{id}/body`: byte for byte, as a file that no browser will take for a page.
pub async fn body(
    State(app): State<AppState>,
    _: Responds,
    Path(id): Path<DeliveryId>,
) -> Result<Response, WebError> {
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let body = deliveries::find_body(&mut conn, id)
        .await?
        .ok_or_else(|| WebError::not_found("delivery"))?;
    let head = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"delivery-{id}.txt\""),
        ),
    ];
    Ok((head, body).into_response())
}

/// How a delivery is to be read when it is sent again.
#[derive(Debug, Deserialize)]
pub struct AgainForm {
    op: Uuid,
    /// As it came, when empty.
    #[serde(default)]
    format: String,
}

/// `POST /deliveries/{id}/replay`: sends it again, and answers with the stages of its way. Sent twice it leads to the page
/// of the delivery, which has the new one.
pub async fn replay(
    State(app): State<AppState>,
    Responds(me): Responds,
    Path(id): Path<DeliveryId>,
    Form(form): Form<AgainForm>,
) -> Result<Response, WebError> {
    let page_of = format!("/deliveries/{id}");
    let back = |error: WebError| error.with_next(page_of.as_str(), format!("Back to delivery {id}"));
    // The delivery commits by itself, so the operation is taken before it: rather not sent than sent twice.
    match Act::begin(&app, form.op, &me).await? {
        Some(act) => act.commit().await?,
        None => return Ok(see(page_of).into_response()),
    }
    let handed = send_again(&app, &me, id, &form.format).await.map_err(back)?;
    let now = app.clock.now();
    let mut tx = store::begin_reading(&app.db).await?;
    let title = format!("Delivery {id}, sent again");
    let frame = page::frame(&app, &mut tx, &me, title, Place::Deliveries, now).await?;
    let ways = [("Sent again", &handed)];
    let page = WayPage::of(frame, (&page_of, &format!("Delivery {id}")), &ways, "");
    Ok(Html(page.render()?).into_response())
}

/// Sends a kept delivery again through the counter, read as its source is set now; the new one names the old one.
pub async fn send_again(
    app: &AppState,
    me: &Operator,
    id: DeliveryId,
    format: &str,
) -> Result<Handed, WebError> {
    let counter = way::counter(app)?;
    let now = app.clock.now();
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let kept = find(&mut conn, id, i32::MAX).await?;
    let name = kept.row.source.as_deref();
    let (Some(name), false) = (name, kept.body.is_empty()) else {
        return Err(WebError::refused(
            "Nothing of it was kept that could be sent again: it was refused before its body was read.",
        ));
    };
    let source = way::open_source(&mut conn, name).await?;
    let format = match (format, kept.format.as_deref()) {
        ("", Some(came)) => came,
        ("", None) => source.settings.format.name(),
        (asked, _) => asked,
    };
    let format =
        Format::from_name(format).ok_or_else(|| WebError::unreadable("There is no format of that name."))?;
    drop(conn);
    let head = Head {
        source: source.id,
        format: format.name().to_owned(),
        remote: kept.row.remote,
        user_agent: format!("sent again by {}", text::cut(&me.name, 100)),
        received_at: now,
        headers: kept.headers,
        replay_of: Some(id),
        is_test: kept.row.is_test,
    };
    let record = Record {
        head,
        body: kept.body,
    };
    let mut handed = counter.hand_in(source, format, record, ()).await;
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    way::follow(&mut conn, &mut handed, now).await?;
    Ok(handed)
}

/// The beginning of a body as text, for JSON answers.
pub fn shown(kept: &Kept) -> String {
    match from_utf8(&kept.body) {
        Ok(text) => text.to_owned(),
        Err(_) => body_text(kept),
    }
}
