//! Stand-ins for targets in a drill: real servers on this machine's loopback that speak what the target speaks, so that
//! the actions carry out against them what they would carry out against the target, unchanged.
//!
//! A twin knows a protocol and nothing else. What it answers, it asks of an [`Oracle`]; so whoever plays the world behind
//! it needs no protocol. It has no credentials, no TLS and no name but an address of its own, and only loopback is ever
//! bound. A file and programs have no server: their twins are a file, and small scripts that ask through the [`relay`].

mod oracle;
mod post;
mod reach;
pub mod relay;

mod alertmanager;
mod command;
mod haproxy;
mod logs;
mod metrics;
mod postgres;
mod web;

#[cfg(test)]
mod tests;

pub use oracle::{Asked, Oracle, Reply};
pub use post::{Post, open};
pub use reach::Closed;
