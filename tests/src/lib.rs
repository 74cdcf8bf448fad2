//! Tests across crates and processes. They see what a user of the published crates sees: `tests/new_crate.rs` follows the
//! README in a crate of its own.
