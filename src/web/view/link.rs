//! The page that shows a link for one decision, once.

use askama::Template;

use super::{
    layout::Frame,
    parts::{At, Said},
};

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "approval/link.html")]
pub struct LinkPage {
    /// The frame.
    pub frame: Frame,
    /// The request it leads to.
    pub approval: i64,
    /// For whom it is.
    pub name: Said,
    /// Its address.
    pub url: String,
    /// When it ends.
    pub until: At,
}
