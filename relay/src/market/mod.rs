//! What the command line is made of: keys, the ledger of what was published, and a native light peer.

pub mod keys;
pub mod ledger;
pub mod peer;
pub mod publish;
