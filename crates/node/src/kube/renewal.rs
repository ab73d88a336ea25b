//! Renews certificates of a Kubernetes node in time. The key stays the same, so
//! key and certificate always match, and a file is replaced atomically.
//!
//! According to the sources of Kubernetes 1.36 and etcd 3.7, the API server, etcd
//! and the kubelet use a new certificate for new connections. Clients with a
//! kubeconfig, and the API server as a client of kubelets, check their files every
//! five minutes and close connections that use an old certificate. Only components
//! that would use an old certificate for too long are restarted.
//!
//! The server renews a CA for the same key when a third of its life is left, and
//! sends it with the next certificate. Most components read the file of a CA
//! only when they start, and trust it until it ends. They are restarted once, at
//! a random time, so that masters do not restart etcd together.

use kernel::Timestamp;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use kernel::{Result, clock, ids};
use nodewire::{Purpose, Role};
use tokio::time::sleep;

use super::certificates;
use super::node::Node;
use super::plan::{Component, Facts, Minor, PKI};

use crate::boot::Never;
use crate::report::{log_line, plain};
use crate::retry::Backoff;
use crate::term::{ValidityPeriod, sleep_duration};

/// Time after which clients certainly use a new file: client-go checks its files
/// every five minutes.
const RELOAD_TIME: Duration = Duration::from_secs(6 * 60);
/// The first release whose kubelet reloads its serving certificate.
const KUBELET_RELOADS: Minor = 31;
/// Certificates that become due within this time are renewed together.
const BATCH: Duration = Duration::from_secs(1);

/// Maximum delay between a new certificate of a CA and the restart of its readers.
/// The delay is also at most a hundredth of the lifetime of certificates.
const SPREAD: Duration = Duration::from_secs(600);

/// The components that read the file of a CA when they start.
fn ca_readers(role: Role) -> &'static [Component] {
    const ALL: &[Component] = &[
        Component::Kubelet,
        Component::Proxy,
        Component::Etcd,
        Component::Apiserver,
        Component::ControllerManager,
        Component::Scheduler,
    ];
    match role {
        Role::Manager => ALL,
        Role::Worker => &ALL[..2],
        Role::Balancer => &[],
    }
}

/// The component that must be restarted, because it would use the old certificate
/// for too long; `left` is the remaining lifetime of that certificate.
fn component_to_restart(purpose: Purpose, minor: Minor, left: Duration) -> Option<Component> {
    let late = left < RELOAD_TIME;
    match purpose {
        Purpose::Kubelet if late || minor < KUBELET_RELOADS => Some(Component::Kubelet),
        Purpose::KubeProxy if late => Some(Component::Proxy),
        Purpose::ControllerManager if late => Some(Component::ControllerManager),
        Purpose::Scheduler if late => Some(Component::Scheduler),
        _ => None,
    }
}

impl Node<'_> {
    /// Renews due certificates, until dropped.
    pub(super) async fn renew(&self, facts: &Facts) -> Result<Never> {
        let mut known = self.boot.welcomed.subscribe();
        // `self` holds the sender, so the channel cannot close.
        let _ = known.wait_for(|yes| *yes).await;
        let early = ids::jitter();
        let mut backoff = Backoff::new(500, 60_000);
        let file = |name: &str| Path::new(PKI).join(format!("{name}.crt"));
        loop {
            let now = clock::now();
            let mut due = Vec::new();
            let mut next = Timestamp::MAX;
            for wanted in certificates::wanted(facts.role) {
                let term = ValidityPeriod::of(&file(wanted.1));
                let at = term.map_or(now, |t| t.due(early));
                if at <= now + BATCH {
                    due.push((wanted, term.map_or(Duration::ZERO, |t| t.left(now))));
                } else {
                    next = next.min(at);
                }
            }
            if due.is_empty() {
                sleep(sleep_duration(next, now)).await;
                continue;
            }
            let mut stale = BTreeSet::new();
            let mut failed = None;
            let mut spread = None;
            for (wanted, left) in due {
                match certificates::renew(&self.boot.channel, &facts.node, wanted).await {
                    Ok(is_ca_new) => {
                        stale.extend(component_to_restart(wanted.0, facts.minor, left));
                        if is_ca_new {
                            let life = ValidityPeriod::of(&file(wanted.1)).map(|t| t.left(now));
                            spread = Some(SPREAD.min(life.unwrap_or_default() / 100));
                            stale.extend(ca_readers(facts.role));
                        }
                    }
                    Err(e) => failed = Some(format!("{}: {}", wanted.1, plain(&e))),
                }
            }
            if let Some(spread) = spread {
                log_line("a CA has a new certificate");
                sleep(spread.mul_f64(ids::jitter())).await;
            }
            for component in &stale {
                self.supervisor.restart(*component);
            }
            match failed {
                // A refusal is retried, too: a server whose database was restored
                // may refuse until it is repaired.
                Some(why) => {
                    log_line(format_args!("a certificate is not renewed yet: {why}"));
                    backoff.pause().await;
                }
                None => {
                    log_line("certificates are renewed");
                    backoff = Backoff::new(500, 60_000);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_notices_too_late_is_restarted() {
        let (soon, far) = (Duration::from_secs(30), Duration::from_secs(30 * 86_400));
        for (purpose, minor, left, component) in [
            (Purpose::Kubelet, 36, far, None),
            (Purpose::Kubelet, 20, far, Some(Component::Kubelet)),
            (Purpose::Kubelet, 36, soon, Some(Component::Kubelet)),
            (Purpose::KubeProxy, 36, far, None),
            (Purpose::KubeProxy, 36, soon, Some(Component::Proxy)),
            (
                Purpose::ControllerManager,
                36,
                soon,
                Some(Component::ControllerManager),
            ),
            (Purpose::Scheduler, 20, soon, Some(Component::Scheduler)),
            (Purpose::Apiserver, 20, soon, None),
            (Purpose::Etcd, 20, soon, None),
        ] {
            assert_eq!(
                component_to_restart(purpose, minor, left),
                component,
                "{purpose:?}"
            );
        }
    }
}
