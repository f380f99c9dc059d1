//! Which test holds each bound.
