//! Light-client logic without I/O: `(input, now) -> effects`.

pub mod audit;
mod difference;
mod dossier;
pub mod evidence;
mod relays;
mod witness;

pub use difference::{Differences, Disputed, MAX_DISPUTED, MAX_QUESTIONS};
pub use dossier::Dossier;
pub use evidence::{Evidence, Misdeed};
pub use relays::{Dial, Origin, RelayState, RelayView, Relays};
pub use witness::{Seen, Witness};
