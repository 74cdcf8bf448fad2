//! One TCP connection.

use tokio::net::{TcpListener, TcpStream};

use super::{Callee, System, mux, obey, say};

pub(super) async fn call() {
    let mut callee = Callee::spawn(System::Tcp);
    let stream = TcpStream::connect(callee.line()).await.expect("the callee");
    stream.set_nodelay(true).expect("an option");
    let (read, write) = stream.into_split();
    obey(mux::Mux::start(read, write)).await;
}

pub(super) async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    say(&listener.local_addr().expect("an address").to_string());
    let (stream, _) = listener.accept().await.expect("the caller");
    stream.set_nodelay(true).expect("an option");
    let (read, write) = stream.into_split();
    mux::serve(read, write).await;
}
