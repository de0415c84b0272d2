//! What a light peer tells its owner without being asked.

use ggen_shared::client::Evidence;
use ggen_shared::record::{self, KeyLog, Release, Status, Verified};
use libp2p::PeerId;

use super::peer::Connection;

/// What happens without being asked for.
#[derive(Debug, Clone)]
pub enum Event {
    /// A relay was connected, lost, or answered a ping: all relays as they are now.
    Connections(Vec<Connection>),
    /// A release was announced, and verified.
    Announced {
        /// The release.
        release: Box<Verified<Release>>,
        /// Its publisher's key log.
        key_log: Box<KeyLog>,
        /// Who passed it on.
        from: PeerId,
    },
    /// A publisher that is known here rotated its key, and it was verified.
    Rotated {
        /// Its key log since then.
        key_log: Box<KeyLog>,
        /// Who passed it on.
        from: PeerId,
    },
    /// A publisher that is known here said what a version is good for, and it was verified.
    Stated {
        /// What it said. Other statuses of the version may weigh more.
        status: Box<Verified<Status>>,
        /// Its key log.
        key_log: Box<KeyLog>,
        /// Who passed it on.
        from: PeerId,
    },
    /// A relay that is known here is proven to break the rules.
    Accused {
        /// What proves it.
        evidence: Box<Evidence>,
        /// Who passed it on; none if it was found here.
        from: Option<PeerId>,
    },
    /// More was announced than there was room for: some of it was not heard.
    Missed,
    /// An announcement was refused.
    Refused {
        /// Who passed it on.
        from: PeerId,
        /// Why.
        error: record::Error,
    },
}
