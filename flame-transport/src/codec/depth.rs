//! How deep a value may nest, so that neither direction can overflow the stack.

/// How many sequences, maps, structs, enum variants with content and marked `Some`s may stand inside one another.
///
/// A recursive type that goes through `Option`s and newtypes alone may take as many such steps.
pub const MAX_DEPTH: u8 = 128;

/// Where in a value the codec stands.
///
/// Levels can be read off the bytes, so both sides count the same whatever the two halves of a type look like. Steps
/// through an `Option` or a newtype leave no bytes: they have a count of their own, which ends with the level and
/// stops a type that recurses through nothing else (`struct N(Option<Box<N>>)` reads any integer for ever).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Depth {
    levels: u8,
    steps: u8,
}

impl Depth {
    /// Inside a container. `None` if that is too deep.
    #[inline]
    pub(super) fn level(self) -> Option<Self> {
        self.levels(1)
    }

    /// Inside so many containers. `None` if that is too deep.
    #[inline]
    pub(super) fn levels(self, more: usize) -> Option<Self> {
        let levels = u8::try_from(usize::from(self.levels).checked_add(more)?).ok()?;
        (levels <= MAX_DEPTH).then_some(Self { levels, steps: 0 })
    }

    /// Inside an `Option` or a newtype. `None` if that is too deep.
    #[inline]
    pub(super) fn step(self) -> Option<Self> {
        (self.steps < MAX_DEPTH).then_some(Self { steps: self.steps + 1, ..self })
    }
}
