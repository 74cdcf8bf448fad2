async fn plain(n: u32) -> u32 {
    n
}

fn main() {
    let _ = plain::task(1);
}
