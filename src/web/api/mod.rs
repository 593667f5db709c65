//! The JSON interface under `/api/v1`: the same reads and the same acts as the pages, and a document that describes
//! them at `/api/v1/openapi.json`. Signed in by the same cookie.

pub mod shapes;

pub mod approvals;
pub mod boots;
pub mod deliveries;
pub mod document;
pub mod fixtures;
pub mod folds;
pub mod incidents;
pub mod merges;
pub mod plans;
pub mod reasons;
pub mod reviews;
pub mod routing;
pub mod runbooks;
pub mod runs;
pub mod silences;
pub mod sources;
pub mod standing;
pub mod trials;

use axum::{Json, Router, routing::get};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::state::AppState;

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
fn parts() -> (Router<AppState>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(document::base())
        .routes(routes!(incidents::list))
        .routes(routes!(incidents::get))
        .routes(routes!(incidents::timeline))
        .routes(routes!(incidents::acknowledge))
        .routes(routes!(incidents::resolve))
        .routes(routes!(incidents::note))
        .routes(routes!(reasons::get))
        .routes(routes!(merges::merge))
        .routes(routes!(merges::unmerge))
        .routes(routes!(folds::fold))
        .routes(routes!(folds::unfold))
        .routes(routes!(silences::ask))
        .routes(routes!(silences::expire))
        .routes(routes!(silences::over))
        .routes(routes!(silences::still_firing))
        .routes(routes!(runs::get))
        .routes(routes!(fixtures::get))
        .routes(routes!(runs::start))
        .routes(routes!(runs::pause))
        .routes(routes!(runs::go_on))
        .routes(routes!(runs::stop))
        .routes(routes!(runs::undo))
        .routes(routes!(runs::resume))
        .routes(routes!(runs::skip))
        .routes(routes!(runs::done))
        .routes(routes!(runs::unknown))
        .routes(routes!(approvals::list))
        .routes(routes!(approvals::get))
        .routes(routes!(approvals::decide))
        .routes(routes!(approvals::send_back))
        .routes(routes!(approvals::withdraw))
        .routes(routes!(approvals::break_glass))
        .routes(routes!(reviews::list))
        .routes(routes!(reviews::close))
        .routes(routes!(runbooks::list))
        .routes(routes!(runbooks::get))
        .routes(routes!(plans::get))
        .routes(routes!(deliveries::list))
        .routes(routes!(trials::delivery))
        .routes(routes!(trials::replay))
        .routes(routes!(standing::paused, standing::pause))
        .routes(routes!(standing::resume))
        .routes(routes!(standing::breakers))
        .routes(routes!(standing::close_breaker))
        .routes(routes!(standing::freezes, standing::freeze))
        .routes(routes!(standing::end_freeze))
        .routes(routes!(standing::locks))
        .routes(routes!(standing::acts))
        .routes(routes!(sources::list, sources::make))
        .routes(routes!(sources::get, sources::change))
        .routes(routes!(sources::disable))
        .routes(routes!(sources::enable))
        .routes(routes!(sources::tokens, sources::issue))
        .routes(routes!(sources::revoke))
        .routes(routes!(trials::test))
        .routes(routes!(trials::attempt))
        .routes(routes!(routing::rules, routing::make))
        .routes(routes!(routing::end))
        .routes(routes!(routing::held))
        .routes(routes!(boots::list))
        .routes(routes!(boots::get))
        .split_for_parts()
}

/// The routes, below `/api/v1`.
pub fn router() -> Router<AppState> {
    let (router, document) = parts();
    let document = document::with_prefix(document);
    router.route("/openapi.json", get(move || async move { Json(document) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_names_every_route_and_the_intake() {
        let document = document::with_prefix(parts().1);
        let paths: Vec<&String> = document.paths.paths.keys().collect();
        assert_eq!(
            paths,
            [
                "/api/v1/acts",
                "/api/v1/approvals",
                "/api/v1/approvals/{id}",
                "/api/v1/approvals/{id}/break-glass",
                "/api/v1/approvals/{id}/decision",
                "/api/v1/approvals/{id}/send-back",
                "/api/v1/approvals/{id}/withdraw",
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
