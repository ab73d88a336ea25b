//! The members of etcd, changed by a living master when another is lost: the
//! dead one goes, its successor comes without a vote and gets one when it has
//! caught up. By etcd's JSON gateway on this master's own member.

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

/// The way to this master's own member.
///
/// # Errors
/// Invalid `certificate`: the files of the client are missing.
pub(crate) fn client() -> Result<Api> {
    Api::trusting("etcd-ca", CLIENTS, Path::new(PKI), "etcd-client")
}

/// A member as the list has it; one that never started has no name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    id: String,
    urls: Vec<String>,
    learner: bool,
}

/// As the flags of etcd have it.
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

/// Repeats until it works; the reason of the last failure at the deadline.
async fn insist(until: Instant, work: impl AsyncFn() -> Result<String>) -> Result<String> {
    loop {
        match work().await {
            Err(e) if Instant::now() < until => {
                crate::report::say(format_args!("{}", crate::report::plain(&e)));
                sleep(LOOK).await;
            }
            Err(e) => return Err(Error::timeout(e.message)),
            done => return done,
        }
    }
}

/// Forgets the members at the lost addresses and takes one at `address` that
/// has no vote yet. Its node has not started: what is there under its address
/// is the dead one, or an attempt before this.
///
/// # Errors
/// Timeout, with etcd's last words: there is no quorum.
pub(crate) async fn add(
    api: &Api,
    address: &str,
    lost: &[String],
    until: Instant,
) -> Result<String> {
    let own = url(address);
    insist(until, async || {
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

/// Gives the member at `address` its vote once it has caught up.
///
/// # Errors
/// Timeout, with etcd's last words.
pub(crate) async fn promote(api: &Api, address: &str, until: Instant) -> Result<String> {
    let own = url(address);
    insist(until, async || {
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
