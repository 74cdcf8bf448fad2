//! A place in another file, as a second version of a crate has it.

use std::panic::Location;

pub(super) const HERE: &Location<'static> = Location::caller();
