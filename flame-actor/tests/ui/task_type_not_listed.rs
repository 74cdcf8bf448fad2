use flame_actor::{Task, task};

fn call<T: Task>(_: T) {}

#[task(u32, String)]
async fn twice<T: Clone>(value: T) -> Vec<T> {
    vec![value.clone(), value]
}

fn main() {
    call(twice::task(1_u32));
    call(twice::task(1_u8));
}
