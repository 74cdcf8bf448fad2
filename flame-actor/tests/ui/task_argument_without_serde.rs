use flame_actor::{Task, task};

fn call<T: Task>(_: T) {}

struct Opaque(u32);

#[task]
async fn takes(width: u32, opaque: Opaque) -> u32 {
    width + opaque.0
}

fn main() {
    call(takes::task(1, Opaque(1)));
}
