//! The packages of an answer that match, each by one release: which one, and in what order.

use std::collections::BTreeMap;

use serde_bytes::ByteBuf;

use super::said::Said;
use super::{Hit, Placed, Refused, RefusedError, is_match};
use crate::id::PackageId;
use crate::record::{Release, Version};
use crate::rules::Rules;
use crate::search::query::Query;
use crate::search::rank::Popularity;

/// The packages that match, each once.
pub(super) struct Matches<'a> {
    query: &'a Query,
    /// By package, with their places.
    pub(super) hits: BTreeMap<PackageId, (Vec<u8>, Hit)>,
    pub(super) refused: Vec<Refused>,
    pub(super) said: Said<'a>,
}

impl<'a> Matches<'a> {
    pub(super) const fn new(query: &'a Query, said: Said<'a>, refused: Vec<Refused>) -> Self {
        Self { query, hits: BTreeMap::new(), refused, said }
    }

    /// Takes a release that no checkpoint has yet, as if nothing depended on it. One that does not match has no business here.
    pub(super) fn take_recent(&mut self, index: usize, hit: Hit, rules: Rules) {
        let tokens = rules.tokens(&hit.release);
        if is_match(self.query, &hit.release, &tokens) {
            self.take(index, Placed { hit, tokens, popularity: Popularity::default() });
        } else {
            self.refused.push(Refused { index, error: RefusedError::DoesNotMatch });
        }
    }

    /// Takes a match.
    pub(super) fn take(&mut self, index: usize, Placed { mut hit, tokens, popularity }: Placed) {
        let place = self.query.place(&hit.release, &tokens, popularity);
        let package = hit.release.package();
        let known = self.hits.get(&package).map(|(_, known)| known);
        match known.filter(|known| known.release.version == hit.release.version) {
            Some(known) => hit.status.clone_from(&known.status),
            None => self.refused.extend(self.said.about(&mut hit).err()),
        }
        match known {
            Some(known) if known.in_checkpoint == hit.in_checkpoint => {
                self.refused.push(Refused { index, error: RefusedError::Twice });
            }
            // What went and came back since the checkpoint is in it.
            Some(known) if known.release.id() == hit.release.id() => {}
            // What came since the checkpoint takes the place of what was there before. Nothing proves that it is the newest, so it must not
            // take a package back; nor does it from a version that is said to be withdrawn. That may have been taken back, and the relay
            // keep quiet about it: so such a hit is marked, and stays and counts until a checkpoint is without it.
            Some(known) if standing(&hit.release) < standing(&known.release) => {}
            _ => _ = self.hits.insert(package, (place, hit)),
        }
    }

    /// How popular a recent package is can't be seen, and the relay's word is all there is: what it puts before another stands before it.
    pub(super) fn trust_order_of_recent(&mut self, recent: &[ByteBuf]) {
        let mut best: Option<Vec<u8>> = None;
        for bytes in recent.iter().rev() {
            let here =
                self.hits.values_mut().find(|(_, hit)| !hit.in_checkpoint && hit.release.bytes()[..] == bytes[..]);
            if let Some((place, _)) = here {
                let first = best.map_or_else(|| place.clone(), |best| best.min(place.clone()));
                place.clone_from(&first);
                best = Some(first);
            }
        }
    }

    pub(super) fn in_order(self) -> Vec<Result<Hit, Refused>> {
        self.page(None, usize::MAX).0
    }

    /// The first matches behind a place, what is refused behind them, and the place where more follow.
    pub(super) fn page(self, after: Option<&[u8]>, limit: usize) -> (Vec<Result<Hit, Refused>>, Option<Vec<u8>>) {
        let mut hits: Vec<_> = self.hits.into_values().collect();
        hits.retain(|(place, _)| after.is_none_or(|after| place[..] > *after));
        hits.sort_by(|(place, hit), (other_place, other)| {
            (place, hit.release.id()).cmp(&(other_place, other.release.id()))
        });
        let last = limit.checked_sub(1).and_then(|last| hits.get(last)).filter(|_| hits.len() > limit);
        let last = last.map(|(place, _)| place.clone());
        let hits = hits.into_iter().take(limit).map(|(_, hit)| Ok(hit));
        (hits.chain(self.refused.into_iter().map(Err)).collect(), last)
    }
}

/// What a release stands for its package by: a version that is no pre-release before all that are.
fn standing(release: &Release) -> (bool, &Version) {
    (!release.version.is_pre_release(), &release.version)
}
