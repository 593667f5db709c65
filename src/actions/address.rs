//! Which addresses may be reached. Every name is resolved once, every answer is checked, and the connection goes to
//! the checked address, so a name cannot change its meaning in between.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use tokio::{net::TcpStream, time::timeout};

use super::{Call, invalid};
use crate::domain::action::{Failure, FailureClass};

/// Turns a host name into addresses.
#[derive(Clone)]
pub(super) struct Lookup(Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>);

impl Lookup {
    /// The resolver of the machine.
    pub(super) fn system() -> Self {
        Self::by(|host| {
            Box::pin(async move {
                let found = tokio::net::lookup_host((host, 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            })
        })
    }

    pub(super) fn by(
        find: impl Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(find))
    }

    /// The addresses of `host`, if all of them may be reached.
    pub(super) async fn find(&self, host: &str) -> Result<Vec<IpAddr>, AddressError> {
        let found = (self.0)(host.to_owned())
            .await
            .map_err(|error| AddressError::Unknown {
                host: host.to_owned(),
                reason: error.to_string(),
            })?;
        if found.is_empty() {
            return Err(AddressError::Unknown {
                host: host.to_owned(),
                reason: "the name has no address".to_owned(),
            });
        }
        found.into_iter().map(|ip| allowed(host, ip)).collect()
    }
}

/// Why a host is not connected to.
#[derive(Debug, thiserror::Error)]
pub(super) enum AddressError {
    /// The name has no address, or nobody knows.
    #[error("cannot resolve {host}: {reason}")]
    Unknown {
        /// The name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// An address no target may have.
    #[error("{host} is the address {ip}, which hands out machine credentials; it is never connected to")]
    Forbidden {
        /// The name or address as configured.
        host: String,
        /// What it stands for.
        ip: IpAddr,
    },
}

impl From<AddressError> for Failure {
    fn from(error: AddressError) -> Self {
        let class = match error {
            AddressError::Unknown { .. } => FailureClass::NotSent,
            AddressError::Forbidden { .. } => FailureClass::Invalid,
        };
        Failure::new(class, error.to_string())
    }
}

/// Passes on an address that may be reached: any but link-local ones and those where clouds answer with credentials.
pub(super) fn allowed(host: &str, ip: IpAddr) -> Result<IpAddr, AddressError> {
    let forbidden = match ip {
        IpAddr::V4(v4) => forbidden_v4(v4),
        IpAddr::V6(v6) => forbidden_v6(v6),
    };
    match forbidden {
        true => Err(AddressError::Forbidden {
            host: host.to_owned(),
            ip,
        }),
        false => Ok(ip),
    }
}

fn forbidden_v4(ip: Ipv4Addr) -> bool {
    const METADATA: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];
    ip.is_link_local() || METADATA.contains(&ip)
}

fn forbidden_v6(ip: Ipv6Addr) -> bool {
    const METADATA: [Ipv6Addr; 2] = [
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
        Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    ];
    let part = ip.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    let inside = match part {
        // Mapped, translated and compatible forms; NAT64 with its two prefixes; 6to4.
        [0, 0, 0, 0, 0, 0xffff | 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    };
    part[0] & 0xffc0 == 0xfe80 || METADATA.contains(&ip) || inside.is_some_and(forbidden_v4)
}

/// Splits `host:port`, `[v6]:port` too.
pub(super) fn host_and_port(address: &str) -> Result<(&str, u16), Failure> {
    address
        .rsplit_once(':')
        .and_then(|(host, port)| {
            let host = host
                .strip_prefix('[')
                .and_then(|host| host.strip_suffix(']'))
                .unwrap_or(host);
            Some((host, port.parse().ok()?))
        })
        .filter(|(host, port)| !host.is_empty() && *port > 0)
        .ok_or_else(|| invalid(format!("the target's address {address} is not host:port")))
}

/// Opens a TCP connection to the first address of `host:port` that accepts one.
pub(super) async fn connect(call: &Call<'_>, address: &str) -> Result<TcpStream, Failure> {
    let (host, port) = host_and_port(address)?;
    let mut last = None;
    for ip in call.outside.lookup.find(host).await? {
        let attempt = TcpStream::connect(SocketAddr::new(ip, port));
        match timeout(call.outside.bounds.connect.as_duration(), attempt).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = Some(error.to_string()),
            Err(_) => last = Some(format!("no answer within {}", call.outside.bounds.connect)),
        }
    }
    Err(Failure::new(
        FailureClass::NotSent,
        format!(
            "cannot connect to {address}: {}",
            last.unwrap_or_else(|| "no address".to_owned())
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_hand_out_credentials_are_forbidden_in_every_form() {
        for text in [
            "169.254.169.254",
            "169.254.0.1",
            "100.100.100.200",
            "fe80::1",
            "febf::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
        ] {
            assert!(allowed(text, text.parse().unwrap()).is_err(), "{text}");
        }
        for text in [
            "127.0.0.1",
            "10.0.0.1",
            "::1",
            "169.253.1.1",
            "fd00::1",
            "2001:db8::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(allowed(text, text.parse().unwrap()).is_ok(), "{text}");
        }
    }

    #[test]
    fn host_and_port_are_taken_apart() {
        assert_eq!(host_and_port("db.internal:5432").unwrap(), ("db.internal", 5432));
        assert_eq!(host_and_port("[::1]:80").unwrap(), ("::1", 80));
        for text in ["db", ":80", "db:", "db:0", "db:99999"] {
            assert!(host_and_port(text).is_err(), "{text}");
        }
    }
}
