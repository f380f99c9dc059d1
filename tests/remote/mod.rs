//! The client of a control plane: as scenarios, against what is no control plane, and through its restarts.

mod mistakes;
mod plane;
mod waits;
mod workers;
