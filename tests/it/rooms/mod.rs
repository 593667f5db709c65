//! The rooms around the incident: how pages look to whom, what is wrong with Muster, targets, settings, first steps.

mod away;
mod banner;
mod help;
mod preferences;
mod screen;
mod settings;
mod steps;
mod targets;

use crate::support::site::{Answer, Site};

/// A form with an operation of its own.
async fn post(site: &Site, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
    let op = uuid::Uuid::new_v4().to_string();
    let fields: Vec<(&str, &str)> = [("op", op.as_str())]
        .into_iter()
        .chain(fields.iter().copied())
        .collect();
    site.post(path, cookie, &fields).await
}
