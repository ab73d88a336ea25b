//! The process stops before and after every call to the host; the next process
//! continues without leftovers or duplicates.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use flow::Reconciler;
use infra::sim::Simulator;
use infra::{
    Actor, ContainerHost, ContainerSpec, ContainerView, Events, HostInfo, ImageStore, ImageView,
    Reservations, VolumeStore, VolumeView,
};
use kernel::{Result, ids};
use tokio::sync::Notify;

use super::Fixture;
use crate::api::ServerStatus;
use crate::{Compute, ComputeConfig};

/// A host that stops at the n-th gate, normally for ever.
struct CrashingHost {
    inner: Simulator,
    left: AtomicI64,
    stopped: Notify,
    /// Resumes the stopped call, like a machine that wakes up.
    resume: Notify,
}

impl CrashingHost {
    fn new(inner: Simulator, at: i64) -> Arc<Self> {
        Arc::new(Self {
            inner,
            left: AtomicI64::new(at),
            stopped: Notify::new(),
            resume: Notify::new(),
        })
    }

    async fn gate(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            self.stopped.notify_one();
            self.resume.notified().await;
        }
    }
}

#[async_trait]
impl ContainerHost for CrashingHost {
    async fn info(&self) -> Result<HostInfo> {
        self.inner.info().await
    }
    async fn list(&self) -> Result<Vec<ContainerView>> {
        ContainerHost::list(&self.inner).await
    }
    async fn inspect(&self, name_or_id: &str) -> Result<Option<ContainerView>> {
        self.gate().await;
        self.inner.inspect(name_or_id).await
    }
    async fn create(&self, actor: Actor, spec: &ContainerSpec) -> Result<String> {
        self.gate().await;
        let id = self.inner.create(actor, spec).await?;
        self.gate().await;
        Ok(id)
    }
    async fn start(&self, actor: Actor, id: &str) -> Result<()> {
        self.inner.start(actor, id).await?;
        self.gate().await;
        Ok(())
    }
    async fn stop(&self, actor: Actor, id: &str, seconds: i64) -> Result<()> {
        self.inner.stop(actor, id, seconds).await
    }
    async fn remove(&self, actor: Actor, id: &str) -> Result<()> {
        self.gate().await;
        ContainerHost::remove(&self.inner, actor, id).await?;
        self.gate().await;
        Ok(())
    }
    async fn reservations(&self, installation: &str) -> Result<Reservations> {
        self.inner.reservations(installation).await
    }
    async fn release(&self, name: &str) -> Result<()> {
        self.inner.release(name).await?;
        self.gate().await;
        Ok(())
    }
    async fn logs(&self, name_or_id: &str, lines: u32) -> Result<String> {
        self.inner.logs(name_or_id, lines).await
    }
    async fn events(&self) -> Result<Events> {
        ContainerHost::events(&self.inner).await
    }
}

#[async_trait]
impl VolumeStore for CrashingHost {
    async fn volumes(&self) -> Result<Vec<VolumeView>> {
        self.inner.volumes().await
    }
    async fn remove_volume(&self, actor: Actor, name: &str) -> Result<()> {
        self.inner.remove_volume(actor, name).await?;
        self.gate().await;
        Ok(())
    }
}

#[async_trait]
impl ImageStore for CrashingHost {
    async fn images(&self) -> Result<Vec<ImageView>> {
        self.inner.images().await
    }
    async fn has_image(&self, reference: &str) -> Result<bool> {
        self.inner.has_image(reference).await
    }
    async fn pull(&self, reference: &str) -> Result<()> {
        self.inner.pull(reference).await
    }
}

/// Runs all due keys one after the other.
async fn drain(w: &Fixture, reconcilers: &[Arc<dyn Reconciler>]) {
    let owner = ids::uuid();
    let kinds: Vec<&str> = reconcilers.iter().map(|r| r.kind()).collect();
    loop {
        let leases = db::claim_for(&w.db, &kinds, &owner, 8, Duration::from_secs(60))
            .await
            .unwrap();
        if leases.is_empty() {
            match db::next_due(&w.db, &kinds).await.unwrap() {
                None => return,
                Some(_) => tokio::task::yield_now().await,
            }
        }
        for lease in leases {
            let run = reconcilers.iter().find(|r| r.kind() == lease.kind).unwrap();
            let next = run.run(&lease).await.unwrap();
            db::complete(&w.db, &lease, &next.into()).await.unwrap();
        }
    }
}

/// Runs one server process until nothing is due or the gate is reached.
async fn live(w: &Fixture, at: i64) -> bool {
    db::release_all(&w.db).await.unwrap();
    let host = CrashingHost::new(w.sim.clone(), at);
    let compute = Compute::new(
        w.db.clone(),
        host.clone(),
        w.network.api(),
        ComputeConfig::new("test"),
        w.compute.sealer.clone(),
    );
    let mut reconcilers = w.network.reconcilers();
    reconcilers.extend(compute.reconcilers());
    let life = async {
        tokio::select! {
            () = drain(w, &reconcilers) => false,
            () = host.stopped.notified() => true,
        }
    };
    tokio::time::timeout(Duration::from_secs(30), life)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_stop_at_any_call_changes_nothing() {
    let (mut gate, mut stopped) = (0, true);
    while stopped {
        let w = Fixture::new().await;
        let net = w.net().await;
        let new = w.server(&net);
        w.create(&new).await;
        stopped = live(&w, gate).await;
        live(&w, i64::MAX).await;
        let s = w.show(&new.id).await.unwrap();
        assert_eq!(s.status, ServerStatus::Active, "gate {gate}: {s:?}");
        assert_eq!(ContainerHost::list(&w.sim).await.unwrap().len(), 1);
        assert!(w.compute.leaks().await.unwrap().is_empty());

        w.api.servers.delete(&w.ctx, &new.id).await.unwrap();
        let in_delete = live(&w, gate).await;
        live(&w, i64::MAX).await;
        assert!(w.show(&new.id).await.is_none());
        w.assert_clean().await;
        stopped = stopped || in_delete;
        gate += 1;
    }
    assert!(gate > 4, "only {gate} gates were met");
}

#[tokio::test]
async fn a_delete_during_the_build_wins() {
    for gate in 0..4 {
        let w = Fixture::new().await;
        let net = w.net().await;
        let new = w.server(&net);
        w.create(&new).await;
        assert!(live(&w, gate).await);
        w.api.servers.delete(&w.ctx, &new.id).await.unwrap();
        live(&w, i64::MAX).await;
        assert!(w.show(&new.id).await.is_none());
        w.assert_clean().await;
    }
}

#[tokio::test]
async fn a_late_container_of_a_lost_lease_is_removed() {
    let w = Fixture::new().await;
    let net = w.net().await;
    let new = w.server(&net);
    w.create(&new).await;
    drain(&w, &w.network.reconcilers()).await;
    // A worker claims the key and is suspended before it creates the
    // container …
    let host = CrashingHost::new(w.sim.clone(), 0);
    let compute = Compute::new(
        w.db.clone(),
        host.clone(),
        w.network.api(),
        ComputeConfig::new("test"),
        w.compute.sealer.clone(),
    );
    let claim = db::claim_for(&w.db, &["server"], "sleeper", 1, Duration::ZERO)
        .await
        .unwrap();
    let late = tokio::spawn(async move { compute.reconcilers()[0].run(&claim[0]).await });
    host.stopped.notified().await;
    // … another one removes the server meanwhile …
    w.api.servers.delete(&w.ctx, &new.id).await.unwrap();
    live(&w, i64::MAX).await;
    assert!(w.show(&new.id).await.is_none());
    // … and the first one resumes.
    host.resume.notify_one();
    let e = late.await.unwrap().unwrap_err();
    assert!(e.message.contains("lease"), "{e}");
    w.compute.sweep().await.unwrap();
    assert!(ContainerHost::list(&w.sim).await.unwrap().is_empty());
    w.assert_clean().await;
}
