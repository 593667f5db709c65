//! Drills, on a real database, with real sockets for twins.

mod appointment;
mod beside;
mod coverage;
mod faults;
mod figures;
mod game_day;
mod items;
mod launched;
mod pages;
mod reenact;
mod safety;
mod stage;
mod unattended;
