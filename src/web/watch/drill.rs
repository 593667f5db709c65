//! The page of a drill.

use super::{Found, morph};
use crate::{
    domain::id::DrillId,
    store::{self, StoreError, playing},
    web::{drills as drill_pages, error::WebError, live::Watcher, page, view::drill::show},
};

impl Watcher {
    pub(super) async fn look_at_drill(&self, id: DrillId) -> Result<Found, WebError> {
        let pulse = {
            let mut conn = self.app.db.acquire().await.map_err(StoreError::from)?;
            playing::pulse(&mut conn, id).await?
        };
        match pulse {
            None => return Ok(Found::NotThere),
            Some(pulse) if pulse == self.cursor => return Ok(Found::Nothing),
            Some(_) => {}
        }
        let now = self.app.clock.now();
        let mut tx = store::begin_reading(&self.app.db).await?;
        let Some(record) = drill_pages::load(&mut tx, &self.app, &self.me, id).await? else {
            return Ok(Found::NotThere);
        };
        let cursor = playing::pulse(&mut tx, id).await?.unwrap_or_default();
        let pending = page::pending(&mut tx).await?;
        drop(tx);
        let leads = drill_pages::leads(&self.me, &record.drill);
        let mut patches: Vec<_> = show::rendered(&record, &self.me, leads, now)?
            .into_iter()
            .map(|(target, html)| morph(target, html))
            .collect();
        patches.push(self.waiting(&pending));
        Ok(Found::Patches { patches, cursor })
    }
}
