//! Scenarios on SQLite and the simulator, with crashes at every call; one on a
//! real engine with `JEROBOAM_TEST_DOCKER=1`.

mod crash;
mod faults;
mod flavours;
mod lifecycle;
mod real;
mod reservations;

use std::sync::Arc;
use std::time::Duration;

use db::Db;
use flow::{Driver, Tasks};
use infra::sim::{FaultInjector, SimConfig, Simulator};
use infra::{ContainerHost, NetworkFabric};
use kernel::{Ctx, OwnerKey, Result};
use network::api::{NewNetwork, NewSubnet};
use network::{NetworkConfig, NetworkId, NetworkService, SubnetId};
use tempfile::TempDir;

use crate::api::{Attach, Isolation, NewImage, NewServer, Server, ServerStatus};
use crate::{Compute, ComputeApi, ComputeConfig, Sealer, ServerId};

/// Reverses the text, which is sufficient to recognise sealed texts.
struct ReversingSealer;

impl Sealer for ReversingSealer {
    fn seal(&self, plain: &str) -> Result<String> {
        Ok(plain.chars().rev().collect())
    }

    fn open(&self, sealed: &str) -> Result<String> {
        self.seal(sealed)
    }
}

struct Fixture {
    _dir: TempDir,
    db: Db,
    sim: Simulator,
    network: NetworkService,
    compute: Compute,
    api: ComputeApi,
    tasks: Tasks,
    ctx: Ctx,
}

/// A small host: 1 CPU (16 vCPUs), 4 GiB (8 GiB to hand out).
fn small() -> SimConfig {
    SimConfig {
        cpus: 1,
        memory: 4 << 30,
        ..SimConfig::instant()
    }
}

impl Fixture {
    async fn new() -> Self {
        Self::under(small(), Arc::new(faults::Script::default())).await
    }

    /// A fixture in which `oracle` decides about the calls of the engine.
    async fn under(config: SimConfig, fault_injector: Arc<dyn FaultInjector>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let sim = Simulator::open_under(&path("sim.db"), config, fault_injector)
            .await
            .unwrap();
        sim.add_image("jeroboam/swarm:1", &[]).await.unwrap();
        let db = Db::connect(&format!("sqlite:{}", path("j.db")))
            .await
            .unwrap();
        let (fabric, host) = (Arc::new(sim.clone()), Arc::new(sim.clone()));
        Self::on(dir, db, sim, fabric, host, NetworkConfig::new("test")).await
    }

    async fn on(
        dir: TempDir,
        db: Db,
        sim: Simulator,
        fabric: Arc<dyn NetworkFabric>,
        host: Arc<dyn ContainerHost>,
        config: NetworkConfig,
    ) -> Self {
        let mut steps = network::migrations().to_vec();
        steps.extend_from_slice(crate::migrations());
        db.migrate(&steps).await.unwrap();
        let installation = config.installation.clone();
        let network = NetworkService::new(db.clone(), fabric, config);
        let compute = Compute::new(
            db.clone(),
            host,
            network.api(),
            ComputeConfig::new(installation),
            Arc::new(ReversingSealer),
        );
        compute.seed().await.unwrap();
        compute.seed().await.unwrap();
        let w = Self {
            _dir: dir,
            api: compute.api(),
            db,
            sim,
            network,
            compute,
            tasks: Tasks::default(),
            ctx: Ctx::for_project("req-1", "p1"),
        };
        w.register("swarm", Some("swarm"), "jeroboam/swarm:1").await;
        w
    }

    async fn register(&self, name: &str, distro: Option<&str>, reference: &str) {
        let new = NewImage {
            name: name.into(),
            os_distro: distro.map(str::to_owned),
            reference: reference.into(),
            ..NewImage::default()
        };
        self.api.images.register(&self.ctx, new).await.unwrap();
    }

    fn work(&self) {
        let mut driver = Driver::new(self.db.clone());
        for r in self
            .network
            .reconcilers()
            .into_iter()
            .chain(self.compute.reconcilers())
        {
            driver = driver.with(r);
        }
        driver.start(&self.tasks);
        self.network.watch(&self.tasks);
        self.compute.watch(&self.tasks);
    }

    async fn net(&self) -> NetworkId {
        let api = self.network.api();
        let net = NewNetwork {
            id: NetworkId::random(),
            project_id: "p1".into(),
            name: "private".into(),
            ..NewNetwork::default()
        };
        let net = api.networks.create(&self.ctx, net).await.unwrap();
        let sub = NewSubnet {
            id: SubnetId::random(),
            project_id: "p1".into(),
            network_id: net.id.clone(),
            ..NewSubnet::default()
        };
        api.subnets.create(&self.ctx, sub).await.unwrap();
        net.id
    }

    fn server(&self, net: &NetworkId) -> NewServer {
        NewServer {
            id: ServerId::random(),
            project_id: "p1".into(),
            user_id: "u1".into(),
            name: "Node_0".into(),
            image: "swarm".into(),
            flavor: "m1.tiny".into(),
            key_name: Some("default".into()),
            networks: vec![Attach::Network(net.clone())],
            user_data: Some("{\"token\":\"secret-token\"}".into()),
            isolation: Isolation::UserNamespace,
            owner: Some(OwnerKey::new("stack", "st1")),
            ..NewServer::default()
        }
    }

    async fn create(&self, new: &NewServer) -> Server {
        self.api
            .servers
            .create(&self.ctx, new.clone())
            .await
            .unwrap()
    }

    async fn show(&self, id: &ServerId) -> Option<Server> {
        match self.api.servers.show(&self.ctx, id).await {
            Ok(s) => Some(s),
            Err(e) if e.is_not_found() => None,
            Err(e) => panic!("show: {e}"),
        }
    }

    async fn until(&self, id: &ServerId, what: impl Fn(Option<&Server>) -> bool) -> Option<Server> {
        let mut wakes = self.db.wakes().subscribe();
        let look = async {
            loop {
                wakes.mark_unchanged();
                let found = self.show(id).await;
                if what(found.as_ref()) {
                    return found;
                }
                // Every relevant change marks a key, which ends the wait.
                wakes.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(Duration::from_secs(30), look).await {
            Ok(found) => found,
            Err(_) => panic!("not in time: {:?}", self.show(id).await),
        }
    }

    async fn status(&self, id: &ServerId, status: ServerStatus) -> Server {
        self.until(id, |s| s.is_some_and(|s| s.status == status))
            .await
            .unwrap()
    }

    async fn gone(&self, id: &ServerId) {
        self.api.servers.delete(&self.ctx, id).await.unwrap();
        self.until(id, |s| s.is_none()).await;
    }

    async fn count(&self, table: &str) -> i64 {
        self.db
            .query_opt(&format!("SELECT COUNT(*) AS n FROM {table}"), vec![])
            .await
            .unwrap()
            .unwrap()
            .int("n")
            .unwrap()
    }

    /// Asserts that no objects of servers remain and no capacity is claimed.
    async fn assert_clean(&self) {
        for table in ["server", "ledger", "port"] {
            assert_eq!(self.count(table).await, 0, "rows in {table}");
        }
        let host = self
            .db
            .query_opt("SELECT vcpus_used, ram_used FROM host", vec![])
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (
                host.int("vcpus_used").unwrap(),
                host.int("ram_used").unwrap()
            ),
            (0, 0)
        );
        assert!(self.compute.leaks().await.unwrap().is_empty());
        assert!(self.network.leaks().await.unwrap().is_empty());
        assert!(self.sim.reserved().await.unwrap().is_empty());
    }
}
