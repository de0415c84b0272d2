//! How many files, and so connections, the system lets this process have open. Most systems let a process have 1024 until it asks for more.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::policy::MAX_OPEN_FILES;

/// Asks for as many as a relay needs, and says how many it may have now: fewer when the system allows no more.
pub fn raise() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // No number stands for no limit.
    let allowed = maximum.unwrap_or(u64::MAX);
    let Some(before) = current.filter(|current| *current < MAX_OPEN_FILES.min(allowed)) else {
        return current.unwrap_or(u64::MAX);
    };
    let wanted = MAX_OPEN_FILES.min(allowed);
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
        Ok(()) => wanted,
        Err(_) => before,
    }
}
