//! The edge-triggered backend.
