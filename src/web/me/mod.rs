//! A person's own account: where they are signed in, their password, their ways back in. Everything here is about whoever
//! asks and nobody else.

pub mod passkeys;
pub mod preferences;

use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    act::see,
    arrival::Visitor,
    caller::OwnsAccount,
    error::WebError,
    extract::Path,
    page,
    session::{self, SessionToken},
    sign_in::{self, hash_of},
    state::AppState,
    throttle::Guess,
    view::{
        format,
        layout::Place,
        me::{self as view, MePage, PasskeyRow, SessionRow},
        parts::{ago, said},
    },
};
use crate::{
    domain::{audit::ActKind, operator::Operator, sign_in::Way},
    identity::{account, note, password, recovery},
    store::{self, StoreError, identities, operators, recovery_codes, sessions},
};

/// Sessions shown at most; more are ended by the button for all others.
const SESSIONS_MAX: i64 = 50;

/// What was done before the page was asked for.
#[derive(Debug, Default, Deserialize)]
pub struct Done {
    #[serde(default)]
    done: String,
}

impl Done {
    fn words(&self) -> Option<&'static str> {
        Some(match self.done.as_str() {
            "password" => "Your password is changed, and your other sessions have ended.",
            "passkey" => "Your passkey is added; it signs you in from now on.",
            "removed" => "That passkey opens nothing any more. Remove it on its device as well.",
            "session" => "That session has ended.",
            "preferences" => "Your pages are as you chose from now on, here and wherever you sign in.",
            "sessions" => "Your other sessions have ended.",
            _ => return None,
        })
    }
}

/// What a page says besides what is kept.
#[derive(Default)]
pub(super) struct Said {
    done: Option<&'static str>,
    faults: Vec<(&'static str, String)>,
    codes: Vec<String>,
}

/// `GET /me`
pub async fn show(
    State(app): State<AppState>,
    OwnsAccount(me): OwnsAccount,
    token: SessionToken,
    headers: HeaderMap,
    Query(query): Query<Done>,
) -> Result<Response, WebError> {
    let said = Said {
        done: query.words(),
        ..Said::default()
    };
    account_page(&app, &me, token, &headers, said).await
}

async fn account_page(
    app: &AppState,
    me: &Operator,
    token: SessionToken,
    headers: &HeaderMap,
    extra: Said,
) -> Result<Response, WebError> {
    let now = app.clock.now();
    let limits = app.session_limits;
    let this = session::current(app, token)
        .await?
        .map_or(0, |current| current.id);
    let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
    let frame = page::frame(app, &mut conn, me, "Your account", Place::Account, now).await?;
    let choices = view::choices(frame.look);
    let sessions = sessions::list(&mut conn, me.id, now, now - limits.idle, SESSIONS_MAX).await?;
    let codes = recovery_codes::find(&mut conn, me.id).await?;
    let issuers = identities::list_issuers(&mut conn, me.id).await?;
    let keys = store::passkeys::list(&mut conn, me.id).await?;
    let status = match extra.faults.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let page = MePage {
        frame,
        choices,
        name: said(&me.name),
        plain_name: me.name.clone(),
        role: me.role.name(),
        done: extra.done,
        faults: extra.faults,
        has_password: operators::find_password(&mut conn, me.id).await?.is_some(),
        issuers: issuers.iter().map(|issuer| said(issuer)).collect(),
        sessions: sessions
            .iter()
            .map(|session| SessionRow::of(session, this, now))
            .collect(),
        idle: format::length(limits.idle),
        longest: format::length(limits.longest),
        passkeys: keys.iter().map(|key| PasskeyRow::of(key, now)).collect(),
        has_passkeys: sign_in::passkey::place(app, headers).is_some(),
        codes: extra.codes,
        codes_made: codes.made_at.map(|made| ago(made, now)),
        codes_left: codes.left,
        uses: view::uses(&codes, now),
    };
    Ok((status, Html(page.render()?)).into_response())
}

/// The old and the new password; never printed.
#[derive(Deserialize)]
pub struct PasswordForm {
    current: String,
    new: String,
}

/// `POST /me/password`: needs the old one, ends all sessions and begins a new one here.
pub async fn change_password(
    State(app): State<AppState>,
    OwnsAccount(me): OwnsAccount,
    visitor: Visitor,
    headers: HeaderMap,
    Form(form): Form<PasswordForm>,
) -> Result<Response, WebError> {
    let now = app.clock.now();
    // Whoever found an open browser guesses as well.
    let guess = Guess::new(&me.name, visitor.ip);
    if let Err(wait) = app.throttle.take(&app.db, guess, now).await? {
        return Err(WebError::too_many(wait).with_next("/me", "Back to your account"));
    }
    let kept = {
        let mut conn = app.db.acquire().await.map_err(StoreError::from)?;
        operators::find_password(&mut conn, me.id).await?
    };
    let checked = app.passwords.check(form.current, kept).await;
    let checked = checked.map_err(|error| WebError::bug("a password could not be checked", error))?;
    let mut faults = Vec::new();
    if !checked.is_right {
        faults.push(("current", "Your password now: it is another one".to_owned()));
    }
    if let Some(fault) = password::fault(&form.new, &me.name) {
        faults.push(("new", format!("The new one: {fault}")));
    }
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    if checked.is_right {
        app.throttle.right(&mut tx, guess).await?;
    }
    if !faults.is_empty() {
        tx.commit().await.map_err(StoreError::from)?;
        let said = Said {
            faults,
            ..Said::default()
        };
        return account_page(&app, &me, visitor.token, &headers, said).await;
    }
    let hash = hash_of(&app, form.new).await?;
    account::set_password(&mut tx, me.id, &hash, "by themselves", now).await?;
    let cookie = session::begin(
        &mut tx,
        me.id,
        &Way::Password,
        &visitor.arrival,
        app.session_limits,
        app.is_https(),
        now,
    )
    .await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(([(header::SET_COOKIE, cookie)], see("/me?done=password")).into_response())
}

/// `POST /me/recovery-codes`: makes them anew and answers with the page that shows them, this once.
pub async fn make_codes(
    State(app): State<AppState>,
    OwnsAccount(me): OwnsAccount,
    token: SessionToken,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    session::need_fresh(&app, token, "/me").await?;
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let codes = recovery::make(&mut tx, me.id, app.clock.now()).await?;
    tx.commit().await.map_err(StoreError::from)?;
    let said = Said {
        codes,
        ..Said::default()
    };
    account_page(&app, &me, token, &headers, said).await
}

/// `POST /me/sessions/{id}/end`
pub async fn end_session(
    State(app): State<AppState>,
    OwnsAccount(me): OwnsAccount,
    Path(id): Path<i64>,
) -> Result<Response, WebError> {
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    // One that is gone already is what was asked for.
    if sessions::revoke(&mut tx, me.id, id).await? {
        note(
            &mut tx,
            ActKind::SessionsRevoked,
            &me.name,
            "one",
            Some(me.id),
            app.clock.now(),
        )
        .await?;
    }
    tx.commit().await.map_err(StoreError::from)?;
    Ok(see("/me?done=session").into_response())
}

/// `POST /me/sessions/end-others`
pub async fn end_others(
    State(app): State<AppState>,
    OwnsAccount(me): OwnsAccount,
    token: SessionToken,
) -> Result<Response, WebError> {
    let this = session::current(&app, token)
        .await?
        .ok_or_else(WebError::sign_in)?
        .id;
    let mut tx = app.db.begin().await.map_err(StoreError::from)?;
    let ended = sessions::revoke_others(&mut tx, me.id, this).await?;
    let how = format!("{ended} others");
    note(
        &mut tx,
        ActKind::SessionsRevoked,
        &me.name,
        &how,
        Some(me.id),
        app.clock.now(),
    )
    .await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(see("/me?done=sessions").into_response())
}
