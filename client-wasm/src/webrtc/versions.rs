//! Which version of the specification a peer speaks. Its address does not say.

use std::collections::VecDeque;
use std::net::SocketAddr;

use webrtc_direct::ufrag::Version;

/// Addresses that are remembered; the oldest ones are forgotten.
const MAX_REMEMBERED: usize = 64;

/// Peers that version 1 was needed for. All others are expected to speak version 2.
#[derive(Debug, Default)]
pub(super) struct Versions {
    old: VecDeque<SocketAddr>,
}

impl Versions {
    /// What to try first, and what else.
    pub(super) fn order(&self, peer: SocketAddr) -> [Version; 2] {
        if self.old.contains(&peer) { [Version::One, Version::Two] } else { [Version::Two, Version::One] }
    }

    /// Remembers by which version a peer was reached.
    pub(super) fn reached(&mut self, peer: SocketAddr, version: Version) {
        self.old.retain(|old| *old != peer);
        if version == Version::One {
            if self.old.len() == MAX_REMEMBERED {
                self.old.pop_front();
            }
            self.old.push_back(peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_is_tried_first_where_nothing_else_is_known() {
        let [new, old] = ["1.2.3.4:5", "1.2.3.4:6"].map(|peer| peer.parse().expect("an address"));
        let mut versions = Versions::default();
        versions.reached(new, Version::Two);
        versions.reached(old, Version::One);
        assert_eq!(versions.order(new), [Version::Two, Version::One]);
        assert_eq!(versions.order(old), [Version::One, Version::Two]);
        versions.reached(old, Version::Two);
        assert_eq!(versions.order(old), [Version::Two, Version::One]);
    }

    #[test]
    fn as_many_are_remembered_as_there_is_room_for() {
        let mut versions = Versions::default();
        let peer = |port: usize| SocketAddr::from(([1, 2, 3, 4], u16::try_from(port).expect("a port")));
        for port in 0..2 * MAX_REMEMBERED {
            versions.reached(peer(port), Version::One);
            versions.reached(peer(port), Version::One);
        }
        assert_eq!(versions.old.len(), MAX_REMEMBERED);
        assert_eq!(versions.order(peer(0))[0], Version::Two);
        assert_eq!(versions.order(peer(2 * MAX_REMEMBERED - 1))[0], Version::One);
    }
}
