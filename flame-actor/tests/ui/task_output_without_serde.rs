use flame_actor::{Task, task};

fn call<T: Task>(_: T) {}

struct Opaque(u32);

#[task]
async fn gives(width: u32) -> Result<Opaque, String> {
    Ok(Opaque(width))
}

fn main() {
    call(gives::task(1));
}
