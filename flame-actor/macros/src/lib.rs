//! The attribute macros of flame-actor.
