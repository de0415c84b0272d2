//! What an answer says of its releases: statuses, which are verified when a release is there that they are about.

use super::{Hit, Refused, RefusedError, SearchAnswer};
use crate::id::Network;
use crate::record::{Status, Unverified};

/// The statuses of an answer that no release needed yet, with their places in it.
pub(super) struct Said<'a> {
    network: &'a Network,
    left: Vec<(usize, Unverified<Status>)>,
}

impl<'a> Said<'a> {
    /// Reads the statuses of an answer. In the order of what is refused, they stand behind its releases.
    pub(super) fn read(answer: &SearchAnswer, network: &'a Network, refused: &mut Vec<Refused>) -> Self {
        let mut left = Vec::new();
        for (at, bytes) in answer.statuses.iter().enumerate() {
            let index = answer.releases.len() + answer.recent.len() + at;
            match Unverified::decode(bytes) {
                Ok(status) => left.push((index, status)),
                Err(error) => refused.push(Refused { index, error: error.into() }),
            }
        }
        Self { network, left }
    }

    /// Gives a hit what is said of its version. Of several statuses, the first: an honest relay sends the one that decides.
    pub(super) fn about(&mut self, hit: &mut Hit) -> Result<(), Refused> {
        let is_about_it = |(_, status): &(usize, Unverified<Status>)| {
            let status = status.claims();
            status.version == hit.release.version && status.package() == hit.release.package()
        };
        let Some(at) = self.left.iter().position(is_about_it) else { return Ok(()) };
        let (index, status) = self.left.swap_remove(at);
        let status = hit.key_log.verify(status, self.network);
        hit.status = Some(status.map_err(|error| Refused { index, error: error.into() })?);
        Ok(())
    }

    /// Refuses what no release needed.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = Refused> {
        self.left.drain(..).map(|(index, _)| Refused { index, error: RefusedError::Surplus })
    }
}

#[cfg(test)]
#[path = "said_tests.rs"]
mod tests;
