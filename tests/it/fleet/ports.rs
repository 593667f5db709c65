//! Free TCP ports on loopback.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::Mutex;

use anyhow::{Result, anyhow, bail};

/// They are taken from below the range the kernel gives to outgoing connections: a server that is killed and started
/// again on its port must not find that somebody's client got it in between.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// The UDP ports of the same numbers, held as long as this test program runs: test programs that run side by side see
/// by them that a port is spoken for, though nothing listens on it yet.
static CLAIMS: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());

/// A port nothing listens on, never given out twice, not by another test program either.
pub fn free() -> Result<u16> {
    let mut claims = CLAIMS
        .lock()
        .map_err(|_| anyhow!("a test failed while it claimed a port"))?;
    let start = std::process::id().wrapping_mul(7919); // neighbours start looking far apart
    for step in 0..u32::from(COUNT) {
        let port = FIRST + (start.wrapping_add(step) % u32::from(COUNT)) as u16;
        let Ok(claim) = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)) else {
            continue;
        };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            claims.push(claim);
            return Ok(port);
        }
    }
    bail!("no free port on 127.0.0.1 from {FIRST} to {}", FIRST + COUNT - 1)
}
