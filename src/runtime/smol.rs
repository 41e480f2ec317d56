//! The portable backend.
