//! Drills as calendars read them (RFC 5545).

use chrono::{DateTime, Utc};
use icalendar::{Calendar, Component, Event, EventLike, EventStatus};
use uuid::Uuid;

use crate::{domain::drill::name, store::playing::Appointment};

/// What calendars call the list.
const TITLE: &str = "Muster drills";

/// The text of a calendar. `base` is where people reach this Muster, if that is known; `installation` tells its drills from
/// those of others.
pub fn text(
    appointments: &[Appointment],
    installation: Uuid,
    base: Option<&str>,
    now: DateTime<Utc>,
) -> String {
    let mut calendar = Calendar::new();
    calendar.name(TITLE);
    for appointment in appointments {
        calendar.push(event(appointment, installation, base, now));
    }
    calendar.done().to_string()
}

fn event(appointment: &Appointment, installation: Uuid, base: Option<&str>, now: DateTime<Utc>) -> Event {
    let called = name(appointment.drill);
    let mut event = Event::new();
    event
        .uid(&format!("{called}.{installation}"))
        .timestamp(now)
        .starts(appointment.at)
        .ends(appointment.at + appointment.length.as_delta())
        .summary(&format!("DRILL: {} ({called})", appointment.title))
        .description(&format!(
            "It is practice; nothing real is touched.\n\n{}",
            appointment.brief
        ))
        .status(match appointment.is_cancelled {
            true => EventStatus::Cancelled,
            false => EventStatus::Confirmed,
        });
    if let Some(base) = base {
        let base = base.trim_end_matches('/');
        event.url(&format!("{base}/drills/{}", appointment.drill));
    }
    event.done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{id::DrillId, span::Span};

    #[test]
    fn an_appointment_is_escaped_and_keeps_its_name() {
        let at = "2026-03-01T12:00:00Z".parse().unwrap();
        let one = |is_cancelled| Appointment {
            drill: DrillId(17),
            title: "Primary, dead; again".to_owned(),
            brief: "You are on call.".to_owned(),
            length: Span::from_secs(480),
            at,
            is_cancelled,
        };
        let text = text(&[one(false)], Uuid::nil(), Some("https://muster.example/"), at);
        for line in [
            "UID:DRILL-17.00000000-0000-0000-0000-000000000000\r\n",
            "DTSTART:20260301T120000Z\r\n",
            "DTEND:20260301T120800Z\r\n",
            "SUMMARY:DRILL: Primary\\, dead\\; again (DRILL-17)\r\n",
            "STATUS:CONFIRMED\r\n",
            "URL:https://muster.example/drills/17\r\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        let called_off = super::text(&[one(true)], Uuid::nil(), None, at);
        assert!(called_off.contains("STATUS:CANCELLED\r\n") && !called_off.contains("URL:"));
    }
}
