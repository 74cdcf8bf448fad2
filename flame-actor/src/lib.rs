//! Actors over nodes.
