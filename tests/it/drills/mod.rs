//! Drills, on a real database, with real sockets for twins.

mod pages;
mod unattended;
