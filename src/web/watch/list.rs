//! The list of incidents and the inbox of approvals.

use std::time::Duration;

use askama::Template;
use tokio::time::Instant;

use super::{Found, morph};
use crate::{
    store::{self, StoreError, incident_list::Facets},
    web::{
        approvals as approval_pages, error::WebError, incidents as list_page, live::Watcher, page,
        view::search::Filters,
    },
};

/// How long the counts around the list stand while its rows go on changing.
const COUNTED_FOR: Duration = Duration::from_secs(2);

/// The counts around an open list.
pub(in crate::web) struct Counted {
    at: Instant,
    facets: Facets,
    /// Whether rows have changed since.
    is_old: bool,
}

impl Watcher {
    pub(super) async fn look_at_list(
        &mut self,
        query: Option<&list_page::ListQuery>,
    ) -> Result<Found, WebError> {
        let now = self.app.clock.now();
        let mut conn = self.app.db.acquire().await.map_err(StoreError::from)?;
        let drills = query.is_none_or(|query| list_page::wants_drills(&query.asked(&[])));
        let is_owed = |counted: &Counted| counted.is_old && counted.at.elapsed() >= COUNTED_FOR;
        if list_page::cursor(&mut conn, drills).await? == self.cursor
            && !self.counted.as_ref().is_some_and(is_owed)
        {
            return Ok(Found::Nothing);
        }
        drop(conn);
        let mut tx = store::begin_reading(&self.app.db).await?;
        let cursor = list_page::cursor(&mut tx, drills).await?;
        let pending = page::pending(&mut tx).await?;
        let mut patches = vec![self.waiting(&pending)];
        match query {
            Some(query) => {
                let needs = list_page::needs(&mut tx, &self.me, now).await?;
                patches.push(morph("needs", needs.render()?));
                let mut asked = query.asked(&[]);
                let counted = self
                    .counted
                    .take()
                    .filter(|counted| counted.at.elapsed() < COUNTED_FOR);
                let (at, known) = counted.map_or((Instant::now(), None), |counted| {
                    (counted.at, Some(counted.facets))
                });
                let is_old = known.is_some();
                let listed = list_page::listed(&mut tx, &self.me, &mut asked, (&[], known), now).await?;
                patches.push(morph(
                    "filters",
                    Filters::of(&asked, listed.facets.as_ref()).render()?,
                ));
                patches.push(morph("list", listed.list.render()?));
                self.counted = listed.facets.map(|facets| Counted { at, facets, is_old });
            }
            None => {
                let inbox = approval_pages::read_inbox(&mut tx, &self.me, now).await?;
                patches.push(morph("inbox", inbox.render()?));
            }
        }
        Ok(Found::Patches { patches, cursor })
    }
}
