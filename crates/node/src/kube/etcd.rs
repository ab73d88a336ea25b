//! Changes the members of etcd after a master was lost. A running master removes
//! the member of the lost master, adds its successor as a learner, and promotes
//! the learner when it has caught up. It uses the JSON gateway of the member on its node.

use std::path::Path;
use std::time::Duration;

use kernel::{Error, Result};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::api::Api;
use super::plan::PKI;
use crate::engine::text;

const CLIENTS: &str = "127.0.0.1:2379";
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// A client of the local member.
///
/// # Errors
/// Invalid `certificate`: the files of the client are missing.
pub(crate) fn client() -> Result<Api> {
    Api::trusting("etcd-ca", CLIENTS, Path::new(PKI), "etcd-client")
}

/// A member of etcd. It is identified by its URLs, because one that never started
/// has no name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    id: String,
    urls: Vec<String>,
    learner: bool,
}

/// The peer URL of a member, as in the flags of etcd.
fn peer_url(address: &str) -> String {
    format!("https://{address}:2380")
}

async fn call(api: &Api, what: &str, body: &Value) -> Result<Value> {
    let answer = api
        .post(&format!("/v3/cluster/member/{what}"), body)
        .await?;
    if answer.status == 200 {
        return Ok(answer.json());
    }
    Err(Error::unavailable(format!(
        "etcd: member {what}: {}",
        answer.message()
    )))
}

async fn list(api: &Api) -> Result<Vec<Member>> {
    let answer = call(api, "list", &json!({})).await?;
    let members = answer["members"].as_array().into_iter().flatten();
    Ok(members
        .map(|m| Member {
            id: text(&m["ID"]),
            urls: m["peerURLs"]
                .as_array()
                .into_iter()
                .flatten()
                .map(text)
                .collect(),
            learner: m["isLearner"] == true,
        })
        .collect())
}

/// Repeats `work` until it succeeds, or returns its last failure at the deadline.
async fn retry_until(until: Instant, work: impl AsyncFn() -> Result<String>) -> Result<String> {
    loop {
        match work().await {
            Err(e) if Instant::now() < until => {
                crate::report::log_line(format_args!("{}", crate::report::plain(&e)));
                sleep(POLL_INTERVAL).await;
            }
            Err(e) => return Err(Error::timeout(e.message)),
            done => return done,
        }
    }
}

/// Removes the members at the addresses `lost` and adds one at `address` as a
/// learner. The node at `address` has not started yet, so an existing member with
/// this address is that of its predecessor or of a previous attempt, and is
/// removed, too.
///
/// # Errors
/// Timeout, with etcd's last error: there is no quorum.
pub(crate) async fn add(
    api: &Api,
    address: &str,
    lost: &[String],
    until: Instant,
) -> Result<String> {
    let own = peer_url(address);
    retry_until(until, async || {
        let lost: Vec<String> = lost.iter().map(|a| peer_url(a)).collect();
        for member in list(api).await? {
            if member.urls.iter().any(|u| *u == own || lost.contains(u)) {
                call(api, "remove", &json!({ "ID": member.id })).await?;
            }
        }
        let learner = json!({ "peerURLs": [&own], "isLearner": true });
        call(api, "add", &learner).await?;
        Ok(format!("{own} is a member without a vote"))
    })
    .await
}

/// Promotes the member at `address` once it has caught up.
///
/// # Errors
/// Timeout, with etcd's last error.
pub(crate) async fn promote(api: &Api, address: &str, until: Instant) -> Result<String> {
    let own = peer_url(address);
    retry_until(until, async || {
        let all = list(api).await?;
        let Some(member) = all.iter().find(|m| m.urls.contains(&own)) else {
            return Err(Error::unavailable(format!("etcd: {own} is not a member")));
        };
        if member.learner {
            call(api, "promote", &json!({ "ID": member.id })).await?;
        }
        Ok(format!("{own} has a vote"))
    })
    .await
}
