//! The web room.

pub mod hooks;
pub mod server;
