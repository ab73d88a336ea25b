//! Support for servers of the previous release, which only have protocol 1:
//! reports through it why this node will not become ready, so that the status
//! of the cluster shows the reason.

use hyper::{Method, header};
use kernel::{Error, Result, clock};
use nodewire::{Hello, PREFIX, Step, StepStatus, Steps};

use super::refusal;
use crate::http::{self, JSON, Server, Stream, run_with_connection};

pub(super) async fn report_failure(
    server: &Server,
    stream: Stream,
    hello: &Hello,
    why: &str,
) -> Result<()> {
    let steps = Steps {
        steps: vec![Step {
            name: "hello".into(),
            status: StepStatus::Failed,
            at_micros: clock::now().as_micros(),
            log: why.to_owned(),
        }],
    };
    let calls = [
        ("hello", serde_json::to_vec(hello)?),
        ("steps", serde_json::to_vec(&steps)?),
    ];
    let (mut sender, connection) = server.http1(stream).await?;
    let work = async {
        for (path, body) in calls {
            let uri = format!("{PREFIX}/{path}");
            let mut request = http::request(Method::POST, &uri, JSON, http::full(body))?;
            let bearer = format!("Bearer {}", hello.session);
            let bearer = bearer.parse().map_err(Error::internal)?;
            request.headers_mut().insert(header::AUTHORIZATION, bearer);
            let answer = server.send(&mut sender, request).await?;
            let answer = server.read(answer).await?;
            if !answer.status.is_success() {
                return Err(refusal(path, answer.status, &answer.body));
            }
        }
        Ok(())
    };
    run_with_connection(connection, work).await
}
