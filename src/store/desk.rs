//! What correlation reads and writes for a batch of deliveries: a statement each, whatever the number of alerts.

pub mod alerts;
pub mod incidents;

use super::StoreError;
use crate::domain::incident::IncidentState;

fn state_of(text: &str) -> Result<IncidentState, StoreError> {
    IncidentState::named(text).ok_or_else(|| StoreError::corrupt("incidents", "state", text))
}
