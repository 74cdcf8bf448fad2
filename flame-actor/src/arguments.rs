//! The arguments of a task on the wire: a tuple of any length.
//!
//! The attribute writes one call for each argument and gives it the place of the argument's type, so that the compiler
//! points there when the type cannot travel.

use std::marker::PhantomData;

use serde::{
    Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error, SeqAccess, Visitor},
    ser::SerializeTuple,
};

/// Writes the arguments one by one.
#[derive(Debug)]
pub struct WriteArguments<S: Serializer>(S::SerializeTuple);

impl<S: Serializer> WriteArguments<S> {
    /// Begins a tuple of `count` arguments.
    pub fn new(serializer: S, count: usize) -> Result<Self, S::Error> {
        serializer.serialize_tuple(count).map(Self)
    }

    /// Writes the next one.
    pub fn next<T: Serialize>(&mut self, argument: &T) -> Result<(), S::Error> {
        self.0.serialize_element(argument)
    }

    /// Ends the tuple.
    pub fn end(self) -> Result<S::Ok, S::Error> {
        self.0.end()
    }
}

/// A task that is made of its arguments.
pub trait FromArguments: Sized {
    /// How many there are.
    const COUNT: usize;

    /// Reads them in the function's order.
    fn from_arguments<'de, A: SeqAccess<'de>>(arguments: ReadArguments<A>) -> Result<Self, A::Error>;
}

/// Reads the arguments one by one.
#[derive(Debug)]
pub struct ReadArguments<A> {
    rest: A,
    read: usize,
}

impl<'de, A: SeqAccess<'de>> ReadArguments<A> {
    /// Reads the next one.
    #[expect(clippy::should_implement_trait, reason = "an iterator has items of one type")]
    pub fn next<T: DeserializeOwned>(&mut self) -> Result<T, A::Error> {
        let argument = self.rest.next_element()?;
        let argument =
            argument.ok_or_else(|| Error::invalid_length(self.read, &"more arguments of a task"))?;
        self.read += 1;
        Ok(argument)
    }
}

/// Reads a task.
pub fn read_arguments<'de, T: FromArguments, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_tuple(T::COUNT, Arguments(PhantomData))
}

struct Arguments<T>(PhantomData<T>);

impl<'de, T: FromArguments> Visitor<'de> for Arguments<T> {
    type Value = T;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the {} arguments of a task", T::COUNT)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, arguments: A) -> Result<T, A::Error> {
        T::from_arguments(ReadArguments { rest: arguments, read: 0 })
    }
}
