#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::content::{self, Dag, Unhashed};
use crate::limits::{CHUNK_BYTES, MAX_BLOCKS_IN_FLIGHT};

const NOW: Duration = Duration::from_secs(1_790_000_000);
const STEP: Duration = Duration::from_millis(50);

/// What a simulated provider does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    /// Sends what it is asked for, after so many steps each.
    Good(u8),
    /// Sends other bytes, from some block on.
    Wrong(u8),
    /// Says nothing.
    Silent,
    /// Sends some blocks, then nothing.
    Stalls(u8),
    /// Sends some blocks, then is gone.
    Vanishes(u8),
    /// Has none of it.
    Empty,
    /// Has every block but each third.
    Partial,
    /// Says every three seconds that it has what it is asked for, and sends nothing.
    Boasts,
}

struct Simulated {
    nature: Nature,
    /// What it is asked for, with the step in which it answers.
    asked: BTreeMap<ContentId, (Ask, u64)>,
    ever_asked: BTreeSet<ContentId>,
    answered: u8,
    free_at: u64,
}

struct World {
    dag: Dag,
    session: Session<usize>,
    providers: Vec<Simulated>,
    step: u64,
    most_asked: usize,
}

fn content_of(blocks: usize) -> Vec<u8> {
    let mut bytes = vec![0; blocks * CHUNK_BYTES - 100];
    for (number, chunk) in bytes.chunks_mut(CHUNK_BYTES).enumerate() {
        chunk[0] = u8::try_from(number).unwrap();
    }
    bytes
}

impl World {
    fn new(blocks: usize, natures: &[Nature]) -> Self {
        let dag = content::build(&content_of(blocks));
        let session = Session::new(Assembler::new(dag.content()).unwrap());
        let simulated = |nature: &Nature| Simulated {
            nature: *nature,
            asked: BTreeMap::new(),
            ever_asked: BTreeSet::new(),
            answered: 0,
            free_at: 0,
        };
        let providers = natures.iter().map(simulated).collect();
        let mut world = Self { dag, session, providers, step: 0, most_asked: 0 };
        for peer in 0..natures.len() {
            world.handle(Input::Provider { peer, in_flight: MAX_BLOCKS_IN_FLIGHT, in_runs: false, score: 0.5 });
        }
        world.handle(Input::NoMoreProviders);
        world
    }

    fn now(&self) -> Duration {
        NOW + STEP * u32::try_from(self.step).unwrap()
    }

    fn handle(&mut self, input: Input<usize>) {
        let now = self.now();
        let mut effects = self.session.handle(input, now);
        while let Some(cid) = self.session.to_look_up() {
            self.session.looked_up(&cid, None);
            effects.extend(self.session.handle(Input::Time, now));
        }
        for effect in effects {
            let Effect::Send { to, wants } = effect else { continue };
            let step = self.step;
            let provider = &mut self.providers[to];
            for want in wants {
                let cid = ContentId::try_from(want.cid).unwrap();
                let delay = if let Nature::Good(delay) = provider.nature { u64::from(delay) } else { 1 };
                match want.ask {
                    Ask::Cancel => _ = provider.asked.remove(&cid),
                    ask => {
                        let is_new = ask == Ask::Have || provider.ever_asked.insert(cid);
                        assert!(is_new, "no provider is asked twice for a block");
                        provider.free_at = provider.free_at.max(step) + delay;
                        provider.asked.insert(cid, (ask, provider.free_at));
                    }
                }
            }
            let blocks = provider.asked.values().filter(|(ask, _)| *ask == Ask::Block).count();
            self.most_asked = self.most_asked.max(blocks);
        }
    }

    /// Lets each provider answer what is due.
    fn advance(&mut self) {
        self.step += 1;
        for peer in 0..self.providers.len() {
            if self.providers[peer].nature == Nature::Boasts && self.step.is_multiple_of(60) {
                for cid in self.providers[peer].asked.keys().copied().collect::<Vec<_>>() {
                    self.handle(Input::Presence { from: peer, cid, has: true });
                }
                continue;
            }
            let due: Vec<_> = self.providers[peer]
                .asked
                .iter()
                .filter(|(_, (_, at))| *at <= self.step)
                .map(|(cid, (ask, _))| (*cid, *ask))
                .collect();
            for (cid, ask) in due {
                if let Some(input) = self.answer(peer, cid, ask) {
                    self.handle(input);
                }
            }
        }
        self.handle(Input::Time);
    }

    fn answer(&mut self, from: usize, cid: ContentId, ask: Ask) -> Option<Input<usize>> {
        let position = self.dag.blocks.iter().position(|block| block.cid == cid).unwrap();
        let provider = &mut self.providers[from];
        let (nature, answered) = (provider.nature, provider.answered);
        if matches!(nature, Nature::Silent | Nature::Boasts)
            || matches!(nature, Nature::Stalls(after) if answered >= after)
        {
            return None;
        }
        provider.asked.remove(&cid)?;
        if matches!(nature, Nature::Vanishes(after) if answered >= after) {
            return Some(Input::Failed { peer: from, reason: Reason::Unreachable("gone".into()) });
        }
        let lacks = nature == Nature::Empty || nature == Nature::Partial && position % 3 == 0;
        if lacks || ask == Ask::Have {
            return Some(Input::Presence { from, cid, has: !lacks });
        }
        provider.answered += 1;
        let mut data = self.dag.blocks[position].data.clone();
        if matches!(nature, Nature::Wrong(after) if answered >= after) {
            data[0] ^= 1;
        }
        let block = Unhashed { is_raw: cid.is_raw(), data }.hash();
        Some(Input::Block { from, block })
    }

    fn run(&mut self) -> Result<Vec<u8>, Error<usize>> {
        while !self.session.is_complete() {
            if let Some(error) = self.session.failure() {
                return Err(error);
            }
            assert!(self.step < 10_000, "the download does not end");
            self.advance();
        }
        let session = std::mem::replace(&mut self.session, Session::new(Assembler::new(self.dag.content()).unwrap()));
        Ok(session.into_assembler().into_bytes().unwrap())
    }

    fn seconds(&self) -> f64 {
        (self.now() - NOW).as_secs_f64()
    }
}

#[test]
fn several_providers_share_the_work() {
    let mut one = World::new(40, &[Nature::Good(2)]);
    let mut four = World::new(40, &[Nature::Good(2); 4]);
    assert_eq!(one.run().unwrap(), content_of(40));
    assert_eq!(four.run().unwrap(), content_of(40));
    assert!(four.seconds() < one.seconds() / 3.0, "{} s with four, {} s with one", four.seconds(), one.seconds());
    assert_eq!(one.most_asked, MAX_BLOCKS_IN_FLIGHT);
}

#[test]
fn a_provider_that_sends_wrong_bytes_is_dropped_and_named() {
    for after in [0, 3] {
        let mut world = World::new(20, &[Nature::Wrong(after), Nature::Good(1)]);
        while world.session.dropped().is_empty() && !world.session.is_complete() {
            world.advance();
        }
        let dropped = world.session.dropped().to_vec();
        assert!(matches!(&dropped[..], [Dropped { peer: 0, reason: Reason::WrongBlock(_) }]), "{dropped:?}");
        assert_eq!(world.run().unwrap(), content_of(20));
    }
}

#[test]
fn a_provider_that_stalls_is_worked_around_and_holds_nothing_up_for_long() {
    let mut world = World::new(20, &[Nature::Stalls(2), Nature::Good(1), Nature::Wrong(1)]);
    assert_eq!(world.run().unwrap(), content_of(20));
    assert!(world.seconds() < SLOW.as_secs_f64(), "{} s", world.seconds());
}

#[test]
fn what_the_only_provider_does_not_send_in_time_is_an_error_that_names_it() {
    let mut world = World::new(4, &[Nature::Stalls(2)]);
    let error = world.run().unwrap_err();
    assert!(
        matches!(&error, Error::NoProvider { dropped, .. }
        if *dropped == [Dropped { peer: 0, reason: Reason::Silent(SILENT) }]),
        "{error}"
    );
    assert!(error.to_string().contains("0 delivered nothing for 30 s"), "{error}");
}

#[test]
fn a_slow_provider_whose_blocks_came_from_others_is_asked_again_when_it_is_the_last() {
    // The first stalls with a block that the second sends; then the second is gone, and the third lacks some.
    let mut world = World::new(6, &[Nature::Silent, Nature::Vanishes(1), Nature::Partial, Nature::Silent]);
    let error = world.run().unwrap_err();
    assert!(matches!(error, Error::NoProvider { ref dropped, .. } if dropped.len() == 3), "{error}");
}

#[test]
fn who_lacks_a_part_is_asked_for_the_rest_and_nobody_who_has_nothing() {
    let mut world = World::new(20, &[Nature::Empty, Nature::Partial, Nature::Good(1)]);
    assert_eq!(world.run().unwrap(), content_of(20));
    assert!(world.providers[0].ever_asked.len() <= 1, "its first answer says it all");
    assert!(world.providers[1].ever_asked.len() > 3);
}

#[test]
fn what_no_provider_has_is_not_found() {
    let mut world = World::new(4, &[Nature::Empty, Nature::Empty]);
    assert_eq!(world.run().unwrap_err(), Error::NotFound(world.dag.root));
    let mut world = World::new(4, &[]);
    assert_eq!(world.run().unwrap_err(), Error::NoProvider { cid: world.dag.root, dropped: vec![] });
}

#[test]
fn while_providers_are_looked_for_nothing_has_failed() {
    let dag = content::build(b"small");
    let mut session: Session<usize> = Session::new(Assembler::new(dag.content()).unwrap());
    session.looked_up(&dag.root, None);
    assert_eq!(session.failure(), None);
    session.handle(Input::NoMoreProviders, NOW);
    assert!(session.failure().is_some());
}

#[test]
fn what_is_at_home_is_asked_of_nobody() {
    let dag = content::build(&content_of(5));
    let mut session: Session<usize> = Session::new(Assembler::new(dag.content()).unwrap());
    session.handle(Input::Provider { peer: 0, in_flight: 8, in_runs: false, score: 0.5 }, NOW);
    session.handle(Input::NoMoreProviders, NOW);
    let mut asked = BTreeSet::new();
    while let Some(cid) = session.to_look_up() {
        let block = dag.blocks.iter().find(|block| block.cid == cid).unwrap();
        let missing = block.data[0] == 3 && cid.is_raw();
        session.looked_up(&cid, (!missing).then(|| Unhashed { is_raw: cid.is_raw(), data: block.data.clone() }.hash()));
        for effect in session.handle(Input::Time, NOW) {
            let Effect::Send { wants, .. } = effect else { panic!("{effect:?}") };
            asked.extend(wants.iter().map(|want| ContentId::try_from(want.cid).unwrap()));
        }
    }
    assert_eq!(asked.len(), 1, "one block is missing");
    assert_eq!(session.progress().total - session.progress().done, CHUNK_BYTES as u64);
}

#[test]
fn who_is_asked_in_runs_is_asked_for_a_long_one_from_the_beginning() {
    let dag = content::build(&content_of(40));
    let mut session: Session<usize> = Session::new(Assembler::new(dag.content()).unwrap());
    session.handle(Input::Provider { peer: 0, in_flight: 32, in_runs: true, score: 0.5 }, NOW);
    let root = dag.blocks.iter().find(|block| block.cid == dag.root).unwrap();
    session.looked_up(&dag.root, Some(Unhashed { is_raw: false, data: root.data.clone() }.hash()));
    while let Some(leaf) = session.to_look_up() {
        session.looked_up(&leaf, None);
    }
    let effects = session.handle(Input::Time, NOW);
    let [Effect::Send { wants, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(wants.len(), 16);
}

#[test]
fn content_that_is_bad_by_itself_is_nobodys_fault() {
    let dag = content::build(b"five!");
    let promised = crate::record::Content { size: 6, ..dag.content() };
    let mut session: Session<usize> = Session::new(Assembler::new(promised).unwrap());
    session.looked_up(&dag.root, None);
    session.handle(Input::Provider { peer: 0, in_flight: 8, in_runs: false, score: 0.5 }, NOW);
    session.handle(Input::Block { from: 0, block: Hashed::raw(b"five!".to_vec()) }, NOW);
    assert!(matches!(session.failure(), Some(Error::Content(ContentError::WrongSize { .. }))));
    assert!(session.dropped().is_empty());
}

#[test]
fn many_providers_are_used_some_at_a_time_and_only_so_many_in_all() {
    let mut natures = vec![Nature::Vanishes(0); 2 * MAX_PROVIDERS_TRIED];
    natures[MAX_PROVIDERS + 2] = Nature::Good(1);
    let mut world = World::new(3, &natures);
    assert_eq!(world.session.providers.len(), MAX_PROVIDERS);
    assert_eq!(world.session.providers.len() + world.session.waiting.len(), MAX_PROVIDERS_TRIED);
    assert_eq!(world.run().unwrap(), content_of(3));
}

#[test]
fn the_best_is_asked_first_whenever_it_is_named() {
    let dag = content::build(b"small");
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut session: Session<usize> = Session::new(Assembler::new(dag.content()).unwrap());
        for peer in order {
            let score = [0.2, 0.9, 0.5][peer];
            assert_eq!(session.handle(Input::Provider { peer, in_flight: 8, in_runs: false, score }, NOW), []);
        }
        session.looked_up(&dag.root, None);
        let asked = session.handle(Input::Time, NOW).into_iter().filter_map(|effect| match effect {
            Effect::Send { to, wants } => wants.iter().any(|want| want.ask == Ask::Block).then_some(to),
            _ => None,
        });
        assert_eq!(asked.collect::<Vec<_>>(), [1]);
        let best_first: Vec<_> = session.providers.iter().map(|provider| provider.peer).collect();
        assert_eq!(best_first, [1, 2, 0]);
    }
}

#[test]
fn who_is_outrun_by_another_is_late_and_only_told_once() {
    let dag = content::build(&content_of(3));
    let mut session: Session<usize> = Session::new(Assembler::new(dag.content()).unwrap());
    for (peer, score) in [(0, 0.9), (1, 0.1)] {
        session.handle(Input::Provider { peer, in_flight: 8, in_runs: false, score }, NOW);
    }
    session.looked_up(&dag.root, None);
    session.handle(Input::Time, NOW);
    let block = |cid: &ContentId| dag.blocks.iter().find(|block| block.cid == *cid).unwrap().data.clone();
    let mut late = Vec::new();
    let mut now = NOW;
    while !session.is_complete() {
        now += IMPATIENT;
        let mut effects = session.handle(Input::Time, now);
        let wanted = session.providers.iter().find(|provider| provider.peer == 1);
        let asked: Vec<_> = wanted.unwrap().asked().copied().collect();
        for cid in asked {
            let block = Unhashed { is_raw: cid.is_raw(), data: block(&cid) }.hash();
            effects.extend(session.handle(Input::Block { from: 1, block }, now));
        }
        while let Some(cid) = session.to_look_up() {
            session.looked_up(&cid, None);
        }
        late.extend(effects.into_iter().filter(|effect| matches!(effect, Effect::Late(_))));
    }
    assert_eq!(late, [Effect::Late(0)]);
}

#[test]
fn providers_that_lack_it_keep_nobody_out_who_has_it() {
    let mut natures = vec![Nature::Empty; MAX_PROVIDERS + 2];
    natures.push(Nature::Good(1));
    assert_eq!(World::new(5, &natures).run().unwrap(), content_of(5));
    let mut natures = vec![Nature::Partial; MAX_PROVIDERS + 2];
    natures.push(Nature::Good(1));
    assert_eq!(World::new(5, &natures).run().unwrap(), content_of(5));
    let mut world = World::new(5, &[Nature::Empty; MAX_PROVIDERS + 2]);
    assert_eq!(world.run().unwrap_err(), Error::NotFound(world.dag.root));
}

#[test]
fn who_says_that_it_has_a_block_and_never_sends_it_is_dropped_as_silent() {
    let error = World::new(4, &[Nature::Boasts]).run().unwrap_err();
    assert!(
        matches!(&error, Error::NoProvider { dropped, .. } if dropped[0].reason == Reason::Silent(SILENT)),
        "{error}"
    );
}

fn nature() -> impl Strategy<Value = Nature> {
    prop_oneof![
        (1_u8..20).prop_map(Nature::Good),
        (0_u8..6).prop_map(Nature::Wrong),
        Just(Nature::Silent),
        (0_u8..6).prop_map(Nature::Stalls),
        (0_u8..6).prop_map(Nature::Vanishes),
        Just(Nature::Empty),
        Just(Nature::Partial),
        Just(Nature::Boasts),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn completes_whenever_one_good_provider_stays(
        mut natures in prop::collection::vec(nature(), 0..MAX_PROVIDERS_TRIED), good in any::<prop::sample::Index>(), blocks in 1_usize..24,
    ) {
        natures.insert(good.index(natures.len() + 1), Nature::Good(2));
        let mut world = World::new(blocks, &natures);
        prop_assert_eq!(world.run().unwrap(), content_of(blocks));
        prop_assert!(world.most_asked <= MAX_BLOCKS_IN_FLIGHT);
    }

    #[test]
    fn ends_whoever_the_providers_are(natures in prop::collection::vec(nature(), 0..MAX_PROVIDERS_TRIED + 4), blocks in 1_usize..8) {
        let mut world = World::new(blocks, &natures);
        if let Ok(bytes) = world.run() {
            prop_assert_eq!(bytes, content_of(blocks));
        }
        prop_assert!(world.most_asked <= MAX_BLOCKS_IN_FLIGHT);
    }
}
