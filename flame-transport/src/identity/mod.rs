//! Who may link to whom: one authority a parent, one certificate a node, mutual TLS 1.3 and nothing else.
//!
//! An [`Authority`] lives in the memory of one parent process and signs two sorts of leaves: the parent's own,
//! good only for being dialled, and one for each runner, good only for dialling. Trust is in that authority alone,
//! so that a certificate of another parent, or of another life of this parent, is worth nothing here.

mod authority;
mod credentials;
mod name;
mod tls;

pub use authority::{Authority, IdentityError};
pub use credentials::Credentials;

pub(crate) use authority::{AFTER, MAX_VALID_FOR};
pub(crate) use name::{Fingerprint, RunnerName, fingerprint};
pub(crate) use tls::{dialer, listener};
