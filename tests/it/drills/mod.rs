//! Drills, on a real database, with real sockets for twins.

mod appointment;
mod beside;
mod coverage;
mod figures;
mod pages;
mod safety;
mod stage;
mod unattended;
