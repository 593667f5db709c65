//! Who a subject is here: found, or made at the first sign-in, with the role of their groups.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{FLOW, Flow, Provider, ProviderError, Vouched, refused};
use crate::{
    domain::{audit::ActKind, id::OperatorId},
    identity::{code::token_digest, note},
    store::{identities, sessions},
};

/// Characters of a person's name.
const NAME_CHARS_MAX: usize = 100;
/// Names that are tried when others have the wanted one.
const NAMES_TRIED: usize = 20;

impl Provider {
    /// Takes the way back, finds or makes the person, and gives them the role of their groups; in the transaction that
    /// lets them in.
    pub async fn admit(
        &self,
        conn: &mut PgConnection,
        flow: &Flow,
        vouched: &Vouched,
        now: DateTime<Utc>,
    ) -> Result<OperatorId, ProviderError> {
        let issuer = self.issuer();
        if !identities::take_return(conn, token_digest(&flow.state), now + FLOW).await? {
            return Err(refused("this way back was taken before"));
        }
        let Some(known) = identities::find(conn, issuer, &vouched.subject).await? else {
            return self.make(conn, issuer, vouched, now).await;
        };
        if known.is_disabled {
            return Err(ProviderError::NotAllowed(
                "Your account here is disabled. An admin of Muster can enable it.".to_owned(),
            ));
        }
        identities::used(conn, issuer, &vouched.subject, now).await?;
        if known.role != vouched.role && identities::set_role(conn, known.operator, vouched.role).await? {
            // What the old role opened ends with it.
            sessions::end_all(conn, known.operator).await?;
            let how = format!("{} to {} by groups at {issuer}", known.role, vouched.role);
            note(conn, ActKind::RoleChanged, "", &how, Some(known.operator), now).await?;
        }
        Ok(known.operator)
    }

    async fn make(
        &self,
        conn: &mut PgConnection,
        issuer: &str,
        vouched: &Vouched,
        now: DateTime<Utc>,
    ) -> Result<OperatorId, ProviderError> {
        let wanted = shown_name(&vouched.name);
        for number in 1..=NAMES_TRIED {
            // Somebody of that name is somebody else: a name proves nothing.
            let name = match number {
                1 => wanted.clone(),
                number => format!("{wanted} {number}"),
            };
            if let Some(person) = identities::insert_person(conn, &name, vouched.role, now).await? {
                identities::insert(conn, issuer, &vouched.subject, person, now).await?;
                note(conn, ActKind::PersonMade, &name, issuer, Some(person), now).await?;
                return Ok(person);
            }
        }
        Err(ProviderError::NotAllowed(format!(
            "{NAMES_TRIED} people here are called {wanted} already. An admin of Muster can rename one."
        )))
    }
}

/// A name as it can stand in lists, with room for a number.
fn shown_name(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).collect();
    let cut: String = plain.trim().chars().take(NAME_CHARS_MAX - 4).collect();
    match cut.trim() {
        "" => "somebody".to_owned(),
        name => name.to_owned(),
    }
}
