mod entries;
mod members;
mod order;
mod registry;
mod search;
mod statuses;
mod versions;
