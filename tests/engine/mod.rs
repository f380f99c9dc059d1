//! The engine through its commands, on a real file.

mod idle;
mod lifecycle;
mod lists;
mod log;
mod opening;
mod together;
mod trouble;
