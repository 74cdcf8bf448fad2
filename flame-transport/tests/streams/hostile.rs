//! A peer that has joined and then opens streams as no correct node does.

use bytes::Bytes;
use flame_transport::{BulkError, LinkConfig, LinkLost};

use crate::support::{drain, joined, link, soon};

#[tokio::test]
async fn a_stream_that_nobody_asked_for_ends_the_link() {
    let (parent, runner, _listener) = joined(LinkConfig::default()).await;
    let (parent, _inbox) = link(parent);
    let _asked = parent.expect_bulk();
    let (connection, _endpoint, _control, _data) = runner.into_parts();
    let mut stream = connection.open_uni().await.unwrap();
    stream.write_all(&1u64.to_le_bytes()).await.unwrap();
    let lost = soon(parent.ended()).await;
    assert!(matches!(&lost, LinkLost::Protocol { detail } if detail.contains("nobody")), "{lost:?}");
}

#[tokio::test]
async fn more_streams_than_are_allowed_cannot_be_opened_and_hold_nothing_up() {
    let (parent, runner, _listener) = joined(LinkConfig::default()).await;
    let (parent, _inbox) = link(parent);
    let asked = parent.expect_bulk();
    let (connection, _endpoint, _control, _data) = runner.into_parts();
    let mut stream = connection.open_uni().await.unwrap();
    let mut mute = Vec::new();
    while let Ok(stream) =
        tokio::time::timeout(std::time::Duration::from_millis(200), connection.open_uni()).await
    {
        mute.push(stream.unwrap());
    }
    assert_eq!(mute.len(), 255);
    // The one that was asked for is served all the same.
    stream
        .write_all(&[&asked.number().to_le_bytes()[..], &[3, b'a', b'b', b'c', 0, 0]].concat())
        .await
        .unwrap();
    stream.finish().unwrap();
    let mut receiver = soon(asked.arrived()).await.unwrap();
    assert_eq!(drain(&mut receiver).await, (b"abc".to_vec(), Ok(())));
    assert_eq!(parent.lost(), None);
}

#[tokio::test]
async fn a_second_stream_under_a_number_is_refused_and_the_first_goes_on() {
    let (parent, runner, _listener) = joined(LinkConfig::default()).await;
    let (parent, _inbox) = link(parent);
    let asked = parent.expect_bulk();
    let (connection, _endpoint, _control, _data) = runner.into_parts();
    let number = asked.number().to_le_bytes();
    let mut first = connection.open_uni().await.unwrap();
    first.write_all(&number).await.unwrap();
    let mut receiver = soon(asked.arrived()).await.unwrap();
    let mut second = connection.open_uni().await.unwrap();
    second.write_all(&number).await.unwrap();
    assert_eq!(soon(second.stopped()).await.unwrap(), Some(0u32.into()));
    first.write_all(&[1, b'x', 0, 0]).await.unwrap();
    first.finish().unwrap();
    assert_eq!(drain(&mut receiver).await, (b"x".to_vec(), Ok(())));
}

#[tokio::test]
async fn a_malformed_stream_is_an_error_of_its_reader() {
    for (what, bytes) in [
        ("an endless length", vec![0xff; 20]),
        ("an unknown outcome", vec![0, 9]),
        ("endless words", [&[0, 1][..], &[b'x'; 9000]].concat()),
    ] {
        let (parent, runner, _listener) = joined(LinkConfig::default()).await;
        let (parent, _inbox) = link(parent);
        let asked = parent.expect_bulk();
        let (connection, _endpoint, _control, _data) = runner.into_parts();
        let mut stream = connection.open_uni().await.unwrap();
        let _ = stream.write_chunk(Bytes::from([&asked.number().to_le_bytes()[..], &bytes].concat())).await;
        let mut receiver = soon(asked.arrived()).await.unwrap();
        let end = drain(&mut receiver).await.1;
        assert!(matches!(end, Err(BulkError::Malformed { .. })), "{what}: {end:?}");
    }
}
