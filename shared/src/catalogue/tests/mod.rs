mod entries;
mod filters;
mod members;
mod order;
mod registry;
mod search;
mod statuses;
mod versions;
