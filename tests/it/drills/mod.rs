//! Drills, on a real database, with real sockets for twins.

mod beside;
mod coverage;
mod figures;
mod pages;
mod safety;
mod stage;
mod unattended;
