mod order;
mod registry;
mod search;
mod versions;
