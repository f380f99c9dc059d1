//! Bounds that no single field has.
