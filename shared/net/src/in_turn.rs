//! Several are asked the same, until one gives an answer that is taken.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use futures::future::{Either, select};
use futures::pin_mut;
use libp2p::PeerId;

use crate::light::Platform;

/// How long one has the question to itself. Whoever waits for an answer waits no longer for one that has died without a word, and a relay that is
/// far away, or busy, answers sooner.
const SILENCE: Duration = Duration::from_millis(1500);

/// Asks one after the other: the next one when one has failed, and also when one has kept silent for a while, whose outcome counts all the same
/// if it comes first.
pub(crate) struct InTurn<P, A, F, S> {
    platform: P,
    waiting: std::vec::IntoIter<PeerId>,
    ask: A,
    on_silence: S,
    under_way: Vec<(PeerId, Pin<Box<F>>)>,
}

impl<P: Platform, A: Fn(PeerId) -> F, F: Future, S: Fn(PeerId)> InTurn<P, A, F, S> {
    /// `ask` is called with each of `all` whose turn comes, `on_silence` with each that is waited for no longer alone.
    pub(crate) fn new(platform: P, all: Vec<PeerId>, ask: A, on_silence: S) -> Self {
        Self { platform, waiting: all.into_iter(), ask, on_silence, under_way: Vec::new() }
    }

    /// The next outcome; none when all that were asked have one.
    pub(crate) async fn next(&mut self) -> Option<F::Output> {
        if self.under_way.is_empty() {
            self.ask_next();
        }
        while let Some((newest, _)) = self.under_way.last() {
            let newest = *newest;
            if self.waiting.len() == 0 {
                return Some(first(&mut self.under_way).await);
            }
            let silence = self.platform.sleep(SILENCE);
            pin_mut!(silence);
            if let Either::Left((outcome, _)) = select(first(&mut self.under_way), silence).await {
                return Some(outcome);
            }
            (self.on_silence)(newest);
            self.ask_next();
        }
        None
    }

    fn ask_next(&mut self) {
        if let Some(peer) = self.waiting.next() {
            self.under_way.push((peer, Box::pin((self.ask)(peer))));
        }
    }
}

/// Whichever ends first; it is taken out.
fn first<F: Future>(all: &mut Vec<(PeerId, Pin<Box<F>>)>) -> impl Future<Output = F::Output> + Unpin {
    poll_fn(|context| {
        for position in 0..all.len() {
            if let Poll::Ready(outcome) = all[position].1.as_mut().poll(context) {
                drop(all.remove(position));
                return Poll::Ready(outcome);
            }
        }
        Poll::Pending
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::cell::RefCell;
    use std::future::{pending, ready};

    use futures::FutureExt;
    use ggen_shared::registry::MaybeSend;

    use super::*;

    /// A place where every pause is over at once.
    #[derive(Clone, Copy)]
    struct Hasty;

    impl Platform for Hasty {
        type Holes = libp2p::swarm::dummy::Behaviour;

        fn spawn(&self, _: impl Future<Output = ()> + MaybeSend + 'static) {
            unreachable!("nothing is begun here")
        }

        fn now(&self) -> Duration {
            Duration::ZERO
        }

        fn sleep(&self, _: Duration) -> impl Future<Output = ()> + MaybeSend + 'static {
            ready(())
        }

        fn holes(&self, _: PeerId) -> Self::Holes {
            unreachable!("there is no network")
        }

        fn swarm_config(&self) -> libp2p::swarm::Config {
            unreachable!("there is no network")
        }
    }

    /// Asks them all, of whom each answers or keeps silent: what comes, who was asked, and who was found silent.
    fn outcomes(answers: &[bool]) -> (Vec<PeerId>, Vec<PeerId>, Vec<PeerId>, Vec<PeerId>) {
        let all: Vec<PeerId> = answers.iter().map(|_| PeerId::random()).collect();
        let (asked, silent) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let ask = |peer| {
            asked.borrow_mut().push(peer);
            let answers = answers[all.iter().position(|one| *one == peer).unwrap()];
            async move { if answers { peer } else { pending().await } }
        };
        let mut turns = InTurn::new(Hasty, all.clone(), ask, |peer| silent.borrow_mut().push(peer));
        let mut came = Vec::new();
        // Where all of the rest are silent there is no end but the asker's.
        for _ in 0..answers.iter().filter(|answers| **answers).count() {
            came.extend(turns.next().now_or_never().flatten());
        }
        drop(turns);
        (all, came, asked.into_inner(), silent.into_inner())
    }

    #[test]
    fn the_next_one_is_asked_only_when_the_one_before_has_had_its_say() {
        let (all, came, asked, silent) = outcomes(&[true, true, true]);
        assert_eq!((&came, &asked), (&all, &all));
        assert_eq!(silent, []);
    }

    #[test]
    fn one_that_keeps_silent_holds_nobody_up_and_is_known_by_it() {
        let (all, came, asked, silent) = outcomes(&[false, false, true]);
        assert_eq!(came, all[2..]);
        assert_eq!(asked, all);
        assert_eq!(silent, all[..2]);
    }

    #[test]
    fn when_all_have_had_their_say_there_is_no_more() {
        let mut turns = InTurn::new(Hasty, vec![PeerId::random()], ready, |_| unreachable!("it was not silent"));
        assert!(turns.next().now_or_never().unwrap().is_some());
        assert!(turns.next().now_or_never().unwrap().is_none());
    }
}
