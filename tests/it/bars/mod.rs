//! The bars of the browser, each measured in a real headless Chromium: what every page in every state must keep
//! ([`walk`]), weights ([`weights`]), contrast ([`contrast`]), and what a page that stays open must never do: lose a row
//! ([`loss`]), take something from the person's hands ([`steal`]), keep other pages waiting ([`tabs`]); and what must work
//! with few keys ([`journey`]), on a small screen ([`phone`]), with a great deal to show ([`size`], [`tail`]) and to many
//! at once ([`viewers`]).
//!
//! Times are held four times as loosely as the bars say, for machines that do other work beside; the figure itself is
//! printed. `MUSTER_PICTURES=folder` keeps pictures.

mod axe;
mod contrast;
mod cutter;
mod ground;
mod journey;
mod loss;
mod phone;
mod sight;
mod size;
mod steal;
mod tabs;
mod tail;
mod viewers;
mod walk;
mod weights;

/// How much longer than its bar anything may take on a machine that does other work beside.
const LENIENCE: u32 = 4;
