//! What a pool calls its runners, its requests, and the kinds of both.

use std::fmt;

/// The number of a runner in its pool, from 1, never used twice: the last part of its name, `<pool>-<number>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunnerSeq(pub u64);

impl fmt::Display for RunnerSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a request for a slot; whoever feeds the machine picks it, and uses none twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// A kind of runner: requests with equal resources have equal classes, and only a runner that was booted for a
/// class serves it. The default class is that of requests without resources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceClass(pub u32);
