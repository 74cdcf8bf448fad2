//! A block captures what it names, by value, and only what can travel.

use flame_actor::task_fn;

struct Socket;

fn main() {
    let (n, text, socket) = (1u32, "borrowed", Socket);
    let factor = 3;
    let _ = task_fn!(|n: u32| -> u32 { n * factor });
    let _ = task_fn!(|n: u64| -> u64 { n });
    let _ = task_fn!(|text: &str| -> usize { text.len() });
    let _ = task_fn!(|socket: Socket| { drop(socket) });
    let _ = task_fn!(|missing: u32| -> u32 { missing });
    let _ = (text, n, factor);
}
