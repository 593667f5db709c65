//! Incidents that come back too often, at the desk: they are said to flap once, and then stay open.

use chrono::{DateTime, Utc};

use super::{change::IncidentChange, desk::Desk, known::Home, rules::KeyHolder};
use crate::domain::{
    event::IncidentFact,
    flap::{Flap, FlapLimits},
    id::IncidentId,
    incident::{IncidentMove, IncidentState},
};

/// Why an alert comes back into an incident that was over for longer than is usual.
pub const STAYS: &str = "its group flaps: it came back too often for another incident";

/// What the timeline says of it.
pub fn fact(flap: Flap, limits: FlapLimits) -> IncidentFact {
    IncidentFact::Flapping {
        times: flap.times,
        first_at: flap.first_at,
        last_at: flap.last_at,
        calm_after: limits.calm_after(),
    }
}

impl Desk<'_> {
    /// Whether an incident flaps, or its group does, if something fires in it now.
    pub(super) fn would_flap(&mut self, id: IncidentId) -> Option<Flap> {
        let mut times: Vec<DateTime<Utc>> = match self.known.histories.get(&id) {
            Some(times) => times.clone(),
            None => {
                self.missing.histories.insert(id);
                Vec::new()
            }
        };
        times.push(self.now);
        self.patience.flap.seen(&times, self.now)
    }

    /// Whether a group whose last incident is over for long comes back into it all the same.
    pub(super) fn stays(&mut self, holder: &KeyHolder) -> bool {
        let since = self.now - self.patience.flap.within.as_delta();
        // What was over before that has no time that counts.
        holder.state == IncidentState::Resolved
            && holder.resolved_at.is_some_and(|at| at > since)
            && self.would_flap(holder.id).is_some()
    }

    /// Something fires in an incident that was recovering or over.
    pub(super) fn come_back(&mut self, id: IncidentId, change: &mut IncidentChange, name: String) {
        let reopened = change.now.state.after(IncidentMove::Reopen);
        if reopened.is_none() && change.now.recover_due.is_none() {
            return;
        }
        change.now.recover_due = None;
        change.reopened += 1;
        change.came_back = true;
        let home = Home::Known(id);
        let flapped = change.now.flapping_since.is_some();
        match reopened {
            Some(state) => {
                change.now.state = state;
                self.tell(home, IncidentFact::Reopened { name });
            }
            // While it flaps that is said once, not each time.
            None if flapped => {}
            None => self.tell(home, IncidentFact::RecoveryBroken { name }),
        }
        if flapped {
            return;
        }
        if let Some(flap) = self.would_flap(id) {
            change.now.flapping_since = Some(self.now);
            self.tell(home, fact(flap, self.patience.flap));
        }
    }
}
