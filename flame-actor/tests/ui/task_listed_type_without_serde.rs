use flame_actor::{Task, task};

fn call<T: Task>(_: T) {}

struct Opaque;

#[task(u32, Opaque)]
async fn generic<T>(value: T) -> usize {
    size_of_val(&value)
}

fn main() {
    call(generic::task(1_u32));
}
