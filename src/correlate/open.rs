//! The incident of a group at the desk: the open one, the last one that comes back, or a new one, with how bad it is.

use super::{
    change::{GroupName, Opening},
    desk::Desk,
    flap,
    known::Home,
    route::Word,
    rules::{KeyHolder, Placement, place},
};
use crate::domain::{
    alert::headline,
    digest::Digest,
    event::{IncidentFact, NewEvent},
    operator::Actor,
};

impl<'a> Desk<'a> {
    /// The newest incident of a group that existed before the batch.
    fn holder(&mut self, key: Digest) -> Option<KeyHolder> {
        let holder = match self.known.groups.get(&key) {
            Some(holder) => holder.as_ref().copied(),
            None => {
                self.missing.groups.insert(key);
                None
            }
        };
        // The lock is newer than the look.
        holder.map(|holder| KeyHolder {
            state: self.incident(holder.id).now.state,
            ..holder
        })
    }

    /// Whether the group has an open incident, one that the batch opens included.
    pub(super) fn has_open(&mut self, key: Digest) -> bool {
        self.opened.iter().any(|opened| opened.group.key == key)
            || self.holder(key).is_some_and(|holder| holder.state.is_open())
    }

    /// The incident that alerts of a group come into, and why that one.
    pub(super) fn find_home(
        &mut self,
        group: GroupName<'a>,
        alerts: &[Word<'a>],
        actor: &Actor,
    ) -> (Home, &'static str) {
        let at = self
            .opened
            .iter()
            .rposition(|opened| opened.group.key == group.key);
        if let Some(at) = at {
            return (Home::New(at), Placement::JOINED);
        }
        let holder = self.holder(group.key);
        let placement = place(holder.as_ref(), self.patience.reopen_within, self.now);
        let reason = placement.reason();
        let recurrence_of = match placement {
            Placement::Join(id) | Placement::Reopen(id) => return (Home::Known(id), reason),
            Placement::Open { recurrence_of } => recurrence_of,
        };
        if let Some(holder) = holder.filter(|holder| self.stays(holder)) {
            return (Home::Known(holder.id), flap::STAYS);
        }
        let flap = recurrence_of.and_then(|before| self.would_flap(before));
        let home = Home::New(self.opened.len());
        let rules = self.rules();
        let severity_of = |word: &Word<'_>| rules.severity(group.source, &word.labels);
        let Some(worst) = alerts.iter().min_by_key(|word| severity_of(word).0) else {
            return (home, reason);
        };
        let (severity, rule) = severity_of(worst);
        let title = headline(&worst.labels, &worst.annotations);
        let opened = IncidentFact::Opened {
            title: title.clone(),
            severity,
            reason: reason.to_owned(),
        };
        let ruled = rule.map(|rule| IncidentFact::SeverityRuled {
            severity,
            rule: rule.title.clone(),
        });
        let mut facts = vec![NewEvent::by(actor.clone(), opened, self.now)];
        let recurrence = recurrence_of.map(|of| IncidentFact::Recurrence { of });
        let flapping = flap.map(|flap| flap::fact(flap, self.patience.flap));
        for fact in ruled.into_iter().chain(recurrence).chain(flapping) {
            facts.push(NewEvent::automatic(fact, self.now));
        }
        self.facts.insert(home, facts);
        self.opened.push(Opening {
            group,
            title,
            severity,
            worst: worst.clone(),
            detected_at: worst.starts_at.min(self.now),
            recurrence_of,
            truncated: 0,
            flaps: flap.is_some(),
        });
        (home, reason)
    }
}
