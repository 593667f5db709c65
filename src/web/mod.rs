//! The web room: pages for people, JSON for programs, both from the same reads and the same acts.
//!
//! [`router`] is the whole route table. [`session`] says who is asking, [`act`] how a form becomes a change, [`error`]
//! is every refusal with its status and [`dress`] makes a page of it, [`live`] keeps an open page up to date, [`view`] is
//! what is shown.

pub mod access;
pub mod act;
pub mod action_items;
pub mod arrival;
pub mod caller;
pub mod candidates;
pub mod dress;
pub mod error;
pub mod extract;
pub mod forwarded;
pub mod look;
pub mod nul;
mod output;
pub mod page;
pub mod routes;
pub mod session;
pub mod state;
pub mod throttle;

pub mod view;

pub mod api;
pub mod approvals;
pub mod assets;
pub mod audience;
pub mod audit;
pub mod badge;
pub mod boots;
pub mod bulk;
pub mod bulk_forms;
pub mod bundle;
pub mod checking;
pub mod controls;
pub mod corrections;
pub mod deliveries;
pub mod drills;
pub mod duties;
pub mod editor;
pub mod favicon;
pub mod first_steps;
pub mod fixtures;
pub mod folds;
#[cfg(debug_assertions)]
pub mod gallery;
pub mod help;
pub mod incident;
pub mod incidents;
pub mod links;
pub mod live;
pub mod marks;
pub mod me;
pub mod merges;
pub mod new_incident;
pub mod people;
pub mod plans;
pub mod postmortem;
pub mod presence;
pub mod proposals;
pub mod publishing;
pub mod reasons;
pub mod respond;
pub mod resume;
pub mod reviews;
pub mod routing;
pub mod runbooks;
pub mod runs;
pub mod saved_views;
pub mod settings;
pub mod sign_in;
pub mod silences;
pub mod source_form;
pub mod sources;
pub mod standing;
pub mod steps;
pub mod system;
pub mod targets;
pub mod timeline;
pub mod tokens;
pub mod trial;
pub mod versions;
pub mod watch;
pub mod way;
pub mod words;

pub mod health;
pub mod hooks;
pub mod server;
pub mod tls;

use std::time::Duration;

use axum::{
    Router,
    extract::{DefaultBodyLimit, OriginalUri, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
};
use tower_http::{
    catch_panic::CatchPanicLayer, compression::CompressionLayer, csrf::CsrfLayer, timeout::TimeoutLayer,
};

use self::{
    error::WebError,
    routes::{Route, Routes},
    state::AppState,
};
use crate::execute::rehearse::REHEARSAL_MAX;

/// How long a page may take; a live stream may go on.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// How long the answer of a rehearsal may take; the rehearsal itself ends before.
const REHEARSAL_ANSWER_MAX: Duration = Duration::from_millis(REHEARSAL_MAX.as_millis() + 10_000);

/// A year, as ASVS 3.4.1 asks, once browsers reach us by https.
const HSTS: &str = "max-age=31536000; includeSubDomains";
/// What no page here ever asks a browser for.
const FEATURES: &str = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()";

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      font-src 'none'; manifest-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types live";

/// The pages, and what answers their forms.
fn pages() -> Routes {
    Routes::default()
        .get("/", incidents::home)
        .get("/login", sign_in::login_form)
        .post("/login", sign_in::login)
        .post("/logout", sign_in::logout)
        .get("/login/recovery", sign_in::recovery::form)
        .post("/login/recovery", sign_in::recovery::enter)
        .post("/login/passkey", sign_in::passkey::sign_in)
        .post("/login/passkey/challenge", sign_in::passkey::challenge)
        .get("/login/provider", sign_in::provider::away)
        .get("/login/provider/back", sign_in::provider::back)
        .get("/setup", sign_in::set_up::form)
        .post("/setup", sign_in::set_up::set_up)
        .get("/setup/checks", first_steps::checks)
        .get("/setup/alerts", first_steps::alerts)
        .get("/setup/ready", first_steps::ready)
        .get("/enter/{code}", sign_in::link::form)
        .post("/enter/{code}", sign_in::link::enter)
        .get("/me", me::show)
        .post("/me/preferences", me::preferences::set)
        .post("/me/password", me::change_password)
        .post("/me/recovery-codes", me::make_codes)
        .post("/me/passkeys", me::passkeys::add)
        .post("/me/passkeys/challenge", me::passkeys::challenge)
        .post("/me/passkeys/{id}/remove", me::passkeys::remove)
        .post("/me/sessions/{id}/end", me::end_session)
        .post("/me/sessions/end-others", me::end_others)
        .get("/incidents", incidents::list)
        .get("/incidents/new", new_incident::form)
        .post("/incidents/new", new_incident::open)
        .post("/incidents/bulk", bulk::carry_out)
        .get("/incidents/resolve", bulk_forms::resolve)
        .get("/incidents/assign", bulk_forms::assign)
        .get("/incidents/merge", bulk_forms::merge)
        .post("/incidents/views", saved_views::keep)
        .post("/incidents/views/open-with-open", saved_views::open_with_open)
        .post("/incidents/views/{id}/open-with", saved_views::open_with)
        .post("/incidents/views/{id}/remove", saved_views::remove)
        .get("/incidents/{id}", incident::show)
        .post("/incidents/{id}/acknowledge", respond::acknowledge)
        .post("/incidents/{id}/mitigate", respond::mitigate)
        .post("/incidents/{id}/resolve", respond::resolve)
        .post("/incidents/{id}/close", respond::close)
        .post("/incidents/{id}/severity", respond::set_severity)
        .post("/incidents/{id}/notes", words::note)
        .get("/incidents/{id}/notes/{seq}", corrections::form)
        .post("/incidents/{id}/notes/{seq}", corrections::correct)
        .post("/incidents/{id}/impact", words::impact)
        .post("/incidents/{id}/updates", words::update)
        .post("/incidents/{id}/roles/take", duties::take)
        .post("/incidents/{id}/roles/hand-over", duties::hand_over)
        .post("/incidents/{id}/roles/lay-down", duties::lay_down)
        .post("/incidents/{id}/pins", marks::pin)
        .post("/incidents/{id}/pins/remove", marks::unpin)
        .post("/incidents/{id}/undo", marks::undo)
        .post("/incidents/{id}/read", marks::read)
        .get("/incidents/{id}/merge", merges::form)
        .post("/incidents/{id}/merge", merges::merge)
        .post("/incidents/{id}/unmerge", merges::unmerge)
        .get("/incidents/{id}/fold", folds::form)
        .post("/incidents/{id}/fold", folds::fold)
        .post("/incidents/{id}/unfold", folds::unfold)
        .post("/incidents/{id}/silences", silences::ask)
        .post("/incidents/{id}/silences/{silence}/expire", silences::expire)
        .post("/incidents/{id}/alerts/{alert}/over", silences::over)
        .post(
            "/incidents/{id}/alerts/{alert}/still-firing",
            silences::still_firing,
        )
        .post("/incidents/{id}/runs", runs::start)
        .get("/incidents/{id}/runs/new", runs::new_form)
        .get("/incidents/{id}/runbooks", reasons::show)
        .get("/incidents/{id}/postmortem", postmortem::show)
        .get("/incidents/{id}/postmortem.md", postmortem::markdown)
        .get("/runs/{id}", runs::show)
        .get("/runs/{id}/fixture", fixtures::save)
        .post("/runs/{id}/pause", controls::pause)
        .post("/runs/{id}/go-on", controls::go_on)
        .post("/runs/{id}/stop", controls::stop)
        .post("/runs/{id}/undo", controls::undo)
        .post("/runs/{id}/skip", controls::skip)
        .get("/runs/{id}/resume", resume::form)
        .post("/runs/{id}/resume", resume::resume)
        .get("/runs/{id}/steps/{step}", steps::show)
        .get("/runs/{id}/steps/{step}/output", output::download)
        .post("/runs/{id}/steps/{step}/done", controls::manual_done)
        .post("/runs/{id}/steps/{step}/unknown", controls::decide_unknown)
        .get("/approvals", approvals::inbox)
        .get("/approvals/{id}", approvals::show)
        .post("/approvals/{id}/decision", approvals::decide)
        .post("/approvals/{id}/send-back", approvals::send_back)
        .post("/approvals/{id}/read-again", approvals::read_again)
        .post("/approvals/{id}/question", approvals::ask)
        .post("/approvals/{id}/links", links::make_by_form)
        .post("/approvals/{id}/withdraw", approvals::withdraw)
        .get("/approvals/{id}/break-glass", approvals::glass_form)
        .post("/approvals/{id}/break-glass", approvals::break_glass)
        .post("/reviews/{id}/close", reviews::close)
        .get("/a/{code}", links::follow)
        .get("/audit", audit::show)
        .get("/audit/export", audit::export)
        .get("/runbooks", runbooks::list)
        .get("/runbooks/new", publishing::new_form)
        .get("/runbooks/{slug}", runbooks::show)
        .get("/runbooks/{slug}/edit", publishing::edit_form)
        .get("/runbooks/{slug}/versions", versions::list)
        .get("/runbooks/{slug}/diff", versions::diff)
        .get("/runbooks/{slug}/proposals/{id}", proposals::show)
        .post("/runbooks/{slug}/proposals/{id}/approve", proposals::approve)
        .post("/runbooks/{slug}/proposals/{id}/send-back", proposals::send_back)
        .post("/runbooks/{slug}/proposals/{id}/withdraw", proposals::withdraw)
        .get("/drills", drills::catalogue)
        .post("/drills", drills::plan::plan)
        .get("/drills/scenarios/{slug}", drills::scenario)
        .get("/drills/calendar.ics", drills::appointment::all)
        .post("/drills/reenact", drills::reenact::make)
        .get("/drills/scenarios/{slug}/file", drills::reenact::file)
        .post("/drills/scenarios/{slug}/retire", drills::reenact::retire)
        .post("/drills/scenarios/{slug}/restore", drills::reenact::restore)
        .get("/action-items", action_items::list)
        .post("/action-items", action_items::make)
        .post("/action-items/{id}/close", action_items::close)
        .get("/drills/{id}", drills::show)
        .post("/drills/{id}/answer", drills::appointment::answer)
        .get("/drills/{id}/invitation.ics", drills::appointment::invitation)
        .get("/drills/{id}/score", drills::score)
        .post("/drills/{id}/start", drills::acts::start)
        .post("/drills/{id}/pause", drills::acts::pause)
        .post("/drills/{id}/resume", drills::acts::resume)
        .post("/drills/{id}/end", drills::acts::end)
        .post("/drills/{id}/inject", drills::acts::inject)
        .post("/drills/{id}/skip", drills::acts::skip)
        .post("/drills/{id}/hint", drills::acts::hint)
        .post("/drills/{id}/note", drills::acts::note)
        .post("/drills/{id}/declare-over", drills::faults::declare_over)
        .get("/settings", settings::show)
        .get("/settings/access", access::show)
        .get("/settings/targets", targets::list)
        .get("/settings/targets/{name}", targets::show)
        .post("/settings/targets/{name}/open", targets::open)
        .post("/settings/targets/{name}/close", targets::close)
        .get("/runbooks/{slug}/plan", plans::show)
        .get("/deliveries", deliveries::list)
        .get("/deliveries/{id}", deliveries::show)
        .post("/deliveries/{id}/replay", deliveries::replay)
        .get("/deliveries/{id}/body", deliveries::body)
        .get("/sources", sources::list)
        .get("/sources/new", sources::new_form)
        .post("/sources/new", sources::make)
        .get("/sources/{name}", sources::show)
        .post("/sources/{name}", sources::change)
        .post("/sources/{name}/disable", sources::disable)
        .post("/sources/{name}/enable", sources::enable)
        .post("/sources/{name}/test", trial::test)
        .post("/sources/{name}/try", trial::attempt)
        .post("/sources/{name}/tokens", sources::issue)
        .post("/sources/{name}/tokens/{id}/revoke", sources::revoke)
        .get("/routing", routing::show)
        .post("/routing/rules", routing::make)
        .post("/routing/rules/{id}/end", routing::end)
        .get("/system", system::show)
        .post("/system/pause", standing::pause)
        .post("/system/resume", standing::resume)
        .post("/system/circuits/{target}/close", standing::close_breaker)
        .post("/system/freezes", standing::freeze)
        .post("/system/freezes/{id}/end", standing::end_freeze)
        .get("/system/boots", boots::list)
        .get("/system/boots/{id}", boots::show)
        .get("/settings/people", people::list)
        .post("/settings/people", people::invite)
        .get("/settings/people/{id}", people::show)
        .post("/settings/people/{id}/role", people::set_role)
        .post("/settings/people/{id}/teams", people::set_teams)
        .post("/settings/people/{id}/disable", people::disable)
        .post("/settings/people/{id}/enable", people::enable)
        .post("/settings/people/{id}/end-sessions", people::end_sessions)
        .post("/settings/people/{id}/invite", people::invite_again)
        .post("/settings/teams", people::make_team)
        .post("/settings/teams/{name}/end", people::end_team)
        .get("/me/tokens", tokens::list)
        .post("/me/tokens", tokens::make)
        .post("/me/tokens/{id}/revoke", tokens::revoke)
        .get("/live/badge", badge::get)
        .get("/help", help::show)
        .get("/help/keys", help::keys)
        .get("/static/{file}", assets::get)
        .get("/static/{digest}/{file}", assets::get_script)
}

/// What only development builds have.
fn development() -> Routes {
    #[cfg(debug_assertions)]
    return Routes::default()
        .get("/dev/gallery", gallery::list)
        .get("/dev/gallery/{page}/{state}", gallery::show);
    #[cfg(not(debug_assertions))]
    Routes::default()
}

/// These ask targets, within a limit of time of their own.
fn outward() -> Routes {
    Routes::default()
        .post("/runbooks/{slug}/plan", plans::run)
        .post("/settings/targets/{name}/test", targets::test)
        .post("/api/v1/runbooks/{slug}/plan", api::plans::run)
}

/// These take whole runbooks, which are longer than any other form.
fn texts() -> Routes {
    Routes::default()
        .post("/runbooks/new", publishing::make)
        .post("/runbooks/{slug}/edit", publishing::change)
        .post("/runbooks/new/check", checking::of_new)
        .post("/runbooks/{slug}/edit/check", checking::of_change)
        .post("/api/v1/runbooks", api::publishing::publish)
}

/// Streams, which go on for hours.
fn streams() -> Routes {
    Routes::default().get("/live", live::get)
}

/// Every route with what its caller needs: the pages, the JSON interface, the doors of senders and of machines.
pub fn table() -> Vec<Route> {
    let (_, mut table) = pages().into_parts();
    table.extend(development().into_parts().1);
    table.extend(outward().into_parts().1);
    table.extend(texts().into_parts().1);
    table.extend(streams().into_parts().1);
    table.extend(api::table());
    table.extend(hooks::table());
    table.extend(health::table());
    table
}

/// Every address of the pages and the JSON interface.
pub fn router(state: AppState) -> Router {
    whole(state, Router::new())
}

/// Every address there is: the pages and the JSON interface with the doors of senders and machines beside them, and what
/// guards all of them.
pub fn whole(state: AppState, doors: Router) -> Router {
    let guards = Guards::of(&state);
    let proxies = state.proxies.clone();
    people(state)
        .merge(doors)
        .layer(middleware::from_fn_with_state(guards, guard_headers))
        .layer(middleware::from_fn_with_state(proxies, forwarded::tell))
}

/// What people and their programs ask, with the guards against what browsers can be made to do.
fn people(state: AppState) -> Router {
    let in_time = |limit| TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, limit);
    let (pages, _) = pages().into_parts();
    let (outward, _) = outward().into_parts();
    let (texts, _) = texts().into_parts();
    let (streams, _) = streams().into_parts();
    let outward = outward
        .layer(DefaultBodyLimit::max(dress::FORM_BYTES_MAX))
        .layer(in_time(REHEARSAL_ANSWER_MAX));
    let texts = texts
        .layer(DefaultBodyLimit::max(publishing::TEXT_BYTES_MAX))
        .layer(in_time(ANSWER_MAX));

    let csrf = csrf(&state);
    Router::new()
        .merge(pages)
        .merge(development().into_parts().0)
        .nest("/api/v1", api::router())
        .fallback(nothing_here)
        .layer(DefaultBodyLimit::max(dress::FORM_BYTES_MAX))
        .layer(in_time(ANSWER_MAX))
        .merge(outward)
        .merge(texts)
        // A stream goes on for hours, so it stands outside the limit of time.
        .merge(streams)
        .layer(csrf)
        .layer(CatchPanicLayer::custom(dress::from_panic))
        .layer(middleware::from_fn_with_state(state.clone(), dress::dress))
        .layer(CompressionLayer::new())
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

/// What the headers of every answer depend on.
#[derive(Clone, Copy)]
struct Guards {
    is_https: bool,
}

impl Guards {
    fn of(state: &AppState) -> Self {
        Self {
            is_https: state.is_https(),
        }
    }
}

/// What every answer says to the browser. A page is never kept by a cache; a handler that knows better says so itself.
async fn guard_headers(State(guards): State<Guards>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if guards.is_https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    }
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (HeaderName::from_static("permissions-policy"), FEATURES),
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
