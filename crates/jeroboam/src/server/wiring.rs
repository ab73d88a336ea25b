//! Creates all parts of the server in dependency order. Read from the top, it
//! describes the whole server.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use clusters::{BootstrapParams, Clusters, ClustersDeps};
use compute::{Compute, ComputeConfig};
use db::{Db, Dialect, Migration};
use flow::{Driver as FlowDriver, Tasks};
use identity::{CatalogEntry, Identity};
use infra::sim::Simulator;
use infra::{ContainerHost, NetworkFabric};
use network::{NetworkConfig, NetworkService};
use orchestration::Orchestration;
use rest::Api;
use rest::limits::Connections;
use rest::policy::Policies;
use tokio::sync::watch;

use super::connections::ServerConnections;
use super::installation::{check_keys, installation, listener, migrations as installation_table};
use super::native::dialect::NativeDialect;
use super::native::{self, Native};
use super::policy_file::PolicySource;
use super::sealing::ServiceSealers;
use super::state_dir::{Passwords, StateDir};
use super::{bootstrap, database, images};
use crate::config::{Config, Driver, Projects};

/// Maximum time that the start waits for the image list of the engine.
const IMAGES_TIMEOUT: Duration = Duration::from_millis(300);

/// The parts that have to run.
pub struct Server {
    pub router: Router,
    /// Connections of the API.
    pub connections: Connections,
    pub driver: FlowDriver,
}

/// Implementations of the infrastructure ports.
#[derive(Clone)]
struct Infrastructure {
    host: Arc<dyn ContainerHost>,
    fabric: Arc<dyn NetworkFabric>,
    simulator: Option<Arc<Simulator>>,
}

pub async fn wire(config: &Config, state: &StateDir, tasks: &Tasks) -> Result<Server> {
    let warn = |text: &str| tracing::warn!("{text}");
    let database = database::connect(&config.database_url(), warn).await?;
    database.migrate(&migrations()).await?;
    if database.dialect() == Dialect::Sqlite {
        db::release_all(&database).await?;
    }

    let key_dir = config.key_dir.clone().unwrap_or_else(|| state.join("keys"));
    let sealer = Arc::new(pki::Sealer::open(&key_dir.join("sealing"))?);
    check_keys(&database, &sealer).await?;
    let seals = Arc::new(ServiceSealers::new(sealer.clone()));

    let catalog = vec![
        CatalogEntry::new("identity", "keystone", "/identity/v3"),
        CatalogEntry::new("container-infra", "magnum", "/container-infra/v1"),
    ];
    let policies = policies(config, tasks)?;
    let identity = Identity::new(
        database.clone(),
        &key_dir.join("fernet"),
        catalog,
        policies.clone(),
        sealer.clone(),
    )
    .await?;
    let made = identity.bootstrap(config.demo_project).await?;
    state.keep_passwords(Passwords {
        admin: made.admin_password,
        demo: made.demo_password,
    })?;
    state.write_clouds(config.listen, config.public_endpoint.as_deref())?;

    let infrastructure = connect_infrastructure(config, state).await?;
    let installation = installation(&database).await?;
    state.note_installation(&installation)?;
    let network_config = NetworkConfig {
        pool: config.infra.pool,
        installation: installation.clone(),
    };
    let network = NetworkService::new(
        database.clone(),
        infrastructure.fabric.clone(),
        network_config,
    );
    let mut compute_config = ComputeConfig::new(installation);
    // Located next to this binary; used when a node of an image not built by
    // Jeroboam is created.
    if let Ok(here) = std::env::current_exe() {
        let agent = here.with_file_name(&compute_config.agent);
        compute_config.agent = agent.display().to_string();
    }
    let compute = Compute::new(
        database.clone(),
        infrastructure.host.clone(),
        network.api(),
        compute_config,
        seals.clone(),
    );
    network::seed(&database).await?;
    seed(&compute, &infrastructure, tasks).await?;
    network.load_gateways().await?;
    if database.dialect() != Dialect::Sqlite && infrastructure.simulator.is_none() {
        follow_gateways(&database, &network, tasks);
    }
    network.watch(tasks);
    compute.watch(tasks);

    let orchestration = Orchestration::new(
        database.clone(),
        network.api(),
        compute.api(),
        seals.clone(),
    );
    let listener = bootstrap::Identity::open(&listener(&database, &sealer).await?)?;
    let auth: Arc<dyn rest::Authenticator> = Arc::new(identity.clone());
    let clusters = Clusters::new(ClustersDeps {
        db: database.clone(),
        enforcer: policies.clone(),
        auth: auth.clone(),
        network: network.api(),
        compute: compute.api(),
        orchestration: orchestration.api(),
        sealer,
        bootstrap: BootstrapParams {
            port: config.bootstrap_port,
            pin: listener.pin.clone(),
        },
        ranges: clusters::RangePools::new(config.clusters.ranges.clone(), Some(config.infra.pool)),
        node_certificate_seconds: config.clusters.node_certificate_seconds,
    });
    let agents = clusters.bootstrap(tasks);
    let agent_routes = agents.routes()?.into_router();
    let connections = ServerConnections::new(&config.limits);
    // Simulated networks have no gateway to listen on.
    let gateways = match &infrastructure.simulator {
        Some(simulator) if config.infra.simulated_agents => {
            simulation::agents::start(simulator.clone(), agent_routes.clone(), tasks);
            watch::channel(BTreeSet::new()).1
        }
        Some(_) => watch::channel(BTreeSet::new()).1,
        None => network.gateways(),
    };
    let addresses = bootstrap::Addresses {
        always: config.bootstrap_listen.clone(),
        port: config.bootstrap_port,
        gateways,
    };
    listener.start(agent_routes, addresses, connections.agents.clone(), tasks);

    let mut driver = FlowDriver::new(database.clone());
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

    let native = Native(Arc::new(native::Dependencies {
        host: infrastructure.host,
        compute,
        network,
        db: database,
        counts: driver.counts(),
        agents,
        agent_connections: connections.agents,
        api_connections: connections.api.clone(),
        policies,
        api: OnceLock::new(),
        document: OnceLock::new(),
    }));
    let services = vec![
        identity.service()?,
        clusters.service()?,
        clusters.native_service()?,
        native::service(native.clone(), auth)?,
    ];
    let public = config.public_endpoint.clone();
    let api = Api::new(services, Arc::new(NativeDialect), public);
    native.0.api.get_or_init(|| api.clone());
    Ok(Server {
        router: api.into_router(),
        connections: connections.api,
        driver,
    })
}

/// The rules of all services, with those of the configuration and the overrides
/// of the operator's file.
fn policies(config: &Config, tasks: &Tasks) -> Result<Arc<Policies>> {
    let policies = Arc::new(Policies::new(&native::policy::all())?);
    let allowed = &config.clusters.isolation;
    if allowed.host_root == Projects::All {
        tracing::warn!(
            "every project may create clusters of the isolation level host-root, whose users can \
             become root on this host (clusters.isolation.host_root)"
        );
    }
    let configured = [
        (&clusters::CREATE_HOST_ROOT, allowed.host_root.rule()),
        (
            &clusters::CREATE_USER_NAMESPACE,
            allowed.user_namespace.rule(),
        ),
    ];
    let source = PolicySource {
        policies: policies.clone(),
        configured: configured
            .map(|(rule, text)| (rule.name.to_owned(), text))
            .into(),
        file: config.policy_file.clone(),
    };
    source.apply()?;
    source.follow(tasks)?;
    Ok(policies)
}

pub fn migrations() -> Vec<Migration> {
    [
        installation_table(),
        identity::migrations(),
        network::migrations(),
        compute::migrations(),
        orchestration::migrations(),
        &clusters::migrations(),
    ]
    .concat()
}

/// Gateways of networks that another server realised: this server listens on
/// them too, so that it can take over their nodes.
fn follow_gateways(database: &Db, network: &NetworkService, tasks: &Tasks) {
    let (mut wakes, network, token) =
        (database.wakes().subscribe(), network.clone(), tasks.token());
    tasks.spawn("follow gateways", async move {
        loop {
            tokio::select! {
                biased;
                () = token.cancelled() => return,
                _ = wakes.changed() => {}
                () = tokio::time::sleep(Duration::from_secs(5)) => {}
            }
            if let Err(e) = network.load_gateways().await {
                tracing::warn!(error = %e, "gateways");
            }
            // Handle a burst of commits at once.
            tokio::select! {
                biased;
                () = token.cancelled() => return,
                () = tokio::time::sleep(Duration::from_millis(250)) => {}
            }
        }
    });
}

async fn connect_infrastructure(config: &Config, state: &StateDir) -> Result<Infrastructure> {
    match config.infra.driver {
        Driver::Docker => {
            let engine = docker::Engine::connect(config.infra.docker.as_deref())
                .context("infra: Docker")?
                .user_ids(config.infra.user_ids.pool()?)
                .devices(config.infra.devices()?);
            let isolation = isolation(config, engine.url()).await?;
            let engine = engine.isolate(isolation);
            let engine = Arc::new(engine);
            Ok(Infrastructure {
                host: engine.clone(),
                fabric: engine,
                simulator: None,
            })
        }
        Driver::Simulator => {
            let path = config
                .infra
                .simulator
                .clone()
                .unwrap_or_else(|| state.join("simulator.sqlite"));
            let simulator = Arc::new(Simulator::open(&path.display().to_string()).await?);
            for coe in ["swarm"] {
                simulator
                    .add_image(&format!("jeroboam/{coe}:latest"), &[(images::LABEL, coe)])
                    .await?;
            }
            Ok(Infrastructure {
                host: simulator.clone(),
                fabric: simulator.clone(),
                simulator: Some(simulator),
            })
        }
    }
}

/// The isolation of networks. If this server cannot isolate them, clusters work without
/// it.
async fn isolation(config: &Config, engine: &str) -> Result<Option<docker::Isolation>> {
    let Some(isolation) = config.infra.isolation(config.bootstrap_port)? else {
        tracing::warn!(
            "networks of clusters are not isolated: nodes reach the services of this host \
             (infra.isolate)"
        );
        return Ok(None);
    };
    if let Some(why) = docker::missing_for_isolation(engine).await {
        tracing::warn!(
            "networks of clusters are not isolated, so nodes reach the services of this host: {why}"
        );
        return Ok(None);
    }
    Ok(Some(isolation))
}

/// Inserts defaults for the first template. If the engine does not answer, the
/// dependent part is inserted later.
async fn seed(compute: &Compute, infrastructure: &Infrastructure, tasks: &Tasks) -> Result<()> {
    compute.seed().await?;
    let (host, api, token) = (infrastructure.host.clone(), compute.api(), tasks.token());
    // Wait for the image registration, so that images are available right after
    // the first `ready`, unless the engine is slow. Later starts have them in
    // the database.
    let ctx = kernel::Ctx::service(kernel::ids::request_id());
    if api.images.list(&ctx).await?.is_empty()
        && let Ok(Ok(names)) =
            tokio::time::timeout(IMAGES_TIMEOUT, images::refresh(host.as_ref(), &api)).await
    {
        tracing::info!(images = names.join(", "), "node images");
        return Ok(());
    }
    tasks.spawn("register images", async move {
        loop {
            match images::refresh(host.as_ref(), &api).await {
                Ok(names) => {
                    tracing::info!(images = names.join(", "), "node images");
                    return;
                }
                Err(e) => tracing::warn!(error = %e, "node images are not listed yet"),
            }
            tokio::select! {
                biased;
                () = token.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(2)) => {}
            }
        }
    });
    Ok(())
}
