//! Which addresses there are: public ones, those of a private network or of the machine itself, and those nobody has
//! any business with. Pure: what may be reached is judged here, by the address that is connected to and never by a name.
//!
//! The ranges are those of IANA's two special-purpose registries (RFC 6890 and after); the metadata services are where
//! the clouds document them.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

/// The shortest prefix that may be named: `10.0.0.0/8` is the largest private network there is.
const V4_PREFIX_MIN: u8 = 8;
/// The same for IPv6: `fc00::/7`.
const V6_PREFIX_MIN: u8 = 7;

/// Where an address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Anybody's.
    Public,
    /// This machine.
    Loopback,
    /// A network that is not public: private, shared, for documentation or measurements.
    Private,
    /// Never reached: link-local, where clouds hand out the credentials of a machine, no single host at all, or an address
    /// that is not public in the disguise of another.
    Never,
}

/// Where `ip` leads.
pub fn scope(ip: IpAddr) -> Scope {
    match ip {
        IpAddr::V4(ip) => scope_v4(ip),
        IpAddr::V6(ip) => scope_v6(ip),
    }
}

fn scope_v4(ip: Ipv4Addr) -> Scope {
    /// Alibaba's, Oracle's and Azure's own services for machines; everybody else's are link-local.
    const METADATA: [Ipv4Addr; 3] = [
        Ipv4Addr::new(100, 100, 100, 200),
        Ipv4Addr::new(192, 0, 0, 192),
        Ipv4Addr::new(168, 63, 129, 16),
    ];
    let [a, b, c, _] = ip.octets();
    if a == 0 || a >= 224 || ip.is_link_local() || METADATA.contains(&ip) {
        return Scope::Never;
    }
    if ip.is_loopback() {
        return Scope::Loopback;
    }
    let is_private = ip.is_private()
        || ip.is_documentation()
        || matches!(
            (a, b, c),
            (100, 64..=127, _) | (192, 0, 0) | (192, 88, 99) | (198, 18..=19, _)
        );
    match is_private {
        true => Scope::Private,
        false => Scope::Public,
    }
}

fn scope_v6(ip: Ipv6Addr) -> Scope {
    /// Amazon's for machines and for containers, and Google's.
    const METADATA: [Ipv6Addr; 3] = [
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
        Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    ];
    if ip.is_loopback() {
        return Scope::Loopback;
    }
    let part = ip.segments();
    let is_link_local = part[0] & 0xffc0 == 0xfe80;
    if ip.is_unspecified() || ip.is_multicast() || is_link_local || METADATA.contains(&ip) {
        return Scope::Never;
    }
    if let Some(inner) = inside(ip) {
        // Behind a gateway for IPv6-only networks a public address is what it says. Nothing else needs the disguise.
        return match scope_v4(inner) {
            Scope::Public => Scope::Public,
            _ => Scope::Never,
        };
    }
    let is_private = part[0] & 0xe000 != 0x2000
        || matches!(
            part,
            [0x2001, 0x0000..=0x01ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0x0000..=0x0fff, ..]
        );
    match is_private {
        true => Scope::Private,
        false => Scope::Public,
    }
}

/// The IPv4 address an IPv6 address stands for: mapped, translated and compatible forms, NAT64 with its two prefixes, and
/// 6to4.
fn inside(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let (high, low) = match ip.segments() {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [0x2002, high, low, ..] => (high, low),
        _ => return None,
    };
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Some(Ipv4Addr::new(a, b, c, d))
}

/// Whether a host is written like an IPv4 address but not in the usual way: `2130706433`, `0x7f.1`, `0177.0.0.1`. Programs
/// read these differently, so none of them is taken.
pub fn is_odd_number(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let is_number = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
    let is_hex = last
        .get(..2)
        .is_some_and(|start| start.eq_ignore_ascii_case("0x"));
    (is_number || is_hex) && host.parse::<Ipv4Addr>().is_err()
}

/// An address or a network of them, as a targets file names it: `10.0.0.0/8`, `127.0.0.1`, `fd00:12::/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether it holds this address.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                u32::from(own) == u32::from(ip) & mask
            }
            (IpAddr::V6(own), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                u128::from(own) == u128::from(ip) & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || "expected an address or a network, like 127.0.0.1 or 10.0.0.0/8".to_owned();
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| fault())?;
        let (min, max) = match address {
            IpAddr::V4(_) => (V4_PREFIX_MIN, 32),
            IpAddr::V6(_) => (V6_PREFIX_MIN, 128),
        };
        let prefix = match prefix {
            None => max,
            Some(prefix) => prefix.parse().map_err(|_| fault())?,
        };
        if !(min..=max).contains(&prefix) {
            return Err(format!("the length of a network is from /{min} to /{max}"));
        }
        let network = Self { address, prefix };
        if !network.contains(address) {
            return Err(format!(
                "{text} names bits behind its own length; write the network's first address"
            ));
        }
        if scope(address) == Scope::Never {
            return Err(format!("{text} is never reached, whoever names it"));
        }
        Ok(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_one = self.prefix == if self.address.is_ipv4() { 32 } else { 128 };
        match is_one {
            true => write!(f, "{}", self.address),
            false => write!(f, "{}/{}", self.address, self.prefix),
        }
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_has_its_scope() {
        for (scope_expected, addresses) in [
            (
                Scope::Public,
                "1.1.1.1 93.184.216.34 100.63.0.1 100.128.0.1 172.15.0.1 172.32.0.1 198.17.0.1 223.255.255.255 \
                 2606:4700::1111 2001:4860::1 ::ffff:1.1.1.1 64:ff9b::101:101 2002:101:101::1",
            ),
            (Scope::Loopback, "127.0.0.1 127.255.255.254 ::1"),
            (
                Scope::Private,
                "10.0.0.1 172.16.0.1 172.31.255.1 192.168.1.1 100.64.0.1 100.127.255.1 192.0.0.1 192.0.2.1 198.18.0.1 \
                 198.51.100.7 203.0.113.7 192.88.99.1 fc00::1 fd12:3456::1 2001:db8::1 2001::1 3fff::1 fec0::1 100::1 \
                 5f00::1 4000::1",
            ),
            (
                Scope::Never,
                "0.0.0.0 0.1.2.3 169.254.169.254 169.254.170.2 100.100.100.200 192.0.0.192 168.63.129.16 224.0.0.1 \
                 240.0.0.1 255.255.255.255 :: fe80::1 febf::1 ff02::1 fd00:ec2::254 fd00:ec2::23 fd20:ce::254 \
                 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::127.0.0.1 ::ffff:0:10.0.0.1 \
                 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::a9fe:a9fe 2002:7f00:1::1 2002:a9fe:a9fe::1",
            ),
        ] {
            for text in addresses.split_whitespace() {
                assert_eq!(scope(text.parse().unwrap()), scope_expected, "{text}");
            }
        }
    }

    #[test]
    fn a_network_is_read_strictly_and_holds_its_own() {
        let network = |text: &str| text.parse::<Network>();
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("192.168.4.0/22", "192.168.7.9", "192.168.8.0"),
            ("fd12::/16", "fd12:9::1", "fd13::1"),
            ("::1", "::1", "127.0.0.1"),
        ] {
            let found = network(text).unwrap();
            assert!(found.contains(inside.parse().unwrap()), "{text} {inside}");
            assert!(!found.contains(outside.parse().unwrap()), "{text} {outside}");
            assert_eq!(found.to_string(), text);
        }
        for text in [
            "0.0.0.0/0",
            "10.0.0.0/7",
            "::/0",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10",
            "010.0.0.1",
            "localhost",
            "169.254.0.0/16",
            "169.254.169.254",
            "fe80::/10",
            "::ffff:10.0.0.1",
            "",
        ] {
            assert!(network(text).is_err(), "{text}");
        }
    }

    #[test]
    fn odd_ways_to_write_a_number_are_seen() {
        for host in [
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "127.1",
            "0177.0.0.1",
            "127.0.0.1.",
            "1.2.3.0X7",
            "127.0.0.256",
        ] {
            assert!(is_odd_number(host), "{host}");
        }
        for host in [
            "127.0.0.1",
            "db1",
            "db.1e100.net",
            "a.b",
            "::1",
            "db-0x7.internal",
            "localhost.",
        ] {
            assert!(!is_odd_number(host), "{host}");
        }
    }
}
