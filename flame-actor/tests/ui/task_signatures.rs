use flame_actor::{Task, task};

fn call<T: Task>(_: T) {}

struct Image(u32);

impl Image {
    #[task]
    async fn resize(&self, width: u32) -> u32 {
        self.0 * width
    }
}

#[task]
fn change(image: &mut u32) {
    *image += 1;
}

#[task]
fn anything(value: impl Clone) {
    drop(value);
}

#[task]
fn anything_nested(value: Option<impl Clone>) {
    drop(value);
}

#[task]
fn nested(value: Option<&str>) {
    drop(value);
}

#[task]
fn nested_lifetime<'a>(value: std::borrow::Cow<'a, str>) {
    drop(value);
}

#[task]
fn forever(value: &'static str) {
    let _ = value;
}

#[task]
fn lend(value: &str) -> &str {
    value
}

#[task]
fn hide(value: u32) -> impl Clone {
    value
}

#[task]
fn switched(#[cfg(unix)] value: u32) {}

#[task]
unsafe fn dangerous() {}

#[task]
extern "C" fn foreign() {}

#[task]
struct NoFunction;

fn main() {
    call(change::task(1));
}
