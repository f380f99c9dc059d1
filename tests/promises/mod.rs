//! The promises, tested: rules, a model, a simulation, broken disks, many threads and processes.
//! Each test names what it holds; `tests/mutants.sh` shows that they can fail.

mod across;
mod commands;
mod disk;
mod fence;
mod found;
mod group;
pub mod invariants;
mod limits;
mod live;
mod model;
mod plans;
mod power;
mod process;
mod run;
mod scale;
mod simulation;
mod surface;
mod sweep;
mod threads;
mod transitions;
mod waking;
mod world;

pub use limits::rows;
pub use process::wait;
pub use transitions::same_as_golden;
