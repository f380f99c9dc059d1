//! To be written.
pub fn main() {}
