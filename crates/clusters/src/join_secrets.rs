//! The secrets with which nodes join a cluster, as masters publish them.

use kernel::Result;
use nodewire::{JoinTicket, bounds};
use serde::{Deserialize, Serialize};

use crate::node;
use crate::{ClusterId, ClustersDeps, tokens};

/// Join secrets as stored (sealed).
#[derive(Serialize, Deserialize)]
pub(crate) struct JoinSecrets {
    pub(crate) remote_addrs: Vec<String>,
    pub(crate) worker_token: String,
    pub(crate) manager_token: String,
    /// PEM of the CA of the cluster's API if the cluster has a separate one.
    #[serde(default)]
    pub(crate) ca: Option<String>,
}

impl JoinSecrets {
    pub(crate) fn ticket(&self, is_master: bool) -> JoinTicket {
        let token = if is_master {
            &self.manager_token
        } else {
            &self.worker_token
        };
        // Earlier releases stored any number; the newest ones are the last ones.
        let surplus = self.remote_addrs.len().saturating_sub(bounds::ADDRESSES);
        JoinTicket {
            remote_addrs: self.remote_addrs[surplus..].to_vec(),
            token: token.clone(),
        }
    }
}

/// Unseals the stored join secrets of a cluster.
pub(crate) fn open_join_secrets(
    d: &ClustersDeps,
    cluster: &ClusterId,
    sealed: &str,
) -> Result<JoinSecrets> {
    let purpose = tokens::join_purpose(cluster);
    Ok(serde_json::from_str(
        &d.sealer.unseal_text(&purpose, sealed)?,
    )?)
}

/// PEM of the CA of the cluster's API if it is not the CA of the cluster.
pub(crate) async fn api_ca(d: &ClustersDeps, cluster: &ClusterId) -> Result<Option<String>> {
    let Some(sealed) = node::table::swarm(&d.db, cluster).await?.join_sealed else {
        return Ok(None);
    };
    Ok(open_join_secrets(d, cluster, &sealed)?.ca)
}
