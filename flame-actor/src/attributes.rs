//! The attribute macros and what they promise.

/// Makes a message deliverable to an actor from another node.
///
/// Put it on each `impl Handler<M> for A` whose messages may come from afar; the handler itself stays as it is, and
/// the actor still takes `M` from local senders. The attribute implements [`RemoteMessage<A>`](crate::RemoteMessage)
/// for `M` and registers the pair in the executable.
///
/// # What it asks for
///
/// - The actor's context is [`actix::Context<Self>`](actix::Context).
/// - The message and its result ([`Message::Result`](actix::Message)) are `Serialize`, `DeserializeOwned` and `Send`.
///   The handler may answer in any way that actix knows (`ResponseFuture`, `AtomicResponse`, …).
/// - If the actor's own type is `Serialize` and `DeserializeOwned` too, it can be placed on another node. There is
///   nothing else to write for this.
///
/// # Generic handlers
///
/// Another node finds a handler by its registered pair of types, so a generic impl lists the concrete pairs. One that
/// is not listed does not compile where it is used.
///
/// # Errors of the handler's own
///
/// A handler often returns a `Result` whose error cannot travel: `io::Error`, `anyhow::Error`. With `#[remote(failure)]` it
/// stays as it is, and its error becomes a [`Failure`](crate::Failure) on the way to whoever asked. The message says so:
/// its result is `Result<_, Failure>`, for local senders too. This works for a `Result`, and for `ResponseFuture`,
/// `ResponseActFuture` and `AtomicResponse` of one; a generic handler's list follows the word:
/// `#[remote(failure, A<u32>: M<u32>)]`.
///
/// ```
/// # use actix::prelude::*;
/// # use flame_actor::{Failure, remote};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)]
/// # struct Disk;
/// # impl Actor for Disk {
/// #     type Context = Context<Self>;
/// # }
/// #[derive(Message, Serialize, Deserialize)]
/// #[rtype(result = "Result<u64, Failure>")]
/// struct Length(String);
///
/// #[remote(failure)]
/// impl Handler<Length> for Disk {
///     type Result = std::io::Result<u64>;
///     fn handle(&mut self, Length(path): Length, _: &mut Context<Self>) -> Self::Result {
///         Ok(std::fs::metadata(path)?.len())
///     }
/// }
/// # #[actix::main]
/// # async fn main() {
/// let failure = Disk.start().send(Length("/no/such/file".into())).await.unwrap().unwrap_err();
/// assert!(failure.message().contains("No such file"));
/// # }
/// ```
///
/// # Where it works
///
/// In any module of any crate that is linked into the executable, also a private one, and in function bodies. Two
/// things are worth knowing:
///
/// - A dependency that the executable never names (`use` it, or call something of it) is not linked, so that nothing
///   in it is registered.
/// - The crate must be reachable as `flame_actor`: do not rename the dependency.
///
/// Two actor types of one name, such as those of two versions of one crate, are refused when a node starts
/// ([`RegistryError`](crate::RegistryError)).
///
/// # Examples
///
/// ```
/// use actix::prelude::*;
/// use flame_actor::remote;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Counter(u64);
/// impl Actor for Counter {
///     type Context = Context<Self>;
/// }
///
/// #[derive(Message, Serialize, Deserialize)]
/// #[rtype(result = "u64")]
/// struct Add(u64);
///
/// #[remote]
/// impl Handler<Add> for Counter {
///     type Result = u64;
///     fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
///         self.0 += n;
///         self.0
///     }
/// }
/// ```
///
/// A generic handler lists its types:
///
/// ```
/// # use actix::prelude::*;
/// # use flame_actor::remote;
/// # use serde::{Deserialize, Serialize};
/// struct Store<T>(Vec<T>);
/// impl<T: Unpin + 'static> Actor for Store<T> {
///     type Context = Context<Self>;
/// }
///
/// #[derive(Message, Serialize, Deserialize)]
/// #[rtype(result = "()")]
/// struct Put<T>(T);
///
/// #[remote(Store<u32>: Put<u32>, Store<String>: Put<String>)]
/// impl<T: Unpin + 'static> Handler<Put<T>> for Store<T> {
///     type Result = ();
///     fn handle(&mut self, Put(value): Put<T>, _: &mut Context<Self>) {
///         self.0.push(value);
///     }
/// }
/// ```
pub use flame_actor_macros::remote;
/// Makes a function a task, which a pool can run on another node.
///
/// The function stays as it is, and callable in place. Beside it stands a type of the same name, with one function:
/// `name::task(arguments)` makes a value that holds the call. One `use` imports both.
///
/// - An `async fn` runs on an arbiter of the other node: it must not block, and its future need not be `Send`.
/// - A plain `fn` runs there on a thread that is kept for blocking work.
///
/// # What it asks for
///
/// - A free function: no `self`, no `unsafe`, no `impl Trait`; any number of arguments. It may stand in a function body,
///   but not in an `impl` block.
/// - Arguments and output are `Serialize`, `DeserializeOwned`, `Send` and `'static`.
/// - A reference argument travels as its owned type ([`ToOwned`]): `&str` as `String`, `&[T]` as `Vec<T>`, `&T` as `T`.
///   `name::task` takes that owned value, and the function borrows from it on the other node. The output cannot borrow.
/// - A `pub` function has `pub` output, as any trait's associated type.
/// - No type or module in the same scope has the function's name.
///
/// # Generic functions
///
/// Another node finds a task by its registered type, so a generic function lists its concrete versions:
/// `#[task(u32, String)]`, or `#[task((u32, String), (u8, u8))]` with two parameters. One that is not listed does not
/// compile where it is used. Only the listed types, not the parameters, need to travel.
///
/// # Errors of the function's own
///
/// With `#[task(failure)]` a function may return a `Result` whose error cannot travel: the task's output has a
/// [`Failure`](crate::Failure) in its place. Called in place, the function returns what it always did. A generic function's
/// list follows the word: `#[task(failure, u32, String)]`.
///
/// ```
/// use flame_actor::{Failure, Task, task};
///
/// #[task(failure)]
/// fn length(path: &str) -> std::io::Result<u64> {
///     Ok(std::fs::metadata(path)?.len())
/// }
///
/// fn call<T: Task<Output = Result<u64, Failure>>>(_: T) {}
/// call(length::task("/etc/hosts".into()));
/// ```
///
/// # Where it works
///
/// As for [`remote`](macro@crate::remote): in each crate that is linked and that reaches this one as `flame_actor`.
///
/// # Examples
///
/// ```
/// use flame_actor::{Task, task};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Image(Vec<u8>);
///
/// /// Scales an image.
/// #[task]
/// async fn resize(image: Image, width: u32) -> Result<Image, String> {
///     if width == 0 {
///         return Err(String::from("an image needs a width"));
///     }
///     Ok(image)
/// }
///
/// #[task]
/// fn count_words(text: &str) -> usize {
///     text.split_whitespace().count()
/// }
///
/// #[task(u32, f64)]
/// fn largest<T: PartialOrd>(values: Vec<T>) -> Option<T> {
///     values.into_iter().reduce(|a, b| if b > a { b } else { a })
/// }
///
/// // In place:
/// assert_eq!(count_words("one two"), 2);
///
/// // As values that a pool takes:
/// fn call<T: Task>(_: T) {}
/// call(resize::task(Image(vec![]), 320));
/// call(count_words::task(String::from("one two")));
/// call(largest::task(vec![1.5, 2.5]));
/// ```
pub use flame_actor_macros::task;
/// Makes a task of a few lines in place, which need no function of their own.
///
/// It looks like a closure and is one that travels: it names what it captures, with the types. Each variable of such a name
/// is moved into the task. The value is what [`#[task]`](macro@crate::task) makes of a function with these parameters and
/// this body, and what is said there holds: `async` lines run on an arbiter, others on a thread that may block; a reference
/// parameter travels as its owned type, which is then what the variable has to be; `task_fn!(failure |…| …)` maps the error.
///
/// As in any function, variables that are not named, the types of a generic function around it, and its `Self` are out of
/// reach, and `return` and `?` end the block.
///
/// # Examples
///
/// ```
/// use actix::prelude::*;
/// use flame_actor::{Pool, backend::LocalBackend, task_fn};
///
/// #[actix::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let pool = Pool::builder("words").backend(LocalBackend::new()).start()?;
///     let text = String::from("to be or not to be");
///     let least = 2;
///     let count = pool
///         .call(task_fn!(|text: String, least: usize| -> usize {
///             let words: std::collections::BTreeSet<_> = text.split(' ').collect();
///             words.iter().filter(|word| word.len() >= least).count()
///         }))
///         .await?;
///     assert_eq!(count, 4);
///
///     let pause = std::time::Duration::from_millis(1);
///     pool.call(task_fn!(async |pause: std::time::Duration| {
///         actix::clock::sleep(pause).await;
///     }))
///     .await?;
///     Ok(())
/// }
/// ```
pub use flame_actor_macros::task_fn;
