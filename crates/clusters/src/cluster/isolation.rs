//! How far the nodes of a cluster are separated from their host: chosen when the
//! cluster is created, and kept for its whole life.

use std::collections::BTreeMap;

use compute::api::{Isolation, NodeFlavour, OfferedIsolation};
use kernel::{Ctx, Error, Result, Rule};

use crate::coe::isolation::LABEL;
use crate::errors::bad_request;
use crate::template::ops::own_target;
use crate::{ClustersDeps, policies};

/// Why nodes of other images have no user namespace.
const FOREIGN_IMAGE: &str = "images that Jeroboam did not build have been tried with host-root only; use an image \
     that `jeroboam image build` makes";

/// The level of a new cluster: that of its label, otherwise the strongest that the
/// hosts offer for its image.
///
/// # Errors
/// 400 for a level that no host offers, with what is missing; Forbidden, naming the
/// level and the rule, for one that the project may not use.
pub(crate) async fn choose(
    d: &ClustersDeps,
    ctx: &Ctx,
    labels: &BTreeMap<String, String>,
    image: NodeFlavour,
) -> Result<Isolation> {
    let offered = if image == NodeFlavour::Own {
        d.compute.hosts.isolation().await?
    } else {
        OfferedIsolation::host_root(FOREIGN_IMAGE)
    };
    let wanted = labels.get(LABEL).filter(|word| !word.is_empty());
    let level = match wanted {
        Some(word) => Isolation::from_stored(&word.to_ascii_lowercase())?,
        None => offered.level,
    };
    let missing = offered.missing.as_deref().unwrap_or_default();
    if !offered.includes(level) {
        return Err(bad_request(
            "labels",
            format!(
                "property \"labels/{LABEL}\" with value \"{level}\" is not supported by the host \
                 of this installation: {missing}"
            ),
        ));
    }
    let rule = create_rule(level);
    if d.enforcer.allows(rule, ctx, &own_target(ctx)) {
        return Ok(level);
    }
    let reason = match (level, wanted) {
        (Isolation::HostRoot, None) => {
            format!(" The host does not offer user-namespace: {missing}.")
        }
        (Isolation::HostRoot, Some(_)) if offered.missing.is_none() => {
            format!(" Leave the label {LABEL} out for the level user-namespace.")
        }
        _ => String::new(),
    };
    Err(Error::forbidden(format!(
        "Policy doesn't allow {} to be performed: this project may not create clusters of the \
         isolation level {level}.{reason}",
        rule.name
    )))
}

/// The policy rule that permits a project to create clusters of this level.
fn create_rule(level: Isolation) -> &'static Rule {
    match level {
        Isolation::HostRoot => &policies::CLUSTER_CREATE_HOST_ROOT,
        Isolation::UserNamespace => &policies::CLUSTER_CREATE_USER_NAMESPACE,
    }
}
