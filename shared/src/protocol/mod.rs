//! What goes over the wire: names, messages, package heads.

pub mod announcement;
pub mod head;
pub mod names;
pub mod packed;
pub mod publish;
pub mod query;
pub mod sync;

#[cfg(test)]
mod tests;
