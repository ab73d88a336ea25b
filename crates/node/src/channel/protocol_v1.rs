//! Support for servers of the previous release, which only have protocol 1:
//! reports through it why this node will not become ready, so that the status
//! of the cluster shows the reason.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use kernel::{Error, Result, clock};
use nodewire::{Hello, PREFIX, Step, StepStatus, Steps};
use serde::Serialize;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{MAX_ANSWER, refusal};
use crate::connection_driver::run_with_connection;

pub(super) async fn report_failure(
    tls: TlsStream<TcpStream>,
    server: SocketAddr,
    hello: &Hello,
    why: &str,
) -> Result<()> {
    let steps = Steps {
        steps: vec![Step {
            name: "hello".into(),
            status: StepStatus::Failed,
            at_micros: clock::now_micros(),
            log: why.to_owned(),
        }],
    };
    let away = |e: hyper::Error| Error::unavailable(format!("{server}: {e}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(tls)).await.map_err(away)?;
    let work = async {
        call(&mut sender, server, hello, "hello", hello).await?;
        call(&mut sender, server, hello, "steps", &steps).await
    };
    run_with_connection(connection, work).await
}

async fn call(
    sender: &mut SendRequest<Full<Bytes>>,
    server: SocketAddr,
    hello: &Hello,
    path: &str,
    body: &impl Serialize,
) -> Result<()> {
    let away = |e: &dyn std::fmt::Display| Error::unavailable(format!("{server}: {e}"));
    let request = Request::post(format!("{PREFIX}/{path}"))
        .header(header::HOST, server.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, format!("Bearer {}", hello.session))
        .body(Full::new(Bytes::from(serde_json::to_vec(body)?)))
        .map_err(Error::internal)?;
    sender.ready().await.map_err(|e| away(&e))?;
    let answer = sender.send_request(request).await.map_err(|e| away(&e))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ANSWER)
        .collect()
        .await
        .map_err(|e| away(&e))?;
    if status.is_success() {
        return Ok(());
    }
    Err(refusal(path, status, &body.to_bytes()))
}
