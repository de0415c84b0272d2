//! The one place where there are threads: for much work of parts that do not depend on each other, which a relay has at its start.

/// The stack of a thread: the deepest map needs a few hundred bytes for each bit of its longest key.
#[cfg(not(target_family = "wasm"))]
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// What some work makes of each part, in order. Where there are no threads, and where there is one core, one part after the other.
pub(crate) fn map<T: Send, R: Send>(parts: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    #[cfg(not(target_family = "wasm"))]
    {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(parts.len());
        if threads > 1 {
            return on_threads(threads, parts, work);
        }
    }
    parts.into_iter().map(work).collect()
}

#[cfg(not(target_family = "wasm"))]
fn on_threads<T: Send, R: Send>(threads: usize, parts: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    use std::sync::{Mutex, PoisonError};
    use std::thread;

    let left = Mutex::new(parts.into_iter().enumerate());
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run = || {
        let mut done = Vec::new();
        while let Some((at, part)) = next() {
            done.push((at, work(part)));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        let spawn = |_| thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, run);
        // A system that has no more threads to give only makes it slower.
        let others: Vec<_> = (1..threads).map_while(|at| spawn(at).ok()).collect();
        let mut done = run();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_are_in_the_order_of_the_parts() {
        for count in [0, 1, 2, 1000] {
            let parts: Vec<u32> = (0..count).collect();
            let expected: Vec<_> = parts.iter().map(|part| part * 2).collect();
            assert_eq!(super::map(parts, |part| part * 2), expected);
        }
    }
}
