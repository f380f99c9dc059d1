//! The client of a control plane: as scenarios, against what is no control plane, and through its restarts.

mod bucket;
mod choosing;
mod crash;
mod mistakes;
mod plane;
mod proxy;
mod tls;
mod waits;
mod workers;
