//! Values that the app registers by their type.

use std::{
    any::Any,
    sync::{Arc, OnceLock},
};

use bytes::{Bytes, BytesMut};
use flame_transport::codec::{self, EncodeError};
use serde::{Serialize, de::DeserializeOwned};

/// A type of which a value can go along in a [`Context`](super::Context).
///
/// # Examples
///
/// ```
/// use flame_actor::{Context, ContextValue};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct RequestId(u64);
///
/// impl ContextValue for RequestId {
///     const NAME: &'static str = "request-id";
/// }
///
/// let context = Context::current().with(RequestId(7));
/// assert_eq!(context.get::<RequestId>().map(|id| id.0), Some(7));
/// ```
pub trait ContextValue: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What the value is called on the wire: at most 64 bytes, and no other type's name in the app.
    const NAME: &'static str;
}

/// A value of a context cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// What came is no such value.
    #[error("the value {name:?} of the context cannot be decoded: {message}")]
    Decode {
        /// Its name.
        name: String,
        /// The decoder's words.
        message: String,
    },
    /// The value is of another type: two types of the app have one name.
    #[error(
        "the value {name:?} of the context is of another type: two implementations of ContextValue share the name"
    )]
    OtherType {
        /// The name of both.
        name: String,
    },
}

/// One value.
#[derive(Clone)]
pub(super) struct Value {
    name: Arc<str>,
    form: Form,
}

type Typed = Arc<dyn Any + Send + Sync>;

#[derive(Clone)]
enum Form {
    /// It was set here.
    Set { value: Typed, encode: fn(&Typed, &mut BytesMut, usize) -> Result<(), EncodeError> },
    /// It came with a message, and is decoded when it is wanted.
    Came { bytes: Bytes, decoded: Arc<OnceLock<Result<Typed, String>>> },
}

impl Value {
    pub(super) fn new<T: ContextValue>(value: T) -> Self {
        Self { name: T::NAME.into(), form: Form::Set { value: Arc::new(value), encode: encode::<T> } }
    }

    pub(super) fn came(name: &str, bytes: Bytes) -> Self {
        Self { name: name.into(), form: Form::Came { bytes, decoded: Arc::default() } }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn get<T: ContextValue>(&self) -> Result<Arc<T>, ContextError> {
        let typed = match &self.form {
            Form::Set { value, .. } => value,
            Form::Came { bytes, decoded } => decoded
                .get_or_init(|| match codec::decode::<T>(bytes) {
                    Ok(value) => Ok(Arc::new(value)),
                    Err(error) => Err(error.to_string()),
                })
                .as_ref()
                .map_err(|message| ContextError::Decode {
                    name: self.name.to_string(),
                    message: message.clone(),
                })?,
        };
        let typed = Arc::clone(typed).downcast();
        typed.map_err(|_| ContextError::OtherType { name: self.name.to_string() })
    }

    /// Appends the value's encoding, of at most `limit` bytes.
    pub(super) fn encode(&self, out: &mut BytesMut, limit: usize) -> Result<(), EncodeError> {
        match &self.form {
            Form::Set { value, encode } => encode(value, out, limit),
            Form::Came { bytes, .. } => {
                out.extend_from_slice(bytes);
                Ok(())
            }
        }
    }
}

fn encode<T: ContextValue>(value: &Typed, out: &mut BytesMut, limit: usize) -> Result<(), EncodeError> {
    match value.downcast_ref::<T>() {
        Some(value) => codec::encode(value, out, limit),
        // Not reached: both come from `Value::new`.
        None => Ok(()),
    }
}
