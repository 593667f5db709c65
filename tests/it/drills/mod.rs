//! Drills, on a real database, with real sockets for twins.

mod appointment;
mod beside;
mod coverage;
mod faults;
mod figures;
<<<<<<< HEAD
mod game_day;
=======
mod items;
>>>>>>> reenact
mod pages;
mod reenact;
mod safety;
mod stage;
mod unattended;
