//! The worker and its handlers, as real processes on a real store.

mod contract;
mod endings;
mod helpers;
mod leases;
mod stopping;
mod unread;
