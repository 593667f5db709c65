//! Drills, on a real database, with real sockets for twins.

mod beside;
mod faults;
mod figures;
mod pages;
mod safety;
mod stage;
mod unattended;
