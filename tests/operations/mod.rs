//! What an operator does to a store as a whole: looks at it, copies it, brings it back, upgrades it, and runs out of things.

mod backup;
mod check;
mod descriptors;
mod sample;
mod schemas;
