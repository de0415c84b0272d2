//! Search: text to tokens, what a person typed to a query, a match to a rank, and a relay's answer to verified results.

pub mod ahead;
pub mod analyser;
pub mod filter;
mod nfkc;
pub mod query;
pub mod rank;
pub mod verified;
