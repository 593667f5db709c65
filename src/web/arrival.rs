//! Who knocks: the address a request comes from, what its browser says of itself, and the session it may carry.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, header, request::Parts},
};

use super::{error::WebError, session::SessionToken, state::AppState};
use crate::domain::sign_in::{Arrival, USER_AGENT_CHARS_MAX};

/// A request before anybody knows who sent it.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Where it comes from: the peer, or whom a trusted proxy asks for.
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
        let ip = behind(&app.trusted_proxies, peer, &parts.headers).to_canonical();
        let agent = parts.headers.get(header::USER_AGENT);
        let agent = agent.map_or_else(Default::default, |value| String::from_utf8_lossy(value.as_bytes()));
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

/// Whom a trusted proxy asks for: the last address in `X-Forwarded-For` that is no trusted proxy itself. What stands
/// before that one was written by a stranger.
fn behind(trusted: &[IpAddr], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    if !trusted.contains(&peer.to_canonical()) {
        return peer;
    }
    let said: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let mut nearest = peer;
    for address in said.iter().rev() {
        let Ok(address) = address.trim().parse::<IpAddr>() else {
            break;
        };
        nearest = address;
        if !trusted.contains(&address.to_canonical()) {
            break;
        }
    }
    nearest
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_a_trusted_proxy_is_believed_and_only_about_the_last_stranger() {
        let proxies: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        let from = |peer: [u8; 4], said: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in said {
                headers.append("x-forwarded-for", HeaderValue::from_str(value).unwrap());
            }
            behind(&proxies, peer.into(), &headers).to_string()
        };
        assert_eq!(from([192, 0, 2, 7], &["1.2.3.4"]), "192.0.2.7");
        assert_eq!(from([10, 0, 0, 1], &["1.2.3.4"]), "1.2.3.4");
        assert_eq!(from([10, 0, 0, 1], &["6.6.6.6, 1.2.3.4, 10.0.0.2"]), "1.2.3.4");
        assert_eq!(from([10, 0, 0, 1], &["6.6.6.6", "1.2.3.4"]), "1.2.3.4");
        assert_eq!(from([10, 0, 0, 1], &["nonsense"]), "10.0.0.1");
        assert_eq!(from([10, 0, 0, 1], &[]), "10.0.0.1");
    }
}
