//! Free TCP ports on loopback.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};

/// They are taken from below the range the kernel gives to outgoing connections: a server that is killed and started
/// again on its port must not find that somebody's client got it in between.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port nothing listens on, never given out twice by this test program.
pub fn free() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs that run side by side start looking in different places.
    let start = (std::process::id() % u32::from(COUNT)) as u16 / 40 * 40;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (start + step % COUNT) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port on 127.0.0.1 from {FIRST} to {}", FIRST + COUNT - 1)
}
