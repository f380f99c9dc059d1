//! The command line, as a real process on a real store.

mod help;
mod limits;
mod output;
mod stores;
mod verbs;
