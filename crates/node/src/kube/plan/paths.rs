//! Paths in a node.

pub(crate) const BIN: &str = "/usr/local/bin";
pub(crate) const ETC: &str = "/etc/kubernetes";
pub(crate) const PKI: &str = "/etc/kubernetes/pki";
/// Data directory of etcd, on a volume.
pub(crate) const ETCD_DATA: &str = "/var/lib/etcd/data";
pub(crate) const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";
