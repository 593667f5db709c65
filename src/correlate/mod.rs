//! Correlation: which reports of a delivery mean something new, and which incident they belong to. Reads and locks;
//! `incident` writes.

pub mod rules;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{
    domain::{
        alert::{AlertReport, Fingerprint, Reading, read},
        digest::Digest,
        id::{AlertId, EpisodeId, IncidentId, SourceId},
    },
    store::{
        StoreError,
        alerts::{self, PlacedEpisode},
    },
};

/// Where new episodes of a sender's group look for an open incident.
pub fn key(source: SourceId, receiver: &str, group_key: &str) -> Digest {
    Digest::of_json(&serde_json::json!([source, receiver, group_key]))
}

/// One report, read against what is known of its alert.
#[derive(Clone, Debug)]
pub struct Sighting<'a> {
    /// Which alert.
    pub alert: AlertId,
    /// What was reported.
    pub report: &'a AlertReport,
    /// What it means.
    pub reading: Reading,
    /// The alert's latest firing period and its incident.
    pub episode: Option<PlacedEpisode>,
}

impl Sighting<'_> {
    /// The incident the alert is in, when that is still open: it stays there, whatever its group key does.
    pub fn open_incident(&self) -> Option<IncidentId> {
        self.episode
            .as_ref()
            .filter(|episode| episode.incident_state.is_open())
            .map(|episode| episode.incident)
    }

    /// The alert's latest firing period.
    pub fn episode_id(&self) -> Option<EpisodeId> {
        self.episode.as_ref().map(|episode| episode.id)
    }
}

/// Locks the alerts of a delivery, making those that are new, and reads every report against what is known. `reports`
/// are sorted by fingerprint, each alert once.
pub async fn survey<'a>(
    conn: &mut PgConnection,
    source: SourceId,
    reports: &'a [AlertReport],
    received_at: DateTime<Utc>,
) -> Result<Vec<Sighting<'a>>, StoreError> {
    let fingerprints: Vec<Fingerprint> = reports.iter().map(|report| report.fingerprint).collect();
    let mut known = alerts::lock(conn, source, &fingerprints).await?;
    if known.len() < reports.len() {
        alerts::insert_unknown(conn, source, reports, received_at).await?;
        known = alerts::lock(conn, source, &fingerprints).await?;
    }
    let mut sightings: Vec<Sighting<'a>> = Vec::with_capacity(reports.len());
    for (report, known) in reports.iter().zip(known) {
        let known_episode = known.episode.as_ref().map(|episode| &episode.known);
        let reading = read(known_episode, report, received_at, known.last_received_at);
        sightings.push(Sighting {
            alert: known.id,
            report,
            reading,
            episode: known.episode,
        });
    }
    let fresh: Vec<(AlertId, &AlertReport)> = sightings
        .iter()
        .filter(|sighting| sighting.reading != Reading::Superseded)
        .map(|sighting| (sighting.alert, sighting.report))
        .collect();
    alerts::refresh(conn, &fresh, received_at).await?;
    Ok(sightings)
}
