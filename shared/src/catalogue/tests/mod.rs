mod entries;
mod order;
mod registry;
mod search;
mod versions;
