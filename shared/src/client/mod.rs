//! Light-client logic without I/O: `(input, now) -> effects`.

mod relays;
mod witness;

pub use relays::{Dial, Origin, RelayState, RelayView, Relays};
pub use witness::{Contradiction, Seen, Witness};
