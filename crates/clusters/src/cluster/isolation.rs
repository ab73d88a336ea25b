//! How far the nodes of a cluster are separated from their host.

use kernel::{Ctx, Enforcer, Error, Result, Rule};

use crate::policies;
use crate::template::ops::own_target;

/// The isolation level of a cluster, fixed at its creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Nodes are near-privileged containers: root in a node, and so every member
    /// of the cluster's project, can become root on the host.
    HostRoot,
}

db::stored_enum! { Isolation: HostRoot = "host-root" }

impl Isolation {
    /// The level of all nodes that the infrastructure offers today.
    pub(crate) const OFFERED: Self = Self::HostRoot;

    /// The policy rule that permits a project to create clusters of this level.
    fn create_rule(self) -> &'static Rule {
        match self {
            Self::HostRoot => &policies::CLUSTER_CREATE_HOST_ROOT,
        }
    }

    /// # Errors
    /// Forbidden, naming the level and the rule.
    pub(crate) fn check_create(self, enforcer: &dyn Enforcer, ctx: &Ctx) -> Result<()> {
        let rule = self.create_rule();
        if enforcer.allows(rule, ctx, &own_target(ctx)) {
            return Ok(());
        }
        Err(Error::forbidden(format!(
            "Policy doesn't allow {} to be performed: clusters on this installation have the \
             isolation level {}, which this project may not use.",
            rule.name,
            self.as_stored()
        )))
    }
}
