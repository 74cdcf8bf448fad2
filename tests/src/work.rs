//! Actors and tasks that look at the process they are in, or do harm to it.

use std::{
    fs,
    time::{Duration, Instant},
};

use actix::prelude::*;
use flame_actor::{CallError, Context as Carried, ContextValue, Pool, RemoteRecipient, remote, task};
use serde::{Deserialize, Serialize};

/// Counts, on whatever runner it is.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Counter(pub u64);

impl Actor for Counter {
    type Context = Context<Self>;
}

/// Adds to the counter; the answer is the sum.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
pub struct Add(pub u64);

#[remote]
impl Handler<Add> for Counter {
    type Result = u64;

    fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
        self.0 += n;
        self.0
    }
}

/// A task has begun, in the process of this id.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub struct Begun(pub u32);

/// A task has come to a [`Gate`](crate::support::Gate), in the process of this id; answered when it opens.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub struct Arrived(pub u32);

/// The process that runs it.
#[task]
pub async fn process_id() -> u32 {
    std::process::id()
}

/// Says that it has begun, and returns after this many milliseconds.
#[task]
pub async fn take(milliseconds: u64, begun: RemoteRecipient<Begun>) -> u32 {
    begun.do_send(Begun(std::process::id()));
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    std::process::id()
}

/// Puts a line into the runner's log.
#[task]
pub async fn log(words: String) {
    tracing::info!(answer = 42, "{words}");
}

/// Puts so many lines into the runner's log, as fast as it can.
#[task]
pub async fn log_much(words: String, lines: u64) {
    for _ in 0..lines {
        tracing::info!("{words}");
    }
}

/// Ends the process with this exit code.
#[task]
pub async fn exit(code: i32) {
    std::process::exit(code);
}

/// Comes to a gate and waits there.
#[task]
pub async fn hold(gate: RemoteRecipient<Arrived>) -> u32 {
    let _ = gate.send(Arrived(std::process::id())).await;
    std::process::id()
}

/// Gives back what it got.
#[task]
pub async fn echo(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

/// Panics with these words.
#[task]
pub async fn panicking(words: String) {
    panic!("{words}");
}

/// Says that it has begun, and keeps its arbiter's thread for this time: it awaits nothing.
#[task]
pub async fn never_yield(milliseconds: u64, begun: RemoteRecipient<Begun>) -> u32 {
    begun.do_send(Begun(std::process::id()));
    std::thread::sleep(Duration::from_millis(milliseconds));
    std::process::id()
}

/// Keeps a processor busy for this time, on a thread for that.
#[task]
pub fn calculate(milliseconds: u64) -> u32 {
    let end = Instant::now() + Duration::from_millis(milliseconds);
    while Instant::now() < end {
        std::hint::spin_loop();
    }
    std::process::id()
}

/// Ends the process as a failed allocation or a double panic does.
#[task]
pub async fn abort() {
    std::process::abort();
}

/// Takes memory until there is none.
#[task]
pub fn eat_memory() {
    let mut eaten = Vec::new();
    loop {
        eaten.push(vec![1_u8; 1 << 20]);
        std::hint::black_box(&eaten);
    }
}

/// Opens files until that is refused; how many that were, and the words of the refusal.
#[task]
pub async fn use_up_files() -> (usize, String) {
    let mut open = Vec::new();
    loop {
        match fs::File::open("/dev/null") {
            Ok(file) => open.push(file),
            Err(error) => return (open.len(), error.to_string()),
        }
    }
}

/// Writes to a file; the error's words.
#[task]
pub async fn write_file(path: String, bytes: u64) -> Result<(), String> {
    fs::write(path, vec![1; bytes as usize]).map_err(|error| error.to_string())
}

/// Comes to a gate, and says from which process when it is let go or cancelled.
#[task]
pub async fn hold_until_dropped(gate: RemoteRecipient<Arrived>, dropped: RemoteRecipient<Begun>) {
    struct Last(RemoteRecipient<Begun>);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.do_send(Begun(std::process::id()));
        }
    }
    let _last = Last(dropped);
    let _ = gate.send(Arrived(std::process::id())).await;
}

/// Says that it has begun, and once more when this file is there.
#[task]
pub async fn begin_again_after(file: String, begun: RemoteRecipient<Begun>) -> u32 {
    begun.do_send(Begun(std::process::id()));
    while !fs::exists(&file).unwrap_or(false) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    begun.do_send(Begun(std::process::id()));
    std::process::id()
}

/// Adds this many milliseconds, slowly: it sleeps on its arbiter's thread.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "u64")]
pub struct AddSlowly(pub u64);

#[remote]
impl Handler<AddSlowly> for Counter {
    type Result = u64;

    fn handle(&mut self, AddSlowly(milliseconds): AddSlowly, _: &mut Context<Self>) -> u64 {
        std::thread::sleep(Duration::from_millis(milliseconds));
        self.0 += milliseconds;
        self.0
    }
}

/// Panics in the handler.
#[derive(Debug, Message, Serialize, Deserialize)]
#[rtype(result = "()")]
pub struct Break;

#[remote]
impl Handler<Break> for Counter {
    type Result = ();

    fn handle(&mut self, _: Break, _: &mut Context<Self>) {
        panic!("broken by a message");
    }
}

/// Says that it has begun, and never comes to an await.
#[task]
pub async fn spin(begun: RemoteRecipient<Begun>) {
    begun.do_send(Begun(std::process::id()));
    loop {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Wants more memory than any machine has.
#[task]
pub async fn want_memory() -> usize {
    std::hint::black_box(Vec::<u8>::with_capacity(isize::MAX.unsigned_abs())).capacity()
}

/// What goes along with a call.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Tenant(pub String);

impl ContextValue for Tenant {
    const NAME: &'static str = "tenant";
}

/// The process that runs it, and those of the calls below.
#[task]
pub async fn processes_below(pool: String, depth: u32) -> Vec<u32> {
    let mut pids = vec![std::process::id()];
    if depth > 0
        && let Ok(below) = Pool::named(&pool)
        && let Ok(more) = below.call(processes_below::task(pool, depth - 1)).await
    {
        pids.extend(more);
    }
    pids
}

/// The tenants of its own context, and of those of the calls below.
#[task]
pub async fn tenants_below(pool: String, depth: u32) -> Vec<Option<String>> {
    let mut tenants = vec![Carried::current().get::<Tenant>().map(|tenant| tenant.0.clone())];
    if depth > 0
        && let Ok(below) = Pool::named(&pool)
        && let Ok(more) = below.call(tenants_below::task(pool, depth - 1)).await
    {
        tenants.extend(more);
    }
    tenants
}

/// Has another pool run [`take`].
#[task]
pub async fn nested_take(
    pool: String,
    milliseconds: u64,
    begun: RemoteRecipient<Begun>,
) -> Result<u32, CallError> {
    match Pool::named(&pool) {
        Ok(pool) => pool.call(take::task(milliseconds, begun)).await,
        Err(_) => Err(CallError::NotRegistered),
    }
}

/// Calls a pool from a thread and a runtime of its own: its process, and the one that was called.
#[task]
pub fn call_from_a_thread(pool: String) -> (u32, u32) {
    let called = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        runtime.block_on(async { Pool::named(&pool).ok()?.call(process_id::task()).await.ok() })
    });
    (std::process::id(), called.join().ok().flatten().unwrap_or_default())
}
