//! Incidents: opening, joining and recovering them as alerts come and go, and what people do to them.

pub mod by_hand;
pub mod corrections;
pub mod duties;
pub mod fold;
pub mod membership;
pub mod merge;
pub mod pins;
pub mod respond;
pub mod silencing;
pub mod staleness;
pub mod taking_back;
pub mod visits;
pub mod words;
