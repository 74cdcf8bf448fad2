//! What `failure` maps is an error, or a text.

use flame_actor::task;

struct Code(u8);

#[task(failure)]
fn count() -> Result<u64, Code> {
    Err(Code(1))
}

fn main() {
    let _ = count().map_err(|Code(code)| code);
}
