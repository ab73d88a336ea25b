//! One server process: the same services in the same order as in the binary,
//! except identity and the listeners.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use clusters::{BootstrapParams, Clusters, ClustersDeps};
use compute::api::NewImage;
use compute::{Compute, ComputeConfig};
use db::{Db, Safeguards};
use flow::{Counts, Driver, Tasks};
use infra::sim::Simulator;
use kernel::{Ctx, Error, Result, Scope};
use network::{NetworkConfig, NetworkService};
use orchestration::Orchestration;

use crate::delayed;
use crate::faults::Faults;
use crate::process::Process;
use crate::rng::SeededRng;

/// Label on each object of the engine.
pub const INSTALLATION: &str = "simulation";

/// State shared by all servers of a simulation.
#[derive(Clone)]
pub struct Shared {
    /// The database without faults.
    pub db: Db,
    /// The engine.
    pub engine: Simulator,
    pub faults: Faults,
    pub sealer: Arc<pki::Sealer>,
    pub safeguards: Safeguards,
}

/// A running server.
pub struct Server {
    pub process: Process,
    pub tasks: Tasks,
    /// Magnum's API.
    pub api: Router,
    pub counts: Counts,
}

/// Accepts the name of a project as a token of a member of this project.
struct Tokens;

#[async_trait]
impl rest::Authenticator for Tokens {
    async fn authenticate(&self, token: &str, request_id: &str) -> Result<Ctx> {
        Ok(Ctx {
            request_id: request_id.into(),
            user_id: format!("user-of-{token}").into(),
            user_name: "user".into(),
            scope: Scope::Project {
                id: token.into(),
                name: token.into(),
                domain_id: "default".into(),
            },
            roles: vec!["member".into(), "reader".into()],
            ..Ctx::default()
        })
    }
}

/// Stores secrets as they are, because the simulation has none.
struct Plain;

impl compute::Sealer for Plain {
    fn seal(&self, plain: &str) -> Result<String> {
        Ok(plain.to_owned())
    }

    fn open(&self, sealed: &str) -> Result<String> {
        Ok(sealed.to_owned())
    }
}

/// All tables of the services.
#[must_use]
pub fn migrations() -> Vec<db::Migration> {
    [
        network::migrations(),
        compute::migrations(),
        orchestration::migrations(),
        &clusters::migrations(),
    ]
    .concat()
}

impl Server {
    /// Starts a server with a clock error of `skew` microseconds. If `suspended` is
    /// given, its clocks stop when it is stopped.
    ///
    /// # Errors
    /// Those of the database; the caller then starts another process.
    pub async fn start(shared: &Shared, skew: i64, suspended: Option<SeededRng>) -> Result<Self> {
        let mut safeguards = shared.safeguards;
        // The clock of a suspended machine cannot detect that leases have ended.
        safeguards.validity = suspended.is_none();
        let process = Process::new(skew, suspended);
        let tasks = Tasks::within(process.wrap());
        let db = shared
            .db
            .for_simulated_server(Arc::new(shared.faults.clone()), safeguards);
        let wired = process.within(wire(shared, db, &tasks)).await;
        let (api, counts) = wired.ok_or_else(|| Error::unavailable("killed"))??;
        Ok(Self {
            process,
            tasks,
            api,
            counts,
        })
    }

    /// Kills like SIGKILL.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Stops like SIGTERM.
    pub async fn terminate(&self) {
        self.tasks.stop(Duration::from_secs(10)).await;
        self.process.kill();
    }
}

async fn wire(shared: &Shared, db: Db, tasks: &Tasks) -> Result<(Router, Counts)> {
    db.align_clock().await?;
    let engine = shared.engine.process();
    let host = Arc::new(engine.clone());
    let network = NetworkService::new(
        db.clone(),
        host.clone(),
        NetworkConfig {
            pool: ipnet::Ipv4Net::new_assert(std::net::Ipv4Addr::new(10, 0, 0, 0), 8),
            installation: INSTALLATION.into(),
        },
    );
    let compute = Compute::new(
        db.clone(),
        host.clone(),
        delayed::network(network.api(), &shared.faults),
        ComputeConfig::new(INSTALLATION),
        Arc::new(Plain),
    );
    network::seed(&db).await?;
    compute.seed().await?;
    let ctx = Ctx::service(kernel::ids::request_id());
    compute.api().images.register(&ctx, image()).await?;
    compute.watch(tasks);
    network.watch(tasks);
    let orchestration = Orchestration::new(
        db.clone(),
        delayed::network(network.api(), &shared.faults),
        delayed::compute(compute.api(), &shared.faults),
        Arc::new(orchestration::PlainSealer),
    );
    let clusters = Clusters::new(ClustersDeps {
        db: db.clone(),
        enforcer: Arc::new(rest::policy::Policies::new(clusters::policies())?),
        auth: Arc::new(Tokens),
        network: network.api(),
        compute: compute.api(),
        orchestration: delayed::orchestration(orchestration.api(), &shared.faults),
        sealer: shared.sealer.clone(),
        bootstrap: BootstrapParams {
            port: 9512,
            pin: "0".repeat(64),
        },
        ranges: clusters::RangePools::default(),
        node_certificate_seconds: 86_400,
    });
    let agents = clusters.bootstrap(tasks).routes()?.into_router();
    crate::agents::start(Arc::new(engine), agents, tasks);
    let mut driver = Driver::new(db);
    for reconciler in [
        network.reconcilers(),
        compute.reconcilers(),
        orchestration.reconcilers(),
        clusters.reconcilers(),
    ]
    .into_iter()
    .flatten()
    {
        driver = driver.with(reconciler);
    }
    let counts = driver.counts();
    driver.start(tasks);
    let services = vec![clusters.service()?];
    let api = rest::Api::new(services, Arc::new(clusters::Magnum), None);
    Ok((api.into_router(), counts))
}

fn image() -> NewImage {
    NewImage {
        name: "swarm".into(),
        os_distro: Some("debian".into()),
        properties: [("jeroboam_node".to_owned(), "true".to_owned())].into(),
        reference: "jeroboam/swarm:latest".into(),
    }
}
