//! The JSON interface under `/api/v1`: the same reads and the same acts as the pages, and a document that describes
//! them at `/api/v1/openapi.json`. Signed in by the same cookie.

pub mod shapes;

pub mod access;
pub mod action_items;
pub mod approvals;
pub mod audit;
pub mod boots;
pub mod deliveries;
pub mod document;
pub mod drills;
pub mod duties;
pub mod fixtures;
pub mod folds;
pub mod incidents;
pub mod merges;
pub mod people;
pub mod plans;
pub mod publishing;
pub mod reasons;
pub mod reviews;
pub mod routing;
pub mod runbooks;
pub mod runs;
pub mod silences;
pub mod sources;
pub mod standing;
pub mod tokens;
pub mod trials;
pub mod words;

use axum::Router;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    links,
    routes::{Documented, Route, described},
    state::AppState,
};

/// Rows of an answer unless it is asked for fewer; never more.
pub const ROWS_MAX: i64 = 100;

/// Which rows of a list.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Rows older than this one: the `next` of the answer before.
    pub before: Option<i64>,
    /// How many rows, 1 to 100.
    pub limit: Option<i64>,
}

impl PageQuery {
    /// The place to read from.
    pub fn before(&self) -> i64 {
        self.before.unwrap_or(i64::MAX)
    }

    /// How many rows.
    pub fn limit(&self) -> i64 {
        self.limit.unwrap_or(ROWS_MAX).clamp(1, ROWS_MAX)
    }
}

/// The routes and their document.
fn parts() -> Documented {
    Documented::new(document::base())
        .with(described!(incidents::list))
        .with(described!(incidents::get))
        .with(described!(incidents::timeline))
        .with(described!(incidents::acknowledge))
        .with(described!(incidents::resolve))
        .with(described!(incidents::mitigate))
        .with(described!(incidents::close))
        .with(described!(incidents::set_severity))
        .with(described!(incidents::note))
        .with(described!(words::correct))
        .with(described!(words::impact))
        .with(described!(words::update))
        .with(described!(words::pin))
        .with(described!(words::unpin))
        .with(described!(duties::give))
        .with(described!(duties::lay_down))
        .with(described!(reasons::get))
        .with(described!(merges::merge))
        .with(described!(merges::unmerge))
        .with(described!(folds::fold))
        .with(described!(folds::unfold))
        .with(described!(silences::ask))
        .with(described!(silences::expire))
        .with(described!(silences::over))
        .with(described!(silences::still_firing))
        .with(described!(runs::get))
        .with(described!(fixtures::get))
        .with(described!(runs::start))
        .with(described!(runs::pause))
        .with(described!(runs::go_on))
        .with(described!(runs::stop))
        .with(described!(runs::undo))
        .with(described!(runs::resume))
        .with(described!(runs::skip))
        .with(described!(runs::done))
        .with(described!(runs::unknown))
        .with(described!(approvals::list))
        .with(described!(approvals::get))
        .with(described!(approvals::decide))
        .with(described!(approvals::send_back))
        .with(described!(approvals::read_again))
        .with(described!(approvals::ask))
        .with(described!(approvals::withdraw))
        .with(described!(approvals::break_glass))
        .with(described!(links::make))
        .with(described!(audit::list))
        .with(described!(reviews::list))
        .with(described!(reviews::close))
        .with(described!(runbooks::list))
        .with(described!(runbooks::get))
        .with(described!(runbooks::covered))
        .with(described!(publishing::list))
        .with(described!(publishing::get))
        .with(described!(publishing::approve))
        .with(described!(publishing::send_back))
        .with(described!(publishing::withdraw))
        .with(described!(access::get))
        .with(described!(plans::get))
        .with(described!(deliveries::list))
        .with(described!(trials::delivery))
        .with(described!(trials::replay))
        .with(described!(standing::paused))
        .with(described!(standing::pause))
        .with(described!(standing::resume))
        .with(described!(standing::breakers))
        .with(described!(standing::open_breaker))
        .with(described!(standing::close_breaker))
        .with(described!(standing::freezes))
        .with(described!(standing::freeze))
        .with(described!(standing::end_freeze))
        .with(described!(standing::locks))
        .with(described!(standing::acts))
        .with(described!(sources::list))
        .with(described!(sources::make))
        .with(described!(sources::get))
        .with(described!(sources::change))
        .with(described!(sources::disable))
        .with(described!(sources::enable))
        .with(described!(sources::tokens))
        .with(described!(sources::issue))
        .with(described!(sources::revoke))
        .with(described!(trials::test))
        .with(described!(trials::attempt))
        .with(described!(routing::rules))
        .with(described!(routing::make))
        .with(described!(routing::end))
        .with(described!(routing::held))
        .with(described!(boots::list))
        .with(described!(boots::get))
        .with(described!(people::list))
        .with(described!(people::invite))
        .with(described!(people::invite_again))
        .with(described!(people::set_role))
        .with(described!(people::set_teams))
        .with(described!(people::disable))
        .with(described!(people::enable))
        .with(described!(people::end_sessions))
        .with(described!(people::list_teams))
        .with(described!(people::make_team))
        .with(described!(people::end_team))
        .with(described!(tokens::list))
        .with(described!(tokens::make))
        .with(described!(tokens::revoke))
        .with(described!(drills::list))
        .with(described!(drills::due))
        .with(described!(drills::get))
        .with(described!(drills::score))
        .with(described!(drills::reenact))
        .with(described!(action_items::list))
        .with(described!(action_items::make))
        .with(described!(action_items::close))
        .with(described!(document::get))
}

/// The routes, below `/api/v1`.
pub fn router() -> Router<AppState> {
    parts().into_parts().0
}

/// The routes with what their callers need, as they are asked for.
pub fn table() -> Vec<Route> {
    let below = |route: Route| Route {
        path: format!("{}{}", document::PREFIX, route.path),
        ..route
    };
    parts().into_parts().2.into_iter().map(below).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_document_names_every_route_and_the_intake() {
        let document = document::whole();
        let named: BTreeSet<&str> = document.paths.paths.keys().map(String::as_str).collect();
        let table = table();
        let mut routes: BTreeSet<&str> = table.iter().map(|route| route.path.as_str()).collect();
        routes.extend([
            "/api/v1/runbooks/{slug}/plan",
            "/api/v1/sources/{source}/alertmanager",
        ]);
        assert_eq!(named, routes);
    }
}
