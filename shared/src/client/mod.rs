//! Light-client logic without I/O: `(input, now) -> effects`.

mod relays;

pub use relays::{Dial, Origin, RelayState, RelayView, Relays};
