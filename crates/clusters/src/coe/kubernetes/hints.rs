//! What to do when a bootstrap step of a Kubernetes node fails.

/// One sentence for the reader of `status_reason`. The log is a better
/// indication of the cause than the name of the step.
pub(crate) fn hint(step: &str, log: &str) -> &'static str {
    // Deprecation warnings are not the cause.
    let log: String = log
        .to_lowercase()
        .lines()
        .filter(|line| !line.contains("deprecat"))
        .collect();
    let logs = |words: &[&str]| words.iter().any(|w| log.contains(w));
    let steps = |words: &[&str]| words.iter().any(|w| step.contains(w));
    if logs(&["no space left", "disk quota"]) {
        return "Free disk space on the host of this node, delete the cluster and create it again.";
    }
    // The log of this component lists everything that it reads.
    if steps(&["kubeadm", "k3s"]) {
        return "The image's own tool failed: docs/node-flavours.md says how it is run; its log is in the node (`docker logs`, `journalctl`).";
    }
    if logs(&[
        "cannot allocate memory",
        "out of memory",
        "lack of memory",
        "oom-kill",
        "oomkill",
        "signal: killed",
        "sigkill",
        "invalid node allocatable",
    ]) {
        return "Choose a larger flavor, or free memory on the host of this node.";
    }
    if logs(&["too many open files"]) {
        return "All nodes of a host share its inotify instances: raise fs.inotify.max_user_instances there (`sysctl -w fs.inotify.max_user_instances=1024`).";
    }
    if logs(&["address already in use", "port is already", "bind:"]) {
        return "Another process of this node uses the port: find it in the log, or choose another port by the template's apiserver_port.";
    }
    if logs(&["x509", "certificate", "clock"]) || steps(&["cert", "csr", "tls", "keys"]) {
        return "Check the clock of the host and the state of the cluster's CA (`openstack coe ca show`).";
    }
    if logs(&["unknown flag", "no such flag", "unrecognized"]) {
        return "A component does not support one of its flags: remove it from the label that ends in _options. Without such a label, the node agent and the Kubernetes version of the image do not match: build the image again with `jeroboam image build kubernetes`.";
    }
    if logs(&["cgroup", "operation not permitted"]) || steps(&["prepare", "mount"]) {
        return "The host does not permit the cgroups or mounts of the node: run `jeroboam doctor` on the host.";
    }
    if logs(&[
        "no such file",
        "not found",
        "exec format",
        "invalid tar",
        "unexpected eof",
        "could not be run",
        "shared librar",
    ]) || steps(&["image"])
    {
        return "The node image is incomplete or broken: build it again with `jeroboam image build kubernetes`.";
    }
    if logs(&["ends again and again"]) {
        return "A program of the node ends repeatedly. Its last lines contain the reason; if they do not, build the image again with `jeroboam image build kubernetes`.";
    }
    if steps(&["etcd"]) {
        return "etcd did not start: look at its log, and at the latency and free space of the disk of this node.";
    }
    if steps(&["containerd", "runtime", "engine"]) {
        return "containerd did not start inside the node: run `jeroboam doctor` on its host.";
    }
    if steps(&["apiserver", "api"]) {
        return "The API server did not become ready: look at its log and at etcd's, and give the masters a flavor of 2 GiB.";
    }
    if steps(&["network", "cni", "route", "peers"]) {
        return "Check that ports 8472/udp and 10250/tcp are open between the nodes and that no other network uses the pod range.";
    }
    if steps(&["kubelet", "register", "ready", "join"]) {
        return "Check that the first master is up and that port 6443 is open from this node to it.";
    }
    if steps(&["dns", "addon"]) {
        return "The cluster's DNS did not become ready: look at the pods of namespace kube-system.";
    }
    "`jeroboam cluster show` lists every step of every node."
}

#[cfg(test)]
mod tests {
    use super::hint;

    #[test]
    fn the_log_takes_precedence_over_the_step() {
        // A kubelet log lists its certificates as well.
        let log = "\"kubelet-server-cert-files\" inotify_init: too many open files";
        assert!(hint("node", log).contains("max_user_instances"));
        assert!(hint("etcd", "write: no space left on device").contains("disk space"));
        assert!(hint("kubelet", "unknown flag: --x").contains("_options"));
        assert!(hint("etcd", "").contains("etcd did not start"));
    }
}
