//! Changes of the etcd members by a running master after another one was lost:
//! removes the dead member, adds its successor as a learner, and promotes it
//! when it has caught up. Uses etcd's JSON gateway of the local member.

use std::path::Path;
use std::time::Duration;

use kernel::{Error, Result};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::api::Api;
use super::plan::PKI;
use crate::engine::text;

const CLIENTS: &str = "127.0.0.1:2379";
const LOOK: Duration = Duration::from_millis(200);

/// A client of the local member.
///
/// # Errors
/// Invalid `certificate`: the files of the client are missing.
pub(crate) fn client() -> Result<Api> {
    Api::trusting("etcd-ca", CLIENTS, Path::new(PKI), "etcd-client")
}

/// A member in the list; one that never started has no name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    id: String,
    urls: Vec<String>,
    learner: bool,
}

/// As in the flags of etcd.
fn url(address: &str) -> String {
    format!("https://{address}:2380")
}

async fn ask(api: &Api, what: &str, body: &Value) -> Result<Value> {
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
    let said = ask(api, "list", &json!({})).await?;
    let members = said["members"].as_array().into_iter().flatten();
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

/// Repeats until it succeeds; the last failure at the deadline.
async fn retry_until(until: Instant, work: impl AsyncFn() -> Result<String>) -> Result<String> {
    loop {
        match work().await {
            Err(e) if Instant::now() < until => {
                crate::report::log_line(format_args!("{}", crate::report::plain(&e)));
                sleep(LOOK).await;
            }
            Err(e) => return Err(Error::timeout(e.message)),
            done => return done,
        }
    }
}

/// Removes the members at the lost addresses and adds one at `address` as a
/// learner. Its node has not started, so an existing member with its address is
/// the dead one or a previous attempt.
///
/// # Errors
/// Timeout, with etcd's last error: there is no quorum.
pub(crate) async fn add(
    api: &Api,
    address: &str,
    lost: &[String],
    until: Instant,
) -> Result<String> {
    let own = url(address);
    retry_until(until, async || {
        let gone: Vec<String> = lost.iter().map(|a| url(a)).collect();
        for member in list(api).await? {
            if member.urls.iter().any(|u| *u == own || gone.contains(u)) {
                ask(api, "remove", &json!({ "ID": member.id })).await?;
            }
        }
        let learner = json!({ "peerURLs": [&own], "isLearner": true });
        ask(api, "add", &learner).await?;
        Ok(format!("{own} is a member without a vote"))
    })
    .await
}

/// Promotes the member at `address` once it has caught up.
///
/// # Errors
/// Timeout, with etcd's last error.
pub(crate) async fn promote(api: &Api, address: &str, until: Instant) -> Result<String> {
    let own = url(address);
    retry_until(until, async || {
        let all = list(api).await?;
        let Some(member) = all.iter().find(|m| m.urls.contains(&own)) else {
            return Err(Error::unavailable(format!("etcd: {own} is no member")));
        };
        if member.learner {
            ask(api, "promote", &json!({ "ID": member.id })).await?;
        }
        Ok(format!("{own} has a vote"))
    })
    .await
}
