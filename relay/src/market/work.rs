//! Proving the work of a new identity, on all cores.

use std::num::NonZero;
use std::sync::OnceLock;
use std::thread;

use ggen_shared::id::Network;
use ggen_shared::record::{self, Inception, Prover, Work};

/// What a new identity is to prove, and who wants to know how it goes.
#[derive(Clone, Copy)]
pub struct Proving<'a> {
    /// Of [`Work::MIN_LEVEL`] to [`Work::MAX_LEVEL`]: 2^level tries are needed on the average, and give four record indices each.
    pub level: u8,
    /// Told of each try, by any thread.
    pub tried: &'a (dyn Fn() + Sync),
}

impl Proving<'_> {
    /// The least that everybody's network takes, which nobody watches.
    pub const LEAST: Self = Self { level: Work::MIN_LEVEL, tried: &|| {} };

    /// The inception with the work that its network asks for; as it is where none is. Blocks, for seconds or minutes.
    ///
    /// # Errors
    /// [`record::Error::Field`] when there is no such level.
    pub fn prove(self, inception: Inception, network: &Network) -> Result<Inception, record::Error> {
        if !network.asks_for_work() {
            return Ok(inception);
        }
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let provers =
            (0..threads).map(|_| Prover::new(inception.clone(), self.level)).collect::<Result<Vec<_>, _>>()?;
        let found = OnceLock::new();
        let search = |first: usize, mut prover: Prover| {
            for nonce in (first as u64..).step_by(threads) {
                if found.get().is_some() {
                    return;
                }
                if let Some(proven) = prover.attempt(nonce) {
                    // Another thread may have been faster: one is enough.
                    _ = found.set(proven);
                }
                (self.tried)();
            }
        };
        thread::scope(|scope| {
            for (first, prover) in provers.into_iter().enumerate() {
                scope.spawn(move || search(first, prover));
            }
        });
        Ok(found.into_inner().expect("the threads end when one of them has found it"))
    }
}
