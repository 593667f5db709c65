//! What many tests share: a database of their own, an intake to post to, Muster in a process of its own, a target
//! that counts, one start after the other, an authority for certificates.

pub mod authority;
pub mod database;
pub mod intake;
pub mod ledger;
pub mod muster;
pub mod screen;
pub mod site;
pub mod starts;
pub mod word;
