//! Test fixture: the service with fakes and its own database.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use compute::api::{
    Flavor, Flavors, Hosts, Image, Images, Keypair, Keypairs, NewImage, NewServer,
    OfferedIsolation, Server, ServerStatus, Servers,
};
use compute::{ComputeApi, FlavorId, ImageId, ServerId};
use db::Db;
use flow::Reconciler;
use http_body_util::BodyExt as _;
use kernel::{Ctx, Error, OwnerKey, Result, Scope};
use network::api::*;
use network::{NetworkApi, NetworkId, PortId, RouterId, SecurityGroupId, SubnetId};
use orchestration::api::{
    Action, NewStack, Signal, Stack, StackEvent, StackResource, StackUpdate, Stacks,
    Status as Done, Unhealthy,
};
use orchestration::{OrchestrationApi, StackId};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::ServiceExt as _;

use crate::{BootstrapParams, ClusterId, Clusters, ClustersDeps};

/// Calls received by the fake orchestration service.
#[derive(Default)]
pub(crate) struct Heat {
    pub(crate) stack: Option<Stack>,
    pub(crate) template: String,
    pub(crate) parameters: BTreeMap<String, Value>,
    pub(crate) signals: Vec<Signal>,
    /// Groups and names of the resources that were reported as unhealthy and
    /// not rebuilt yet.
    pub(crate) unhealthy: Vec<(Option<String>, String)>,
    /// Resources that an update has rebuilt.
    pub(crate) rebuilt: Vec<(Option<String>, String)>,
    pub(crate) owner: Option<OwnerKey>,
    pub(crate) refuse: Option<Error>,
}

/// The point at which the server is killed: a call that never returns.
#[derive(Default)]
pub(crate) struct CrashPoint {
    left: AtomicI64,
    reached: AtomicBool,
    stopped: Notify,
}

impl CrashPoint {
    /// Kill at the n-th call of the reconciler from now on; 0: never.
    pub(crate) fn arm(&self, at: i64) {
        self.left.store(at, Ordering::SeqCst);
    }

    /// Whether the call was reached at which the server is killed.
    pub(crate) fn reached(&self) -> bool {
        self.reached.load(Ordering::SeqCst)
    }

    async fn pass(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.reached.store(true, Ordering::SeqCst);
            self.stopped.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

#[derive(Clone, Default)]
pub(crate) struct FakeStacks(pub(crate) Arc<Mutex<Heat>>, pub(crate) Arc<CrashPoint>);

impl FakeStacks {
    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, Heat> {
        self.0.lock().unwrap()
    }

    fn apply_update(&self, id: &StackId, update: StackUpdate) -> Result<Stack> {
        let mut heat = self.lock();
        if let Some(e) = heat.refuse.clone() {
            return Err(e);
        }
        heat.parameters.extend(update.parameters);
        let unhealthy = std::mem::take(&mut heat.unhealthy);
        heat.rebuilt.extend(unhealthy);
        let stack = heat
            .stack
            .as_mut()
            .ok_or_else(|| Error::not_found("Stack", id))?;
        stack.action = Action::Update;
        stack.status = Done::InProgress;
        Ok(stack.clone())
    }
}

#[async_trait]
impl Stacks for FakeStacks {
    async fn create(&self, _: &Ctx, new: NewStack) -> Result<Stack> {
        let mut heat = self.lock();
        if let Some(e) = heat.refuse.clone() {
            return Err(e);
        }
        let stack = Stack {
            id: new.id,
            project_id: new.project_id,
            name: new.name,
            action: Action::Create,
            status: Done::InProgress,
            status_reason: String::new(),
            outputs: BTreeMap::new(),
            generation: 1,
        };
        heat.template = new.template;
        heat.parameters = new.parameters;
        heat.owner = new.owner;
        heat.stack = Some(stack.clone());
        Ok(stack)
    }
    async fn show(&self, _: &Ctx, id: &StackId) -> Result<Stack> {
        self.1.pass().await;
        let heat = self.lock();
        heat.stack
            .clone()
            .ok_or_else(|| Error::not_found("Stack", id))
    }
    async fn update(&self, _: &Ctx, id: &StackId, update: StackUpdate) -> Result<Stack> {
        self.1.pass().await;
        let updated = self.apply_update(id, update);
        self.1.pass().await;
        updated
    }
    async fn delete(&self, _: &Ctx, id: &StackId) -> Result<()> {
        let mut heat = self.lock();
        let Some(stack) = heat.stack.as_mut() else {
            return Err(Error::not_found("Stack", id));
        };
        stack.action = Action::Delete;
        stack.status = Done::InProgress;
        stack.status_reason = "Waiting for server n-0.".into();
        Ok(())
    }
    async fn mark_unhealthy(
        &self,
        _: &Ctx,
        _: &StackId,
        resources: &[Unhealthy],
        _: &str,
    ) -> Result<()> {
        self.1.pass().await;
        let names = resources.iter().map(|r| (r.group.clone(), r.name.clone()));
        self.lock().unhealthy.extend(names);
        Ok(())
    }
    async fn resources(&self, _: &Ctx, _: &StackId) -> Result<Vec<StackResource>> {
        Ok(vec![StackResource {
            name: "subnet".into(),
            parent: None,
            resource_type: "OS::Neutron::Subnet".into(),
            physical_id: Some("sub".into()),
            action: Action::Create,
            status: Done::Complete,
            status_reason: String::new(),
        }])
    }
    async fn events(&self, _: &Ctx, _: &StackId, _: u32) -> Result<Vec<StackEvent>> {
        Ok(Vec::new())
    }
    async fn signal(&self, _: &Ctx, _: &StackId, resource: &str, signal: Signal) -> Result<()> {
        assert_eq!(resource, "nodes_handle");
        self.lock().signals.push(signal);
        Ok(())
    }
}

/// Fakes of everything that a body may name, and of compute's servers.
#[derive(Default)]
pub(crate) struct FakeServices {
    pub(crate) servers: Mutex<Vec<Server>>,
    /// `None`: user namespaces.
    offered: Mutex<Option<OfferedIsolation>>,
}

/// A running server of this name.
pub(crate) fn server(name: &str) -> Server {
    Server {
        id: format!("server-{name}").into(),
        project_id: "p1".into(),
        name: name.into(),
        status: ServerStatus::Active,
        fault: None,
        progress: None,
        image_id: ImageId::default(),
        flavor_id: FlavorId::default(),
        host: None,
        addresses: Vec::new(),
        metadata: BTreeMap::new(),
    }
}

#[async_trait]
impl Servers for FakeServices {
    async fn create(&self, _: &Ctx, _: NewServer) -> Result<Server> {
        Err(Error::internal("not here"))
    }
    async fn show(&self, _: &Ctx, id: &ServerId) -> Result<Server> {
        Err(Error::not_found("Server", id))
    }
    async fn of_owner(&self, _: &Ctx, _: &OwnerKey) -> Result<Vec<Server>> {
        Ok(self.servers.lock().unwrap().clone())
    }
    async fn delete(&self, _: &Ctx, _: &ServerId) -> Result<()> {
        Ok(())
    }
    async fn rebuild(&self, _: &Ctx, _: &ServerId, _: &str) -> Result<Server> {
        Err(Error::internal("only the stack rebuilds"))
    }
    async fn console(&self, _: &Ctx, _: &ServerId, _: u32) -> Result<String> {
        Ok(String::new())
    }
}

#[async_trait]
impl Flavors for FakeServices {
    async fn find(&self, _: &Ctx, name: &str) -> Result<Flavor> {
        let ram = match name {
            "m1.small" => 2048,
            "m1.tiny" => 512,
            "m1.nano" => 128,
            _ => return Err(Error::not_found("Flavor", name)),
        };
        Ok(Flavor {
            id: "1".into(),
            name: name.into(),
            vcpus: 1,
            ram,
            disk: 10,
        })
    }
    async fn list(&self, _: &Ctx) -> Result<Vec<Flavor>> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Keypairs for FakeServices {
    async fn find(&self, _: &Ctx, name: &str) -> Result<Keypair> {
        if name != "kp" {
            return Err(Error::not_found("Keypair", name));
        }
        Ok(Keypair {
            name: name.into(),
            public_key: String::new(),
            fingerprint: String::new(),
        })
    }
}

fn image(id: &str, name: &str, distro: Option<&str>, release: Option<&str>) -> Image {
    let release = release.map(|r| ("kube_version".to_owned(), r.to_owned()));
    Image {
        id: id.into(),
        name: name.into(),
        status: "active".into(),
        os_distro: distro.map(str::to_owned),
        properties: release.into_iter().collect(),
        reference: String::new(),
    }
}

#[async_trait]
impl Images for FakeServices {
    async fn find(&self, _: &Ctx, name: &str) -> Result<Image> {
        let distro = match name {
            "swarm" | "kube" | "kubernetes" | "kind" | "k3s" | "odd" | "older" => Some("debian"),
            "ubuntu" => Some("ubuntu"),
            "bare" => None,
            "dup" => return Err(Error::conflict("several")),
            _ => return Err(Error::not_found("Image", name)),
        };
        let release = (name == "kubernetes").then_some("v1.36.3");
        Ok(super::kube_flavours::of_others(name)
            .unwrap_or_else(|| image("i", name, distro, release)))
    }
    async fn list(&self, _: &Ctx) -> Result<Vec<Image>> {
        let ours = |id, name, release| image(id, name, Some("debian"), Some(release));
        Ok(vec![
            ours("i", "kubernetes", "v1.36.3"),
            ours("older", "kubernetes-v1.35.4", "v1.35.4"),
            ours("theirs", "kubernetes-broken", "v1.20.2"),
        ])
    }
    async fn register(&self, _: &Ctx, _: NewImage) -> Result<Image> {
        Err(Error::internal("not here"))
    }
}

#[async_trait]
impl Hosts for FakeServices {
    async fn isolation(&self) -> Result<OfferedIsolation> {
        let offered = self.offered.lock().unwrap().clone();
        Ok(offered.unwrap_or_else(OfferedIsolation::full))
    }
}

#[async_trait]
impl Networks for FakeServices {
    async fn create(&self, _: &Ctx, _: NewNetwork) -> Result<Network> {
        Err(Error::internal("not here"))
    }
    async fn show(&self, ctx: &Ctx, id: &NetworkId) -> Result<Network> {
        Networks::find(self, ctx, id).await
    }
    async fn find(&self, _: &Ctx, name: &str) -> Result<Network> {
        if !matches!(name, "public" | "private") {
            return Err(Error::not_found("Network", name));
        }
        Ok(Network {
            id: name.into(),
            project_id: "p1".into(),
            name: name.into(),
            external: name == "public",
            status: Status::Active,
            status_reason: None,
            subnets: vec!["sub".into()],
        })
    }
    async fn delete(&self, _: &Ctx, _: &NetworkId) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Subnets for FakeServices {
    async fn create(&self, _: &Ctx, _: NewSubnet) -> Result<Subnet> {
        Err(Error::internal("not here"))
    }
    async fn check_free(&self, _: &Ctx, cidr: &str) -> Result<()> {
        if cidr == "10.9.0.0/24" {
            return Err(Error::conflict(format!("cidr: {cidr} overlaps a range")));
        }
        Ok(())
    }
    async fn show(&self, _: &Ctx, id: &SubnetId) -> Result<Subnet> {
        if id != "sub" {
            return Err(Error::not_found("Subnet", id));
        }
        Ok(Subnet {
            id: id.into(),
            network_id: "private".into(),
            name: String::new(),
            cidr: "10.9.0.0/24".parse().unwrap(),
            gateway_ip: "10.9.0.1".parse().unwrap(),
            dns_nameservers: Vec::new(),
        })
    }
    async fn delete(&self, _: &Ctx, _: &SubnetId) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Ports for FakeServices {
    async fn create(&self, _: &Ctx, _: NewPort) -> Result<Port> {
        Err(Error::internal("not here"))
    }
    async fn show(&self, _: &Ctx, id: &PortId) -> Result<Port> {
        Err(Error::not_found("Port", id))
    }
    async fn bind(&self, _: &Ctx, id: &PortId, _: &str, _: OwnerKey) -> Result<Port> {
        Err(Error::not_found("Port", id))
    }
    async fn unbind(&self, _: &Ctx, id: &PortId, _: &str) -> Result<()> {
        Err(Error::not_found("Port", id))
    }
    async fn of_device(&self, _: &Ctx, _: &str) -> Result<Vec<Port>> {
        Ok(Vec::new())
    }
    async fn delete(&self, _: &Ctx, _: &PortId) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Routers for FakeServices {
    async fn create(&self, _: &Ctx, _: NewRouter) -> Result<network::api::Router> {
        Err(Error::internal("not here"))
    }
    async fn show(&self, _: &Ctx, id: &RouterId) -> Result<network::api::Router> {
        Err(Error::not_found("Router", id))
    }
    async fn add_interface(&self, _: &Ctx, _: &RouterId, _: &SubnetId) -> Result<()> {
        Ok(())
    }
    async fn remove_interface(&self, _: &Ctx, _: &RouterId, _: &SubnetId) -> Result<()> {
        Ok(())
    }
    async fn delete(&self, _: &Ctx, _: &RouterId) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl SecurityGroups for FakeServices {
    async fn create(&self, _: &Ctx, _: NewSecurityGroup) -> Result<SecurityGroup> {
        Err(Error::internal("not here"))
    }
    async fn show(&self, _: &Ctx, id: &SecurityGroupId) -> Result<SecurityGroup> {
        Err(Error::not_found("SecurityGroup", id))
    }
    async fn delete(&self, _: &Ctx, _: &SecurityGroupId) -> Result<()> {
        Ok(())
    }
}

/// The service APIs over the fakes, for a real engine.
pub(crate) fn apis(things: &Arc<FakeServices>) -> (NetworkApi, ComputeApi) {
    let network = NetworkApi {
        networks: things.clone(),
        subnets: things.clone(),
        ports: things.clone(),
        routers: things.clone(),
        security_groups: things.clone(),
    };
    let compute = ComputeApi {
        servers: things.clone(),
        flavors: things.clone(),
        keypairs: things.clone(),
        images: things.clone(),
        hosts: things.clone(),
    };
    (network, compute)
}

/// Tokens are `<user>:<project>:<role>`.
struct Tokens;

#[async_trait]
impl rest::Authenticator for Tokens {
    async fn authenticate(&self, token: &str, request_id: &str) -> Result<Ctx> {
        let parts: Vec<&str> = token.split(':').collect();
        let [user, project, role] = parts[..] else {
            return Err(Error::unauthenticated());
        };
        let mut roles = vec!["reader".to_owned()];
        if role != "reader" {
            roles.push("member".into());
        }
        if role == "admin" {
            roles.push("admin".into());
        }
        Ok(Ctx {
            request_id: request_id.into(),
            user_id: user.into(),
            scope: Scope::Project {
                id: project.into(),
                name: project.into(),
                domain_id: "default".into(),
            },
            roles,
            ..Ctx::default()
        })
    }
}

pub(crate) const ALICE: &str = "alice:p1:member";
pub(crate) const BOB: &str = "bob:p2:member";
pub(crate) const READER: &str = "rita:p1:reader";
pub(crate) const ADMIN: &str = "root:p0:admin";

pub(crate) struct Fixture {
    pub(crate) db: Db,
    pub(crate) heat: FakeStacks,
    pub(crate) things: Arc<FakeServices>,
    pub(crate) router: Router,
    pub(crate) bootstrap: Router,
    pub(crate) clusters: Clusters,
    tasks: flow::Tasks,
    pub(crate) deps: Arc<ClustersDeps>,
    reconciler: Arc<dyn Reconciler>,
    _dir: tempfile::TempDir,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct TestResponse {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Fixture {
    /// Sets what the host offers.
    pub(crate) fn offer(&self, isolation: OfferedIsolation) {
        *self.things.offered.lock().unwrap() = Some(isolation);
    }

    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::connect(&format!("sqlite:{}", dir.path().join("t.db").display()))
            .await
            .unwrap();
        db.migrate(&crate::migrations()).await.unwrap();
        Self::on(db, dir)
    }

    /// On a database with the schema; the directory holds the secrets.
    pub(crate) fn on(db: Db, dir: tempfile::TempDir) -> Self {
        let policies = rest::policy::Policies::new(crate::policies()).unwrap();
        Self::with_policies(db, dir, policies)
    }

    pub(crate) fn with_policies(
        db: Db,
        dir: tempfile::TempDir,
        policies: rest::policy::Policies,
    ) -> Self {
        let heat = FakeStacks::default();
        let things = Arc::new(FakeServices::default());
        let (network, compute) = apis(&things);
        let clusters = Clusters::new(ClustersDeps {
            db: db.clone(),
            enforcer: Arc::new(policies),
            auth: Arc::new(Tokens),
            network,
            compute,
            orchestration: OrchestrationApi {
                stacks: Arc::new(heat.clone()),
            },
            sealer: Arc::new(pki::Sealer::open(dir.path()).unwrap()),
            bootstrap: BootstrapParams {
                port: 9512,
                pin: "abcd".into(),
            },
            ranges: crate::RangePools::new(vec![], Some("172.30.0.0/15".parse().unwrap())),
            node_certificate_seconds: 3600,
        });
        let tasks = flow::Tasks::default();
        let router = router(&clusters, None);
        Self {
            db,
            heat,
            things,
            router,
            bootstrap: routes(&clusters, &tasks),
            reconciler: clusters.reconcilers().remove(0),
            deps: clusters.0.clone(),
            clusters,
            tasks,
            _dir: dir,
        }
    }

    /// The same server behind a public address.
    pub(crate) fn with_public_endpoint(mut self, endpoint: &str) -> Self {
        self.router = router(&self.clusters, Some(endpoint.to_owned()));
        self
    }

    /// One request at the newest version; `path` is below `/container-infra`.
    pub(crate) async fn call(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> TestResponse {
        self.at("container-infra latest", token, method, path, body)
            .await
    }

    pub(crate) async fn at(
        &self,
        version: &str,
        token: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> TestResponse {
        let request = api_request(version, token, method, path, body);
        send(&self.router, request).await
    }

    /// As [`Fixture::call`], but the body is not read.
    pub(crate) async fn call_raw(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> axum::response::Response {
        let request = api_request("container-infra latest", token, method, path, body);
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// One of our own routes; `path` is below `/jeroboam/v1`.
    pub(crate) async fn own_target(&self, token: &str, path: &str) -> TestResponse {
        let request = Request::builder()
            .uri(format!("/jeroboam/v1{path}"))
            .header("x-auth-token", token)
            .body(Body::empty())
            .unwrap();
        send(&self.router, request).await
    }

    pub(crate) async fn node(
        &self,
        session: &str,
        method: &str,
        path: &str,
        body: Value,
    ) -> TestResponse {
        let request = Request::builder()
            .method(method)
            .uri(format!("/bootstrap/v1/{path}"))
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {session}"))
            .body(Body::from(body.to_string()))
            .unwrap();
        send(&self.bootstrap, request).await
    }

    /// Opens a stream of a session.
    pub(crate) async fn stream(
        &self,
        session: &str,
        method: &str,
        path: &str,
        body: Value,
    ) -> Result<Stream, TestResponse> {
        let request = Request::builder()
            .method(method)
            .uri(format!("/bootstrap/v2/{path}"))
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {session}"))
            .body(Body::from(body.to_string()))
            .unwrap();
        let response = self.bootstrap.clone().oneshot(request).await.unwrap();
        if response.status().is_success() {
            return Ok(Stream(response.into_body(), nodewire::Lines::default()));
        }
        Err(read(response).await)
    }

    /// Another server process on the same database serves the agents.
    pub(crate) async fn restart_bootstrap(&mut self) {
        self.tasks.stop(std::time::Duration::from_secs(5)).await;
        self.tasks = flow::Tasks::default();
        self.bootstrap = routes(&self.clusters, &self.tasks);
    }

    /// Runs all due keys. If the server is killed at the crash point, the run
    /// is dropped and the next server continues.
    pub(crate) async fn settle(&self) {
        for _ in 0..100 {
            let lease = std::time::Duration::from_secs(5);
            let leases = db::claim_for(&self.db, &["cluster"], "test", 10, lease)
                .await
                .unwrap();
            if leases.is_empty() {
                return;
            }
            for lease in leases {
                let next = tokio::select! {
                    biased;
                    () = self.heat.1.stopped.notified() => None,
                    next = self.reconciler.run(&lease) => Some(next.unwrap()),
                };
                let Some(next) = next else {
                    db::release_all(&self.db).await.unwrap();
                    continue;
                };
                db::complete(&self.db, &lease, &next.into()).await.unwrap();
            }
        }
        panic!("never at rest");
    }

    /// Marks a cluster and claims its key.
    pub(crate) async fn claim(&self, id: &str) -> db::Lease {
        db::write!(self.db, |tx| db::mark_now(tx, "cluster", id).await).unwrap();
        let lease = std::time::Duration::from_secs(5);
        let leases = db::claim_for(&self.db, &["cluster"], "test", 1, lease).await;
        leases.unwrap().remove(0)
    }

    /// One run of the reconciler; its result is ignored.
    pub(crate) async fn run_once(&self, id: &str) -> Result<()> {
        let lease = self.claim(id).await;
        let next = self.reconciler.run(&lease).await;
        db::complete(&self.db, &lease, &db::RunOutcome::Clean)
            .await
            .unwrap();
        next.map(|_| ())
    }

    /// Changes the stack and marks its owner, as the engine does.
    pub(crate) async fn stack(&self, change: impl FnOnce(&mut Option<Stack>)) {
        let owner = {
            let mut heat = self.heat.lock();
            change(&mut heat.stack);
            heat.owner.clone().unwrap()
        };
        let mut tx = self.db.begin().await.unwrap();
        db::mark(&mut tx, &owner.kind, &owner.id).await.unwrap();
        tx.commit().await.unwrap();
        self.settle().await;
    }

    pub(crate) async fn complete(&self) {
        self.stack(|s| {
            let s = s.as_mut().unwrap();
            s.status = Done::Complete;
            s.outputs
                .insert("master_addresses".into(), json!(["10.64.0.2"]));
            s.outputs
                .insert("node_addresses".into(), json!(["10.64.0.3", "10.64.0.4"]));
        })
        .await;
    }

    pub(crate) async fn template(&self) -> String {
        let got = self
            .call(ALICE, "POST", "/v1/clustertemplates", Some(template_body()))
            .await;
        assert_eq!(got.status, 201, "{}", got.body);
        got.body["uuid"].as_str().unwrap().to_owned()
    }

    /// A cluster of one manager and two workers, accepted.
    pub(crate) async fn cluster(&self) -> ClusterId {
        let template = self.template().await;
        self.cluster_from(&template).await
    }

    /// As [`Fixture::cluster`], from an existing template.
    pub(crate) async fn cluster_from(&self, template: &str) -> ClusterId {
        let body = json!({ "name": "c1", "cluster_template_id": template, "node_count": 2 });
        let got = self.call(ALICE, "POST", "/v1/clusters", Some(body)).await;
        assert_eq!(got.status, 202, "{}", got.body);
        self.settle().await;
        got.body["uuid"].as_str().unwrap().into()
    }

    pub(crate) async fn show(&self, id: &str) -> Value {
        let got = self
            .call(ALICE, "GET", &format!("/v1/clusters/{id}"), None)
            .await;
        assert_eq!(got.status, 200, "{}", got.body);
        got.body
    }

    /// The one-time token of a node, from the parameters of the stack.
    pub(crate) fn token(&self, word: &str, index: &str) -> String {
        let heat = self.heat.lock();
        heat.parameters[&format!("{word}_tokens")][index]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

fn router(clusters: &Clusters, public_endpoint: Option<String>) -> Router {
    let services = vec![
        clusters.service().unwrap(),
        clusters.native_service().unwrap(),
    ];
    rest::Api::new(services, Arc::new(crate::Magnum), public_endpoint).into_router()
}

fn routes(clusters: &Clusters, tasks: &flow::Tasks) -> Router {
    clusters.bootstrap(tasks).routes().unwrap().into_router()
}

pub(crate) fn template_body() -> Value {
    json!({ "name": "t1", "coe": "swarm", "image_id": "swarm", "external_network_id": "public",
        "keypair_id": "kp", "flavor_id": "m1.small", "master_flavor_id": null,
        "labels": { "a": "1" }, "docker_volume_size": null })
}

/// A body without an end.
pub(crate) struct Stream(Body, nodewire::Lines);

impl Stream {
    /// The next frame; `None` if the server has ended the stream.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        let part = tokio::time::timeout(std::time::Duration::from_secs(10), self.0.frame())
            .await
            .expect("nothing was pushed")?;
        let lines = self.1.add(part.unwrap().data_ref().unwrap()).unwrap();
        assert_eq!(lines.len(), 1, "a frame is a line");
        Some(serde_json::from_slice(&lines[0]).unwrap())
    }

    /// Expects a frame of this type and returns its body.
    pub(crate) async fn expect(&mut self, kind: &str) -> Value {
        let mut frame = self.next().await.expect("the stream has ended");
        assert_eq!(frame["type"], kind, "{frame}");
        frame["body"].take()
    }

    /// Expects no frame within the time.
    pub(crate) async fn is_silent(&mut self, millis: u64) -> bool {
        let limit = std::time::Duration::from_millis(millis);
        tokio::time::timeout(limit, self.0.frame()).await.is_err()
    }
}

fn api_request(
    version: &str,
    token: &str,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/container-infra{path}"))
        .header("host", "HOST")
        .header("content-type", "application/json");
    if !token.is_empty() {
        request = request.header("x-auth-token", token);
    }
    if !version.is_empty() {
        request = request.header("openstack-api-version", version);
    }
    let body = body.map_or_else(Body::empty, |b| Body::from(b.to_string()));
    request.body(body).unwrap()
}

async fn send(router: &Router, request: Request<Body>) -> TestResponse {
    read(router.clone().oneshot(request).await.unwrap()).await
}

async fn read(response: axum::response::Response) -> TestResponse {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    TestResponse {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    }
}
