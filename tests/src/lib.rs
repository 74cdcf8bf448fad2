//! Support for the tests across crates and processes.
