//! Hints for failed bootstrap steps of swarm nodes.

/// One sentence for the reader of `status_reason`.
pub(crate) fn hint(step: &str, log: &str) -> &'static str {
    let log = log.to_lowercase();
    if log.contains("no space left") {
        return "Free disk space on the host of this node, delete the cluster and create it again.";
    }
    if log.contains("cannot allocate memory") || log.contains("out of memory") {
        return "Choose a larger flavor, or free memory on the host of this node.";
    }
    if step.contains("engine") || step.contains("docker") {
        return "The container engine did not start inside the node: run `jeroboam doctor` on its host.";
    }
    if step.contains("join") {
        return "Check that the first manager is up and that ports 2377, 7946 and 4789 are open between the nodes.";
    }
    if step.contains("cert") || step.contains("csr") || step.contains("tls") {
        return "Check the clock of the host and the state of the cluster's CA (`openstack coe ca show`).";
    }
    "`jeroboam cluster show` lists every step of every node."
}
