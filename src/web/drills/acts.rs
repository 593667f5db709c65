//! What a trainer does to a drill, by form: begin it, let it stand still, end it, send a surprise or pass it over, tell a
//! hint, note something.

use axum::{Form, extract::State, response::Redirect};
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{DrillKey, leads};
use crate::{
    domain::{
        audit::{self, ActKind, Object},
        drill::{EndKind, ObserverTag, name},
        id::DrillId,
        operator::Operator,
    },
    drill::{self, DrillError, Stage},
    store::{
        self,
        drills::{self, Drill},
    },
    web::{
        act::{Act, see},
        caller::Runs,
        error::WebError,
        extract::Path,
        state::AppState,
    },
};

/// The fields of these forms; each form has some of them.
#[derive(Debug, Deserialize)]
pub struct DrillForm {
    op: Uuid,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    inject: String,
    hint: Option<usize>,
    #[serde(default)]
    tag: String,
    #[serde(default)]
    text: String,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Start,
    Pause,
    Resume,
    End,
    Inject,
    Skip,
    Hint,
    Note,
}

impl Deed {
    /// What the audit says of it; what happens within a drill stands in the drill's own log.
    fn decides(self) -> Option<ActKind> {
        match self {
            Self::Start => Some(ActKind::DrillBegun),
            Self::Pause => Some(ActKind::DrillPaused),
            Self::Resume => Some(ActKind::DrillResumed),
            Self::End => Some(ActKind::DrillEnded),
            Self::Inject | Self::Skip | Self::Hint | Self::Note => None,
        }
    }
}

async fn carry_out(
    app: &AppState,
    me: &Operator,
    id: DrillId,
    deed: Deed,
    form: &DrillForm,
) -> Result<Redirect, WebError> {
    let page = format!("/drills/{id}");
    let Some(mut act) = Act::begin(app, form.op, me).await? else {
        return Ok(see(page));
    };
    let now = act.now;
    let next = |error: WebError| error.with_next(page.clone(), format!("Back to {}", name(id)));
    let led = may_lead(act.conn(), me, id).await.map_err(next)?;
    let (conn, by, simulator) = (act.conn(), Some(me.id), &app.conductor.simulator);
    let done = match deed {
        Deed::Start => drill::start(conn, id, by, now).await,
        Deed::Pause => drill::pause(conn, id, &form.reason, by, now).await,
        Deed::Resume => drill::resume(conn, id, by, now).await,
        Deed::End => {
            let why = if led.clock.is_some() {
                EndKind::Stopped
            } else {
                EndKind::Cancelled
            };
            drill::end(conn, id, why, form.reason.trim(), by, now).await
        }
        Deed::Inject => {
            let shelf = app.conductor.shelf.borrow().clone().unwrap_or_default();
            let stage = Stage {
                simulator,
                shelf: &shelf,
                patience: &app.conductor.patience,
            };
            drill::send_inject(conn, &stage, id, &form.inject, by, now).await
        }
        Deed::Skip => drill::skip_inject(conn, simulator, id, &form.inject, by, now).await,
        Deed::Hint => match form.hint {
            Some(hint) => drill::tell_hint(conn, simulator, id, hint, by, now).await,
            None => Err(DrillError::NotFound("hint")),
        },
        Deed::Note => drill::note(conn, id, ObserverTag::named(&form.tag), &form.text, by, now).await,
    };
    done.map_err(|error| next(error.into()))?;
    if let Some(kind) = deed.decides() {
        let decided = audit::Act::new(
            me.actor(),
            kind,
            Object::drill(id, &led.title),
            form.reason.trim(),
        );
        store::audit::insert(act.conn(), &decided, now).await?;
    }
    act.commit().await?;
    if deed == Deed::End {
        simulator.close(id);
    }
    Ok(see(page))
}

/// The drill; refuses whoever does not lead it.
async fn may_lead(conn: &mut PgConnection, me: &Operator, id: DrillId) -> Result<Drill, WebError> {
    let drill = drills::find(conn, id)
        .await?
        .ok_or_else(|| WebError::not_found("drill"))?;
    match leads(me, &drill) {
        true => Ok(drill),
        false => Err(WebError::forbidden(
            "Only who leads the drill does that, or an admin. Its page says who leads it.",
        )),
    }
}

macro_rules! deeds {
    ($($(#[$doc:meta])* $name:ident => $deed:ident),* $(,)?) => {$(
        $(#[$doc])*
        pub async fn $name(
            State(app): State<AppState>,
            Runs(me): Runs,
            Path(DrillKey(id)): Path<DrillKey>,
            Form(form): Form<DrillForm>,
        ) -> Result<Redirect, WebError> {
            carry_out(&app, &me, id, Deed::$deed, &form).await
        }
    )*};
}

deeds! {
    /// `POST /drills/{id}/start`
    start => Start,
    /// `POST /drills/{id}/pause`
    pause => Pause,
    /// `POST /drills/{id}/resume`
    resume => Resume,
    /// `POST /drills/{id}/end`: a drill that has not begun is cancelled.
    end => End,
    /// `POST /drills/{id}/inject`
    inject => Inject,
    /// `POST /drills/{id}/skip`
    skip => Skip,
    /// `POST /drills/{id}/hint`
    hint => Hint,
    /// `POST /drills/{id}/note`
    note => Note,
}
