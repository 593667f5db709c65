//! Drills, on a real database, with real sockets for twins.

mod beside;
mod figures;
mod items;
mod pages;
mod reenact;
mod safety;
mod stage;
mod unattended;
