//! The bounds of exchanges, against servers on a socket that misbehave.

use std::path::Path;

use kernel::Kind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use super::*;

fn server(socket: &Path) -> Server {
    Server {
        endpoint: Endpoint::Socket(socket.to_owned()),
        name: "the engine".into(),
        limits: Limits {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(1),
            bytes: 100,
        },
    }
}

/// Calls a server that answers a connection with these bytes, then waits.
async fn answered(answer: &'static [u8]) -> Result<Answer> {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut received = vec![0; 4096];
        let length = stream.read(&mut received).await.unwrap();
        let received = String::from_utf8_lossy(&received[..length]).to_lowercase();
        assert!(received.starts_with("get /x?y http/1.1\r\n"), "{received}");
        assert!(received.contains("\r\nhost: localhost\r\n"), "{received}");
        let _ = stream.write_all(answer).await;
        std::future::pending::<()>().await;
    };
    let request = request(Method::GET, "/x?y", JSON, full("")).unwrap();
    let server = server(&socket);
    tokio::select! {
        () = serve => panic!("the server ended"),
        done = server.call(request) => done,
    }
}

#[tokio::test]
async fn answers_are_bounded_in_size_and_time() {
    let whole =
        answered(b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\nretry-after: 7\r\n\r\nno").await;
    let whole = whole.unwrap();
    assert_eq!((whole.status.as_u16(), &whole.body[..]), (404, &b"no"[..]));
    assert_eq!(whole.headers["retry-after"], "7");

    for long in [
        // One answer announces its length, the other does not.
        &b"HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n70\r\n0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901",
    ] {
        let long = long.to_vec().leak();
        let e = answered(long).await.err().unwrap();
        assert!(matches!(e.kind, Kind::Unavailable { .. }), "{e}");
    }
    let e = answered(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let e = e.err().unwrap();
    assert_eq!(e.kind, Kind::Timeout);
    assert_eq!(e.message, "/x: no answer from the engine in 1 s");
    let e = answered(b"\0\0\0\r\n\r\n").await.err().unwrap();
    assert!(e.message.starts_with("the engine: "), "{e}");
}

#[tokio::test]
async fn an_absent_server_is_unavailable() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(&dir.path().join("none"));
    let request = request(Method::GET, "/", JSON, full("")).unwrap();
    let e = server.call(request).await.err().unwrap();
    assert!(matches!(e.kind, Kind::Unavailable { .. }), "{e}");
    assert!(super::request(Method::GET, "/a b\n", JSON, full("")).is_err());
}

#[test]
fn parts_of_paths_are_encoded() {
    assert_eq!(
        query("spec.nodeName=a/b?ä"),
        "spec.nodeName%3Da%2Fb%3F%C3%A4"
    );
}
