//! The promises, tested: rules, a model, a simulation, broken disks, many threads and processes.
//! Each test names what it holds; `tests/mutants.sh` shows that they can fail.

mod commands;
mod disk;
mod found;
mod invariants;
mod model;
mod power;
mod run;
mod simulation;
mod transitions;
mod world;
