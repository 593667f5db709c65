//! Tests of Muster as a whole, in one program.

mod fleet;
mod fleet_works;
