//! The web room: pages for people, JSON for programs, both from the same reads and the same acts.
//!
//! [`router`] is the whole route table. [`session`] says who is asking, [`act`] how a form becomes a change, [`error`]
//! is every refusal with its status and [`dress`] makes a page of it, [`live`] keeps an open page up to date, [`view`] is
//! what is shown.

pub mod act;
pub mod arrival;
pub mod dress;
pub mod error;
pub mod extract;
pub mod nul;
pub mod page;
pub mod session;
pub mod state;
pub mod throttle;

pub mod view;

pub mod api;
pub mod approvals;
pub mod assets;
pub mod boots;
pub mod controls;
pub mod deliveries;
pub mod fixtures;
pub mod folds;
pub mod incident;
pub mod incidents;
pub mod live;
pub mod me;
pub mod merges;
pub mod plans;
pub mod postmortem;
pub mod reasons;
pub mod respond;
pub mod resume;
pub mod reviews;
pub mod routing;
pub mod runbooks;
pub mod runs;
pub mod sign_in;
pub mod silences;
pub mod source_form;
pub mod sources;
pub mod standing;
pub mod system;
pub mod trial;
pub mod watch;
pub mod way;

pub mod health;
pub mod hooks;
pub mod server;
pub mod tls;

use std::time::Duration;

use axum::{
    Router,
    extract::{DefaultBodyLimit, OriginalUri, Request},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use tower_http::{
    catch_panic::CatchPanicLayer, compression::CompressionLayer, csrf::CsrfLayer, timeout::TimeoutLayer,
};

use self::{error::WebError, state::AppState};
use crate::execute::rehearse::REHEARSAL_MAX;

/// How long a page may take; a live stream may go on.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// How long the answer of a rehearsal may take; the rehearsal itself ends before.
const REHEARSAL_ANSWER_MAX: Duration = Duration::from_millis(REHEARSAL_MAX.as_millis() + 10_000);

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      font-src 'none'; manifest-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types live";

/// Every address of the pages and the JSON interface, with the guards around them.
pub fn router(state: AppState) -> Router {
    let pages = Router::new()
        .route("/", get(incidents::home))
        .route("/login", get(sign_in::login_form).post(sign_in::login))
        .route("/logout", post(sign_in::logout))
        .route(
            "/login/recovery",
            get(sign_in::recovery::form).post(sign_in::recovery::enter),
        )
        .route("/login/passkey", post(sign_in::passkey::sign_in))
        .route("/login/passkey/challenge", post(sign_in::passkey::challenge))
        .route("/setup", get(sign_in::set_up::form).post(sign_in::set_up::set_up))
        .route(
            "/enter/{code}",
            get(sign_in::link::form).post(sign_in::link::enter),
        )
        .route("/me", get(me::show))
        .route("/me/password", post(me::change_password))
        .route("/me/recovery-codes", post(me::make_codes))
        .route("/me/passkeys", post(me::passkeys::add))
        .route("/me/passkeys/challenge", post(me::passkeys::challenge))
        .route("/me/passkeys/{id}/remove", post(me::passkeys::remove))
        .route("/me/sessions/{id}/end", post(me::end_session))
        .route("/me/sessions/end-others", post(me::end_others))
        .route("/incidents", get(incidents::list))
        .route("/incidents/{id}", get(incident::show))
        .route("/incidents/{id}/acknowledge", post(respond::acknowledge))
        .route("/incidents/{id}/mitigate", post(respond::mitigate))
        .route("/incidents/{id}/resolve", post(respond::resolve))
        .route("/incidents/{id}/close", post(respond::close))
        .route("/incidents/{id}/severity", post(respond::set_severity))
        .route("/incidents/{id}/notes", post(respond::note))
        .route("/incidents/{id}/merge", get(merges::form).post(merges::merge))
        .route("/incidents/{id}/unmerge", post(merges::unmerge))
        .route("/incidents/{id}/fold", get(folds::form).post(folds::fold))
        .route("/incidents/{id}/unfold", post(folds::unfold))
        .route("/incidents/{id}/silences", post(silences::ask))
        .route(
            "/incidents/{id}/silences/{silence}/expire",
            post(silences::expire),
        )
        .route("/incidents/{id}/alerts/{alert}/over", post(silences::over))
        .route(
            "/incidents/{id}/alerts/{alert}/still-firing",
            post(silences::still_firing),
        )
        .route("/incidents/{id}/runs", post(runs::start))
        .route("/incidents/{id}/runs/new", get(runs::new_form))
        .route("/incidents/{id}/runbooks", get(reasons::show))
        .route("/incidents/{id}/postmortem", get(postmortem::show))
        .route("/incidents/{id}/postmortem.md", get(postmortem::markdown))
        .route("/runs/{id}", get(runs::show))
        .route("/runs/{id}/fixture", get(fixtures::save))
        .route("/runs/{id}/pause", post(controls::pause))
        .route("/runs/{id}/go-on", post(controls::go_on))
        .route("/runs/{id}/stop", post(controls::stop))
        .route("/runs/{id}/undo", post(controls::undo))
        .route("/runs/{id}/skip", post(controls::skip))
        .route("/runs/{id}/resume", get(resume::form).post(resume::resume))
        .route("/runs/{id}/steps/{step}/done", post(controls::manual_done))
        .route("/runs/{id}/steps/{step}/unknown", post(controls::decide_unknown))
        .route("/approvals", get(approvals::inbox))
        .route("/approvals/{id}", get(approvals::show))
        .route("/approvals/{id}/decision", post(approvals::decide))
        .route("/approvals/{id}/send-back", post(approvals::send_back))
        .route("/approvals/{id}/withdraw", post(approvals::withdraw))
        .route(
            "/approvals/{id}/break-glass",
            get(approvals::glass_form).post(approvals::break_glass),
        )
        .route("/reviews/{id}/close", post(reviews::close))
        .route("/runbooks", get(runbooks::list))
        .route("/runbooks/{slug}", get(runbooks::show))
        .route("/runbooks/{slug}/plan", get(plans::show))
        .route("/deliveries", get(deliveries::list))
        .route("/deliveries/{id}", get(deliveries::show))
        .route("/deliveries/{id}/replay", post(deliveries::replay))
        .route("/deliveries/{id}/body", get(deliveries::body))
        .route("/sources", get(sources::list))
        .route("/sources/new", get(sources::new_form).post(sources::make))
        .route("/sources/{name}", get(sources::show).post(sources::change))
        .route("/sources/{name}/disable", post(sources::disable))
        .route("/sources/{name}/enable", post(sources::enable))
        .route("/sources/{name}/test", post(trial::test))
        .route("/sources/{name}/try", post(trial::attempt))
        .route("/sources/{name}/tokens", post(sources::issue))
        .route("/sources/{name}/tokens/{id}/revoke", post(sources::revoke))
        .route("/routing", get(routing::show))
        .route("/routing/rules", post(routing::make))
        .route("/routing/rules/{id}/end", post(routing::end))
        .route("/system", get(system::show))
        .route("/system/pause", post(standing::pause))
        .route("/system/resume", post(standing::resume))
        .route("/system/circuits/{target}/close", post(standing::close_breaker))
        .route("/system/freezes", post(standing::freeze))
        .route("/system/freezes/{id}/end", post(standing::end_freeze))
        .route("/system/boots", get(boots::list))
        .route("/system/boots/{id}", get(boots::show))
        .route("/static/{file}", get(assets::get));

    let in_time = |limit| TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, limit);
    // These ask targets, within a limit of their own.
    let outward = Router::new()
        .route("/runbooks/{slug}/plan", post(plans::run))
        .route("/api/v1/runbooks/{slug}/plan", post(api::plans::run))
        .layer(DefaultBodyLimit::max(dress::FORM_BYTES_MAX))
        .layer(in_time(REHEARSAL_ANSWER_MAX));

    let csrf = csrf(&state);
    Router::new()
        .merge(pages)
        .nest("/api/v1", api::router())
        .fallback(nothing_here)
        .layer(DefaultBodyLimit::max(dress::FORM_BYTES_MAX))
        .layer(in_time(ANSWER_MAX))
        .merge(outward)
        // A stream goes on for hours, so it stands outside the limit of time.
        .route("/live", get(live::get))
        .layer(csrf)
        .layer(CatchPanicLayer::custom(dress::from_panic))
        .layer(middleware::from_fn_with_state(state.clone(), dress::dress))
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn(guard_headers))
        .with_state(state)
}

/// Changes come only from our own pages: by what the browser says of the request's origin, so no form needs a token.
fn csrf(state: &AppState) -> CsrfLayer {
    let layer = CsrfLayer::new();
    let origin = state
        .public_url
        .as_ref()
        .map(|url| url.origin().ascii_serialization());
    match origin.map(|origin| layer.clone().add_trusted_origin(origin)) {
        Some(Ok(layer)) => layer,
        _ => layer,
    }
}

/// What every answer says to the browser. A page is never kept by a cache; a handler that knows better says so itself.
async fn guard_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// An address nobody has; one that only has a slash too many leads to the one without.
async fn nothing_here(OriginalUri(uri): OriginalUri) -> Response {
    let path = uri.path();
    let trimmed = path.trim_end_matches('/');
    // `//host/` would lead to another site.
    if trimmed.len() < path.len() && !trimmed.is_empty() && !trimmed.starts_with("//") {
        let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
        return Redirect::permanent(&format!("{trimmed}{query}")).into_response();
    }
    WebError::not_found("page").into_response()
}
