//! Pools: settings, policies, and the state machine that decides when to boot, place, queue and retire.

pub mod machine;
pub mod policy;
pub mod settings;
