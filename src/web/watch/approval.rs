//! The page of a request for a decision.

use askama::Template;

use super::{Found, morph};
use crate::{
    domain::id::ApprovalId,
    store::{self, StoreError, approvals},
    web::{
        approvals as approval_pages,
        error::WebError,
        live::Watcher,
        page,
        view::{decision::Others, gate::ApprovalFacts},
    },
};

impl Watcher {
    pub(super) async fn look_at_approval(&self, id: ApprovalId) -> Result<Found, WebError> {
        let incident = {
            let mut conn = self.app.db.acquire().await.map_err(StoreError::from)?;
            approvals::find(&mut conn, id)
                .await?
                .map(|approval| approval.incident)
        };
        let Some(incident) = incident else {
            return Ok(Found::NotThere);
        };
        if !self.has_news(incident).await? {
            return Ok(Found::Nothing);
        }
        let now = self.app.clock.now();
        let mut tx = store::begin_reading(&self.app.db).await?;
        let Some(record) = approval_pages::load(&mut tx, &self.app, id).await? else {
            return Ok(Found::NotThere);
        };
        let seq = record.run.incident.last_seq;
        let pending = page::pending(&mut tx).await?;
        drop(tx);
        let mut patches = vec![
            morph("facts", ApprovalFacts::of(&record, now).render()?),
            morph("others", Others::of(&record, &self.me, seq, now).render()?),
            self.waiting(&pending),
        ];
        if !record.is_open(now) {
            // Nothing can be decided any more: the form goes, even from under a finger.
            patches.push(morph("decision", String::new()));
        }
        Ok(Found::Patches {
            patches,
            cursor: seq.to_string(),
        })
    }
}
