//! Talking back to real Alertmanagers: silences made and ended, stale alerts and cut lists settled; and signs of life,
//! Muster's own and those of others.

mod heartbeats;
mod page;
mod reconciled;
mod step;
mod told;
mod world;
