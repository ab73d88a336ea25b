//! State of a running Kubernetes node, and what its parts share.

use std::net::{Ipv4Addr, SocketAddr};

use nodewire::{Peers, Welcome};
use tokio::sync::watch;

use super::addons::AddonInstaller;
use super::components::Supervisor;
use super::plan::{Component, Facts};
use crate::boot::Boot;

/// Marks that the etcd of this master once had a quorum.
pub(super) const QUORUM: &str = "etcd-quorum";

/// A running Kubernetes node.
pub(super) struct Node<'a> {
    pub(super) boot: &'a Boot,
    pub(super) supervisor: Supervisor,
    pub(super) peers: watch::Sender<Option<Peers>>,
    /// The welcome that an earlier boot has stored.
    pub(super) kept: Option<Welcome>,
    /// Whether containerd answers.
    pub(super) containerd: watch::Sender<bool>,
    /// Whether containerd has the images of the node.
    pub(super) images: watch::Sender<bool>,
    pub(super) addons: AddonInstaller,
}

impl Node<'_> {
    /// Waits until a flag is set. This never returns if the part that sets the
    /// flag has failed.
    pub(super) async fn wait_for(&self, flag: &watch::Sender<bool>) {
        // `self` holds the sender, so the channel cannot close.
        let _ = flag.subscribe().wait_for(|up| *up).await;
    }

    /// Starts a component with its arguments, unless it was started before.
    pub(super) fn begin(&self, facts: &Facts, component: Component) {
        self.supervisor.start(component, facts.arguments(component));
    }

    /// Whether the etcd of this master was once part of a quorum.
    pub(super) fn had_etcd_quorum(&self) -> bool {
        self.boot.home.join(QUORUM).exists()
    }
}

/// The address of a port on the loopback interface.
pub(super) fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
