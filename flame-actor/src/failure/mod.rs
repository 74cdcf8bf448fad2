//! [`Failure`]: an error that travels, whatever it was made from.

mod response;

use std::{error::Error, fmt};

use serde::{Deserialize, Serialize};

pub use response::{MapFailure, failure_result};

/// An error that travels to another node: the message of the error that it was made from, and those of its sources.
///
/// Few error types are serde types, so `Result<u32, io::Error>` cannot be the answer of a remote handler, or the output
/// of a task. `Result<u32, Failure>` can. It is made by `?` and `into` from what can be a `Box<dyn Error + Send + Sync>`:
/// the errors of the standard library and of most crates, `anyhow::Error` and its like, and `String` and `&str`.
///
/// A handler or function that returns an error of its own stays as it is with the option `failure` of
/// [`#[remote]`](macro@crate::remote#errors-of-the-handlers-own) and [`#[task]`](macro@crate::task#errors-of-the-functions-own).
///
/// # What is kept
///
/// The texts, from the error itself to the last of its [sources](Error::source), at most [`Failure::MAX_CHAIN`]. The type
/// of the error is not: there is no downcast on the other node. Where the caller has to tell errors apart, give the
/// handler an error type with serde's derives instead.
///
/// `Display` writes the whole chain in one line, `Debug` over several as `anyhow` does. Like `anyhow::Error` it does not
/// implement [`Error`], or it could not be made from all that do; [`into_error`](Failure::into_error) has one.
///
/// # Examples
///
/// ```
/// use flame_actor::Failure;
///
/// fn port() -> Result<u16, Failure> {
///     Ok(std::fs::read_to_string("/no/such/file")?.trim().parse()?)
/// }
///
/// let failure = port().unwrap_err();
/// assert!(failure.message().contains("No such file"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Failure {
    message: String,
    sources: Vec<String>,
}

impl Failure {
    /// The most sources of an error that are kept.
    pub const MAX_CHAIN: usize = 32;

    /// The words of the error itself.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The words of the error, then those of each error that led to it.
    pub fn chain(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.message.as_str()).chain(self.sources.iter().map(String::as_str))
    }

    /// The same as an [`Error`] with sources, for what takes one: `outcome.map_err(Failure::into_error)?` in a function that
    /// returns `Box<dyn Error>` or `anyhow::Error`.
    #[must_use]
    pub fn into_error(self) -> impl Error + Send + Sync + 'static {
        // Bounded here too: what came from a peer may have any length, and dropping a chain recurses.
        let sources = self.sources.into_iter().take(Self::MAX_CHAIN).rev();
        let source = sources.fold(None, |source, message| Some(Box::new(Link { message, source })));
        Link { message: self.message, source }
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let sources = std::iter::successors(error.source(), |&source| source.source());
        Self {
            message: error.to_string(),
            sources: sources.take(Self::MAX_CHAIN).map(ToString::to_string).collect(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.sources.iter().try_for_each(|source| write!(f, ": {source}"))
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.sources.is_empty() {
            f.write_str("\n\nCaused by:")?;
        }
        self.sources.iter().try_for_each(|source| write!(f, "\n    {source}"))
    }
}

/// One error of a chain.
#[derive(Debug)]
struct Link {
    message: String,
    source: Option<Box<Link>>,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Link {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
