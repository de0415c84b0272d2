//! What the command line is made of: addresses, keys, the ledger of what was published, installing, and a native light peer.

pub mod address;
pub mod desk;
pub mod install;
pub mod keys;
pub mod ledger;
pub mod outbox;
pub mod peer;
pub mod publish;
pub mod restore;
pub mod seal;
pub mod status;
pub mod survey;
pub mod work;
