//! Installing: which versions go together, and putting them in place.

pub mod archives;
mod explain;
pub mod gather;
pub mod home;
pub mod known;
pub mod lock;
pub mod locked;
mod node;
pub mod outdated;
pub mod pins;
pub mod place;
pub mod range;
pub mod resolve;
pub mod series;
pub mod tree;
pub mod wanted;
