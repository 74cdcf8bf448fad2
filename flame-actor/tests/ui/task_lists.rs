use flame_actor::{Task, task};

fn call<T: Task>(_: T) {}

#[task]
async fn twice<T: Clone>(value: T) -> Vec<T> {
    vec![value.clone(), value]
}

#[task(u32, (u32, u8, u8))]
fn pair<A, B>(a: A, b: B) -> (A, B) {
    (a, b)
}

#[task((u32, u8, u8))]
fn other_pair<A, B>(a: A, b: B) -> (A, B) {
    (a, b)
}

#[task(u32)]
fn plain(n: u32) -> u32 {
    n
}

fn main() {}
