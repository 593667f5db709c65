//! The page of an incident: its sections, the rows that came, and notes that read otherwise since.

use askama::Template;
use chrono::{DateTime, Utc};

use super::{Found, Mode, Patch, morph};
use crate::{
    domain::{access::may, event::Recorded, permission::Permission, titles::Titles},
    store::cursors::Cursor,
    web::{
        audience::{Asked, Audience, News},
        error::WebError,
        live::Watcher,
        view::{
            event_row::{EventItem, Reader},
            incident::{AgePart, Part, Sections},
            lens::Lens,
            parts::at,
            timeline::{ChipsPart, PinsPart},
        },
    },
};

impl Watcher {
    pub(super) async fn look_at_incident(
        &mut self,
        audience: &Audience,
        lens: &Lens,
        rows: bool,
        asked: Asked,
    ) -> Result<Found, WebError> {
        let cursor = Cursor::read(&self.cursor);
        // What could not be read the last time is shown as soon as it can be, whether there is news or not.
        let from = self.old.is_empty().then_some(cursor);
        let scene = match audience.look(&self.app, from, asked).await? {
            News::Nothing => {
                self.looked = self.app.clock.now();
                return Ok(Found::Nothing);
            }
            News::NotThere => return Ok(Found::NotThere),
            News::Scene(scene) => scene,
        };
        let Some(news) = scene.after(cursor.seq) else {
            return Ok(Found::TooMuch);
        };
        let now = self.app.clock.now();
        self.prints = scene.record.live_runs().next().is_some();
        let sections = Sections::of(&scene.record, lens, &self.me, now);
        let mut patches = Vec::new();
        for (target, html) in sections.rendered()? {
            patches.extend(self.aged(target, html.is_some(), now)?);
            patches.extend(html.map(|html| morph(target, html)));
        }
        self.looked = now;
        let mut pinned = Vec::new();
        if let Part::Here(section) = sections.timeline {
            let timeline = section.timeline;
            pinned.extend(timeline.pinned.iter().map(|row| row.seq));
            let pins = PinsPart {
                timeline: timeline.clone(),
            };
            patches.push(morph("pins", pins.render()?));
            patches.push(morph("chips", ChipsPart { timeline }.render()?));
        }
        let untitled = Titles::default();
        let around = scene.record.timeline.as_ref();
        let reader = Reader {
            incident: audience.incident,
            pinned: &pinned,
            corrections: &scene.corrected.corrections,
            titles: around.map_or(&untitled, |around| &around.titles),
            may_act: may(&self.me, Permission::Respond).is_ok(),
            now,
        };
        for note in scene.corrected_by(news) {
            patches.push(morph(format!("e{}", note.seq), reader.row(note).render()?));
        }
        if rows {
            let mut html = String::new();
            let shown = |recorded: &&Recorded| lens.filter.shows(&recorded.event);
            for recorded in news.iter().rev().filter(shown) {
                let row = reader.row(recorded);
                html.push_str(&EventItem { row }.render()?);
            }
            if !html.is_empty() {
                patches.push(Patch {
                    target: "events".into(),
                    mode: Mode::Prepend,
                    html,
                });
            }
        }
        patches.push(self.waiting(&scene.pending));
        Ok(Found::Patches {
            patches,
            cursor: scene.cursor.to_string(),
        })
    }

    /// What stands above a section: how old it is, while it cannot be read.
    fn aged(
        &mut self,
        section: &'static str,
        is_fresh: bool,
        now: DateTime<Utc>,
    ) -> Result<Option<Patch>, WebError> {
        let target = format!("{section}-age");
        if is_fresh {
            let was_old = self.old.remove(section).is_some();
            return Ok(was_old.then(|| morph(target, String::new())));
        }
        let from = at(*self.old.entry(section).or_insert(self.looked), now);
        Ok(Some(morph(target, AgePart { from }.render()?)))
    }
}
