//! Who knocks: the address a request comes from, what its browser says of itself, and the session it may carry.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{header, request::Parts},
};

use super::{error::WebError, session::SessionToken, state::AppState};
use crate::domain::sign_in::{Arrival, USER_AGENT_CHARS_MAX};

/// A request before anybody knows who sent it.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Where it comes from; [`super::forwarded`] has put the client in the place of a proxy.
    pub ip: IpAddr,
    /// The same as it is kept with a session.
    pub arrival: Arrival,
    /// The session it carries, which a new one replaces.
    pub token: SessionToken,
}

impl FromRequestParts<AppState> for Visitor {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, WebError> {
        // Absent only where a test calls the router directly.
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
        let ip = peer.to_canonical();
        let agent = parts.headers.get(header::USER_AGENT);
        let agent = agent.map_or_else(Default::default, |value| {
            String::from_utf8_lossy(value.as_bytes())
        });
        Ok(Self {
            ip,
            arrival: Arrival {
                address: ip.to_string(),
                user_agent: agent
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(USER_AGENT_CHARS_MAX)
                    .collect(),
            },
            token: SessionToken::from_request_parts(parts, app).await?,
        })
    }
}
