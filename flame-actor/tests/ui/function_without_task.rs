use flame_actor::{Task, task};

fn call<T: Task>(_: T) {}

async fn plain(n: u32) -> u32 {
    n
}

#[task]
async fn marked(n: u32) -> u32 {
    n
}

fn main() {
    call(plain(1));
    call(plain);
    call(marked(1));
    call(marked);
}
