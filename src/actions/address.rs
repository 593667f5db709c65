//! Which addresses may be reached. Every name is resolved once, every answer is checked, and the connection goes to
//! the checked address, so a name cannot change its meaning in between.
//!
//! Public addresses may be reached. A private one, or one of this machine, only when the targets file names it: as the
//! address itself, as `localhost`, or in `networks`. The same holds for where Muster itself listens and keeps its rows,
//! public or not. Some are never reached: see [`Scope::Never`].

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::future::BoxFuture;
use tokio::{net::TcpStream, time::timeout};

use super::{Call, cage::Cage, invalid};
use crate::domain::{
    action::{Failure, FailureClass},
    network::{Network, Scope, is_odd_number, scope},
};

/// Turns a host name into addresses.
#[derive(Clone)]
pub struct Lookup(Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>);

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

    /// Any other: what finds the addresses of a name.
    pub fn by(
        find: impl Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(find))
    }

    async fn find(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        (self.0)(host.to_owned()).await
    }
}

/// Where Muster itself can be found: its listener, its database. A host as it is configured, and a port.
#[derive(Clone, Default)]
pub(super) struct Own(Arc<Mutex<Vec<(String, u16)>>>);

impl Own {
    pub(super) fn add(&self, host: &str, port: u16) {
        let mut doors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        doors.push((host.to_owned(), port));
    }

    fn at(&self, port: u16) -> Vec<String> {
        let doors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hosts = doors.iter().filter(|(_, own)| *own == port);
        hosts.map(|(host, _)| host.clone()).collect()
    }
}

/// Who says where to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The people who configured this Muster: an address of theirs means itself.
    Configured,
    /// Somebody else: a redirect, a body. Nothing of theirs names an address.
    Elsewhere,
}

/// What one call may reach.
#[derive(Clone)]
pub(super) struct Reach {
    pub(super) lookup: Lookup,
    pub(super) own: Own,
    /// What may be reached although it is not public.
    pub(super) networks: Arc<[Network]>,
    /// The only things that may be reached, for what must not leave.
    pub(super) cage: Option<Cage>,
}

impl Reach {
    /// The addresses of `host`, if all of them may be reached.
    pub(super) async fn find(
        &self,
        host: &str,
        port: u16,
        said: Said,
    ) -> Result<Vec<SocketAddr>, AddressError> {
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        // A dot at the end only says that the name is whole.
        let plain = host.strip_suffix('.').unwrap_or(host);
        let literal: Option<IpAddr> = host.parse().ok();
        if is_odd_number(host) {
            return Err(AddressError::Odd(host.to_owned()));
        }
        let found = match literal {
            Some(ip) => vec![ip],
            None => self
                .lookup
                .find(plain)
                .await
                .map_err(|error| unknown(host, error.to_string()))?,
        };
        if found.is_empty() {
            return Err(unknown(host, "the name has no address".to_owned()));
        }
        let is_never = |ip: &&IpAddr| scope(**ip) == Scope::Never;
        if let Some(ip) = found.iter().find(is_never) {
            return Err(AddressError::Never(host.to_owned(), *ip));
        }
        for ip in &found {
            let is_itself = match said {
                Said::Configured => {
                    literal == Some(*ip)
                        || plain.eq_ignore_ascii_case("localhost") && scope(*ip) == Scope::Loopback
                }
                Said::Elsewhere => false,
            };
            if is_itself || self.networks.iter().any(|network| network.contains(*ip)) {
                continue;
            }
            if scope(*ip) != Scope::Public {
                return Err(AddressError::NotNamed(host.to_owned(), *ip));
            }
            if self.is_own(*ip, port).await {
                return Err(AddressError::Own(host.to_owned(), *ip, port));
            }
        }
        let found: Vec<SocketAddr> = found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
        match &self.cage {
            Some(cage) if !found.iter().all(|address| cage.admits(*address)) => {
                Err(AddressError::Caged(host.to_owned(), port))
            }
            _ => Ok(found),
        }
    }

    async fn is_own(&self, ip: IpAddr, port: u16) -> bool {
        for host in self.own.at(port) {
            let is_own = match host.parse::<IpAddr>() {
                // It listens on every address of the machine, and only on those of the machine can one listen.
                Ok(any) if any.is_unspecified() => std::net::UdpSocket::bind((ip, 0)).is_ok(),
                Ok(own) => own == ip,
                // A folder with a socket has no address.
                Err(_) if host.starts_with('/') => false,
                // When its own name cannot be resolved, nobody is there to be reached by it.
                Err(_) => self.lookup.find(&host).await.is_ok_and(|own| own.contains(&ip)),
            };
            if is_own {
                return true;
            }
        }
        false
    }
}

fn unknown(host: &str, reason: String) -> AddressError {
    AddressError::Unknown {
        host: host.to_owned(),
        reason,
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
    /// Not a name, and a number that is written so that two programs may read it as two addresses.
    #[error("{0} is an address in an unusual form; write it as four numbers with dots")]
    Odd(String),
    /// An address no target may have.
    #[error("{0} is the address {1}, which is never connected to, whoever names it")]
    Never(String, IpAddr),
    /// An address that only its own target may name.
    #[error("{0} is the address {1}, which is not public; the target that means it says networks: [{1}]")]
    NotNamed(String, IpAddr),
    /// Not one of the few that may be reached.
    #[error("{0} port {1} is outside of the drill, and nothing of a drill leaves it")]
    Caged(String, u16),
    /// Muster's own listener or database.
    #[error("{0} is {1} port {2}, where Muster itself is; the target that means it says networks: [{1}]")]
    Own(String, IpAddr, u16),
}

impl From<AddressError> for Failure {
    fn from(error: AddressError) -> Self {
        let class = match error {
            AddressError::Unknown { .. } => FailureClass::NotSent,
            _ => FailureClass::Invalid,
        };
        Failure::new(class, error.to_string())
    }
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
    let found = call.reach().find(host, port, Said::Configured).await?;
    connect_to(call, address, &found).await
}

/// Opens a TCP connection to the first of these that accepts one; `shown` is what messages call it.
pub(super) async fn connect_to(
    call: &Call<'_>,
    shown: &str,
    found: &[SocketAddr],
) -> Result<TcpStream, Failure> {
    let mut last = None;
    for address in found {
        match timeout(
            call.outside.bounds.connect.as_duration(),
            TcpStream::connect(address),
        )
        .await
        {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = Some(error.to_string()),
            Err(_) => last = Some(format!("no answer within {}", call.outside.bounds.connect)),
        }
    }
    Err(Failure::new(
        FailureClass::NotSent,
        format!(
            "cannot connect to {shown}: {}",
            last.unwrap_or_else(|| "no address".to_owned())
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_taken_apart() {
        assert_eq!(host_and_port("db.internal:5432").unwrap(), ("db.internal", 5432));
        assert_eq!(host_and_port("[::1]:80").unwrap(), ("::1", 80));
        for text in ["db", ":80", "db:", "db:0", "db:99999"] {
            assert!(host_and_port(text).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn musters_own_doors_are_closed_unless_they_are_named() {
        let reach = |networks: &[&str]| Reach {
            lookup: Lookup::by(|host| {
                let ip = if host == "own-db" { "1.1.1.2" } else { "1.1.1.1" };
                Box::pin(async move { Ok(vec![ip.parse().unwrap()]) })
            }),
            own: Own::default(),
            networks: networks.iter().map(|text| text.parse().unwrap()).collect(),
            cage: None,
        };
        let (open, named) = (reach(&[]), reach(&["1.1.1.0/24"]));
        for reach in [&open, &named] {
            reach.own.add("1.1.1.1", 8080);
            reach.own.add("own-db", 5432);
            reach.own.add("/run/postgresql", 5433);
        }
        for (host, port, is_own) in [
            ("a.example", 8080, true),
            ("a.example", 8081, false),
            ("own-db", 5432, true),
            ("own-db", 5433, false),
            // Written as an address it names itself.
            ("1.1.1.2", 5432, false),
        ] {
            let found = open.find(host, port, Said::Configured).await;
            assert_eq!(
                matches!(found, Err(AddressError::Own(..))),
                is_own,
                "{host}:{port} {found:?}"
            );
            assert!(
                named.find(host, port, Said::Configured).await.is_ok(),
                "{host}:{port}"
            );
        }
        let found = open.find("1.1.1.2", 5432, Said::Elsewhere).await;
        assert!(
            matches!(found, Err(AddressError::Own(..))),
            "a redirect names nothing"
        );
    }
}
