//! An existing actor, made remote.
//!
#![doc = include_str!("../docs/chat_room.md")]
