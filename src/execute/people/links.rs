//! Links to gates: each is for one person and one request, and good for one decision. A link does not sign anybody in and
//! gives no right: it says which way somebody came who may decide anyway.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{PeopleError, moved, refused};
use crate::{
    domain::{
        approval::{ApprovalState, may_decide},
        audit::{Act, ActKind, Fields, Object},
        digest::Digest,
        id::ApprovalId,
        operator::{Operator, Via},
    },
    store::{
        StoreError,
        approval_links::{self, Link, NewLink},
        approvals, audit, operators,
    },
};

/// Why a link leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Nobody ever made one with that code.
    #[error("there is no such link: its address was changed or cut on the way")]
    Unknown,
    /// It is for somebody else.
    #[error("this link was made for {owner}; you are signed in as {caller}")]
    Foreign {
        /// For whom it is.
        owner: String,
        /// Who followed it.
        caller: String,
    },
    /// Somebody decided with it.
    #[error("this link was used at {}; it is good for one decision", .0.format("%H:%M:%S UTC"))]
    Used(DateTime<Utc>),
    /// Its time is over.
    #[error("this link ended at {}, when the time to decide was over", .0.format("%H:%M:%S UTC"))]
    Over(DateTime<Utc>),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Keeps a link to a pending request for a person who may decide there; its number, and when it ends. `hash` is that of its
/// code, which is nowhere but in its address.
pub async fn make_link(
    conn: &mut PgConnection,
    id: ApprovalId,
    hash: Digest,
    name: &str,
    by: &Operator,
    now: DateTime<Utc>,
) -> Result<(i64, DateTime<Utc>), PeopleError> {
    let approval = approvals::find(conn, id)
        .await?
        .ok_or(PeopleError::NotFound("approval"))?;
    if approval.state != ApprovalState::Pending || approval.decide_by <= now {
        return Err(moved("this request does not wait any more; no link was made"));
    }
    let Some((person, _)) = operators::find_by_name(conn, name.trim()).await? else {
        return Err(PeopleError::NotFound("person"));
    };
    if let Err(refusal) = may_decide(&approval.rule, &person, approval.requester) {
        return Err(refused(format!(
            "{} could not decide there, so no link was made: {refusal}",
            person.name
        )));
    }
    let link = NewLink {
        hash,
        approval: id,
        operator: person.id,
        made_by: by.id,
        expires_at: approval.decide_by,
    };
    let Some(number) = approval_links::insert(conn, &link, now).await? else {
        return Err(refused(format!(
            "{} links lead to this request, which is the most",
            approval_links::LINKS_MAX
        )));
    };
    let after = Fields::of([
        ("link", number.to_string()),
        ("for", person.name),
        ("until", approval.decide_by.to_rfc3339()),
    ]);
    let object = Object::approval(id, &approval.title);
    let act = Act::new(by.actor(), ActKind::LinkMade, object, "").changing(Fields::default(), after);
    audit::insert(conn, &act, now).await?;
    Ok((number, approval.decide_by))
}

/// The link with that code, if it leads this person on. Changes nothing.
pub async fn open_link(
    conn: &mut PgConnection,
    hash: Digest,
    me: &Operator,
    now: DateTime<Utc>,
) -> Result<Link, LinkError> {
    let link = approval_links::find(conn, hash)
        .await?
        .ok_or(LinkError::Unknown)?;
    if link.operator != me.id {
        return Err(LinkError::Foreign {
            owner: link.operator_name,
            caller: me.name.clone(),
        });
    }
    if let Some(used_at) = link.used_at {
        return Err(LinkError::Used(used_at));
    }
    if link.expires_at <= now {
        return Err(LinkError::Over(link.expires_at));
    }
    Ok(link)
}

/// Uses a link up for a decision at its gate, in the transaction of that decision; the person as they came by it.
pub async fn use_link(
    conn: &mut PgConnection,
    hash: Digest,
    id: ApprovalId,
    me: &Operator,
    now: DateTime<Utc>,
) -> Result<Operator, LinkError> {
    let link = open_link(conn, hash, me, now).await?;
    if link.approval != id {
        return Err(LinkError::Unknown);
    }
    if !approval_links::consume(conn, link.id, now).await? {
        // Somebody with the same code was faster by a moment.
        return Err(LinkError::Used(now));
    }
    Ok(Operator {
        via: Via::Link { id: link.id },
        ..me.clone()
    })
}

/// Writes down that somebody followed a link that is for somebody else, at most once a minute for each link.
pub async fn note_foreign_link(
    conn: &mut PgConnection,
    hash: Digest,
    me: &Operator,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Some(link) = approval_links::find(conn, hash).await? else {
        return Ok(());
    };
    if !approval_links::note_refused(conn, link.id, now).await? {
        return Ok(());
    }
    let approval = approvals::find(conn, link.approval).await?;
    let title = approval.map_or_else(String::new, |approval| approval.title);
    let after = Fields::of([("link", link.id.to_string()), ("for", link.operator_name)]);
    let object = Object::approval(link.approval, &title);
    let act = Act::new(me.actor(), ActKind::LinkRefused, object, "").changing(Fields::default(), after);
    audit::insert(conn, &act, now).await?;
    Ok(())
}
