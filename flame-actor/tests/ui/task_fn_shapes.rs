//! What `task_fn!` takes: a closure with types.

use flame_actor::task_fn;

fn main() {
    let (n, pair) = (1u32, (1u32, 2u32));
    let _ = task_fn!(|n| n + 1);
    let _ = task_fn!(|(a, b): (u32, u32)| -> u32 { a + b });
    let _ = task_fn!(|n: u32| n + 1);
    let _ = task_fn!(n + 1);
    let _ = task_fn!(|n: &mut u32| { *n += 1 });
    let _ = pair;
}
