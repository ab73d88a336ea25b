//! The components of a node.

use super::paths::BIN;

/// A component that runs as a separate process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Component {
    Containerd,
    Etcd,
    Apiserver,
    ControllerManager,
    Scheduler,
    Kubelet,
    Proxy,
    /// Runs only on the balancer.
    Haproxy,
}

impl Component {
    /// The program's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::Etcd => "etcd",
            Self::Apiserver => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::Proxy => "kube-proxy",
            Self::Haproxy => "haproxy",
        }
    }

    /// Path of the program in the image.
    pub(crate) fn program(self) -> String {
        let dir = if self == Self::Haproxy {
            // HAProxy is a Debian package.
            "/usr/sbin"
        } else {
            BIN
        };
        format!("{dir}/{}", self.name())
    }

    /// The step in whose reports the component appears.
    pub(crate) fn step(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::Etcd => "etcd",
            Self::Apiserver => "apiserver",
            Self::ControllerManager | Self::Scheduler => "controllers",
            Self::Kubelet | Self::Proxy => "kubelet",
            Self::Haproxy => "balancer",
        }
    }
}
