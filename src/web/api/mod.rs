//! The JSON interface under `/api/v1`: the same reads and the same acts as the pages, and a document that describes
//! them at `/api/v1/openapi.json`. Signed in by the same cookie.

pub mod shapes;

pub mod access;
pub mod approvals;
pub mod audit;
pub mod boots;
pub mod deliveries;
pub mod document;
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
        .with(described!(incidents::note))
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
        .with(described!(approvals::withdraw))
        .with(described!(approvals::break_glass))
        .with(described!(links::make))
        .with(described!(audit::list))
        .with(described!(reviews::list))
        .with(described!(reviews::close))
        .with(described!(runbooks::list))
        .with(described!(runbooks::get))
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
    use super::*;

    #[test]
    fn the_document_names_every_route_and_the_intake() {
        let document = document::whole();
        let paths: Vec<&String> = document.paths.paths.keys().collect();
        assert_eq!(
            paths,
            [
                "/api/v1/access",
                "/api/v1/acts",
                "/api/v1/approvals",
                "/api/v1/approvals/{id}",
                "/api/v1/approvals/{id}/break-glass",
                "/api/v1/approvals/{id}/decision",
                "/api/v1/approvals/{id}/links",
                "/api/v1/approvals/{id}/send-back",
                "/api/v1/approvals/{id}/withdraw",
                "/api/v1/audit",
                "/api/v1/boots",
                "/api/v1/boots/{id}",
                "/api/v1/circuits",
                "/api/v1/circuits/{target}/close",
                "/api/v1/deliveries",
                "/api/v1/deliveries/{id}",
                "/api/v1/deliveries/{id}/replay",
                "/api/v1/freezes",
                "/api/v1/freezes/{id}/end",
                "/api/v1/incidents",
                "/api/v1/incidents/{id}",
                "/api/v1/incidents/{id}/acknowledge",
                "/api/v1/incidents/{id}/alerts/{alert}/over",
                "/api/v1/incidents/{id}/alerts/{alert}/still-firing",
                "/api/v1/incidents/{id}/fold",
                "/api/v1/incidents/{id}/merge",
                "/api/v1/incidents/{id}/notes",
                "/api/v1/incidents/{id}/resolve",
                "/api/v1/incidents/{id}/runbooks",
                "/api/v1/incidents/{id}/runs",
                "/api/v1/incidents/{id}/silences",
                "/api/v1/incidents/{id}/silences/{silence}/expire",
                "/api/v1/incidents/{id}/timeline",
                "/api/v1/incidents/{id}/unfold",
                "/api/v1/incidents/{id}/unmerge",
                "/api/v1/locks",
                "/api/v1/pause",
                "/api/v1/resume",
                "/api/v1/reviews",
                "/api/v1/reviews/{id}/close",
                "/api/v1/routing/held",
                "/api/v1/routing/rules",
                "/api/v1/routing/rules/{id}/end",
                "/api/v1/runbooks",
                "/api/v1/runbooks/{slug}",
                "/api/v1/runbooks/{slug}/plan",
                "/api/v1/runbooks/{slug}/proposals",
                "/api/v1/runbooks/{slug}/proposals/{id}",
                "/api/v1/runbooks/{slug}/proposals/{id}/approve",
                "/api/v1/runbooks/{slug}/proposals/{id}/send-back",
                "/api/v1/runbooks/{slug}/proposals/{id}/withdraw",
                "/api/v1/runs/{id}",
                "/api/v1/runs/{id}/fixture",
                "/api/v1/runs/{id}/go-on",
                "/api/v1/runs/{id}/pause",
                "/api/v1/runs/{id}/resume",
                "/api/v1/runs/{id}/steps/{step}/done",
                "/api/v1/runs/{id}/steps/{step}/skip",
                "/api/v1/runs/{id}/steps/{step}/unknown",
                "/api/v1/runs/{id}/stop",
                "/api/v1/runs/{id}/undo",
                "/api/v1/sources",
                "/api/v1/sources/{source}",
                "/api/v1/sources/{source}/alertmanager",
                "/api/v1/sources/{source}/disable",
                "/api/v1/sources/{source}/enable",
                "/api/v1/sources/{source}/test",
                "/api/v1/sources/{source}/tokens",
                "/api/v1/sources/{source}/tokens/{id}/revoke",
                "/api/v1/sources/{source}/try",
            ]
        );
        let plan = &document.paths.paths["/api/v1/runbooks/{slug}/plan"];
        assert!(plan.get.is_some() && plan.post.is_some());
    }
}
