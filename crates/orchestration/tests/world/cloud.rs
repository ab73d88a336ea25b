//! Network and compute in memory. Every call is counted; a call can be made
//! the one at which the caller's world stops, before or after its effect.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use compute::face::{
    ComputeFace, Fault, Flavor, Flavors, Image, Images, Keypair, Keypairs, NewImage, NewServer,
    Server, ServerStatus, Servers,
};
use db::Db;
use kernel::{Ctx, Error, OwnerKey, Result};
use network::face::{
    Network, NetworkFace, Networks, NewNetwork, NewPort, NewRouter, NewSecurityGroup, NewSubnet,
    Port, Ports, Router, Routers, SecurityGroup, SecurityGroups, Status, Subnet, Subnets,
};
use tokio::sync::Notify;

/// A thing that exists.
#[derive(Clone, Debug)]
pub struct Thing {
    pub kind: &'static str,
    pub name: String,
    pub uses: Vec<String>,
    pub status: ServerStatus,
    pub fault: Option<String>,
    pub owner: Option<OwnerKey>,
    pub user_data: Option<String>,
    /// Generation of the caller of the last rebuild.
    pub rebuilt: Option<i64>,
    pub made: usize,
}

#[derive(Default)]
struct State {
    things: BTreeMap<String, Thing>,
    /// `verb kind name`, in order.
    log: Vec<String>,
    made: usize,
    calls: usize,
    /// Calls since the start.
    asked: usize,
    /// Generations of the calls that made something.
    generations: Vec<Option<i64>>,
    crash: Option<(usize, bool)>,
    /// Servers stay BUILD until [`Cloud::finish`].
    slow: bool,
    /// Names that contain this end in ERROR.
    bad: Option<String>,
    /// Deleting this kind fails for good.
    undeletable: Option<&'static str>,
    /// Servers that are BUILD now.
    pending: usize,
    /// Most servers that were BUILD at the same time.
    building: usize,
    /// Id → how many things use it.
    users: HashMap<String, usize>,
}

pub struct Cloud {
    state: Mutex<State>,
    db: Db,
    pub crashed: Notify,
}

struct Handle(Arc<Cloud>);

impl Cloud {
    pub fn new(db: Db) -> Self {
        Self {
            state: Mutex::default(),
            db,
            crashed: Notify::new(),
        }
    }

    pub fn network(self: &Arc<Self>) -> NetworkFace {
        let h = Arc::new(Handle(self.clone()));
        NetworkFace {
            networks: h.clone(),
            subnets: h.clone(),
            ports: h.clone(),
            routers: h.clone(),
            security_groups: h,
        }
    }

    pub fn compute(self: &Arc<Self>) -> ComputeFace {
        let h = Arc::new(Handle(self.clone()));
        ComputeFace {
            servers: h.clone(),
            flavors: h.clone(),
            keypairs: h.clone(),
            images: h,
        }
    }

    /// The caller's world stops at this call (from 1), before or after its effect.
    pub fn crash_at(&self, call: usize, after: bool) {
        let mut s = self.state.lock().unwrap();
        s.calls = 0;
        s.crash = Some((call, after));
    }

    /// Whether the crash is still to come.
    pub fn armed(&self) -> bool {
        self.state.lock().unwrap().crash.is_some()
    }

    pub fn disarm(&self) {
        self.state.lock().unwrap().crash = None;
    }

    pub fn slow(&self) {
        self.state.lock().unwrap().slow = true;
    }

    pub fn fast(&self) {
        self.state.lock().unwrap().slow = false;
    }

    pub fn bad(&self, name: Option<&str>) {
        self.state.lock().unwrap().bad = name.map(str::to_owned);
    }

    pub fn undeletable(&self, kind: Option<&'static str>) {
        self.state.lock().unwrap().undeletable = kind;
    }

    pub fn log(&self) -> Vec<String> {
        self.state.lock().unwrap().log.clone()
    }

    pub fn things(&self) -> BTreeMap<String, Thing> {
        self.state.lock().unwrap().things.clone()
    }

    /// How many calls have come.
    pub fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }

    /// Generations of the callers of `create`, in order.
    pub fn generations(&self) -> Vec<Option<i64>> {
        self.state.lock().unwrap().generations.clone()
    }

    fn called_by(&self, ctx: &Ctx) {
        let mut s = self.state.lock().unwrap();
        s.generations.push(ctx.generation());
    }

    pub fn building(&self) -> usize {
        self.state.lock().unwrap().building
    }

    /// `kind` → how many exist.
    pub fn count(&self) -> HashMap<&'static str, usize> {
        let mut out = HashMap::new();
        for t in self.things().values() {
            *out.entry(t.kind).or_insert(0) += 1;
        }
        out
    }

    /// Finishes one server and wakes its owner.
    pub async fn finish_one(&self, name: &str) {
        let owner = {
            let mut s = self.state.lock().unwrap();
            s.pending -= 1;
            let server = s.things.values_mut().find(|t| t.name == name);
            let server = server.expect("it is being built");
            end(server, None);
            server.owner.clone()
        };
        self.wake(&owner.expect("it has an owner")).await;
    }

    /// Finishes what is being built and wakes the owners.
    pub async fn finish(&self) {
        let owners: Vec<OwnerKey> = {
            let mut s = self.state.lock().unwrap();
            let bad = s.bad.clone();
            s.pending = 0;
            s.things
                .values_mut()
                .filter(|t| t.status == ServerStatus::Build)
                .filter_map(|t| {
                    end(t, bad.as_deref());
                    t.owner.clone()
                })
                .collect()
        };
        for owner in owners {
            self.wake(&owner).await;
        }
    }

    async fn wake(&self, owner: &OwnerKey) {
        let mut tx = self.db.begin().await.unwrap();
        db::mark(&mut tx, &owner.kind, &owner.id).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn call<T>(&self, effect: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let (result, stop) = {
            let mut s = self.state.lock().unwrap();
            s.calls += 1;
            s.asked += 1;
            let hit = s.crash.is_some_and(|(n, _)| n == s.calls);
            let after = s.crash.is_some_and(|(_, after)| after);
            if hit {
                s.crash = None;
            }
            let result = if hit && !after {
                None
            } else {
                Some(effect(&mut s))
            };
            (result, hit)
        };
        if stop {
            self.crashed.notify_one();
            std::future::pending::<()>().await;
        }
        result.expect("only a crash skips the effect")
    }

    async fn make(&self, id: &str, thing: Thing) -> Result<Thing> {
        let slow = self.state.lock().unwrap().slow;
        let owner = thing
            .owner
            .clone()
            .filter(|_| thing.kind == "server" && !slow);
        let made = self
            .call(|s| {
                if let Some(t) = s.things.get(id) {
                    return Ok(t.clone());
                }
                for used in &thing.uses {
                    if !s.things.contains_key(used) && used != "public" {
                        return Err(Error::not_found("Thing", used));
                    }
                }
                s.log.push(format!("create {} {}", thing.kind, thing.name));
                s.made += 1;
                let mut thing = Thing {
                    made: s.made,
                    ..thing
                };
                let shown = thing.clone();
                if thing.kind == "server" && !slow {
                    end(&mut thing, s.bad.as_deref());
                }
                if shown.status == ServerStatus::Build {
                    s.building = s.building.max(s.pending + 1);
                }
                if thing.status == ServerStatus::Build {
                    s.pending += 1;
                }
                for used in &thing.uses {
                    *s.users.entry(used.clone()).or_insert(0) += 1;
                }
                s.things.insert(id.to_owned(), thing);
                Ok(shown)
            })
            .await?;
        if let Some(owner) = owner {
            self.wake(&owner).await;
        }
        Ok(made)
    }

    /// Makes a server anew; one that is being built is left alone, and a
    /// repeat of the same call finds it done.
    async fn rebuild(&self, id: &str, user_data: &str, generation: Option<i64>) -> Result<Thing> {
        let slow = self.state.lock().unwrap().slow;
        let shown = self
            .call(|s| {
                let bad = s.bad.clone();
                let Some(t) = s.things.get_mut(id) else {
                    return Err(Error::not_found("Server", id));
                };
                if t.status == ServerStatus::Build || t.rebuilt == generation {
                    return Ok(t.clone());
                }
                t.rebuilt = generation;
                t.status = ServerStatus::Build;
                t.fault = None;
                t.user_data = Some(user_data.to_owned());
                let shown = t.clone();
                if slow {
                    s.pending += 1;
                } else {
                    end(t, bad.as_deref());
                }
                s.log.push(format!("rebuild server {}", shown.name));
                Ok(shown)
            })
            .await?;
        if let Some(owner) = shown.owner.clone().filter(|_| !slow) {
            self.wake(&owner).await;
        }
        Ok(shown)
    }

    /// A server dies by itself.
    pub fn fail(&self, name: &str) {
        let mut s = self.state.lock().unwrap();
        for t in s.things.values_mut().filter(|t| t.name == name) {
            t.status = ServerStatus::Error;
        }
    }

    async fn look(&self, id: &str) -> Result<Thing> {
        self.call(|s| {
            s.things
                .get(id)
                .cloned()
                .ok_or_else(|| Error::not_found("Thing", id))
        })
        .await
    }

    async fn drop_thing(&self, id: &str) -> Result<()> {
        self.call(|s| {
            let Some(thing) = s.things.get(id).cloned() else {
                return Ok(());
            };
            if s.undeletable == Some(thing.kind) {
                return Err(Error::forbidden("this one stays"));
            }
            if s.users.get(id).is_some_and(|n| *n > 0) {
                return Err(Error::conflict(format!("{} is in use", thing.name)));
            }
            for used in &thing.uses {
                if let Some(n) = s.users.get_mut(used) {
                    *n -= 1;
                }
            }
            if thing.status == ServerStatus::Build {
                s.pending -= 1;
            }
            s.log.push(format!("delete {} {}", thing.kind, thing.name));
            s.things.remove(id);
            Ok(())
        })
        .await
    }
}

fn end(t: &mut Thing, bad: Option<&str>) {
    if bad.is_some_and(|b| t.name.contains(b)) {
        t.status = ServerStatus::Error;
        t.fault = Some("No valid host was found.".into());
    } else {
        t.status = ServerStatus::Active;
    }
}

fn thing(kind: &'static str, name: String, uses: Vec<String>) -> Thing {
    Thing {
        kind,
        name,
        uses,
        status: ServerStatus::Active,
        fault: None,
        owner: None,
        user_data: None,
        rebuilt: None,
        made: 0,
    }
}

fn network(id: &str, t: Thing) -> Network {
    Network {
        id: id.into(),
        project_id: super::PROJECT.into(),
        name: t.name,
        external: false,
        status: Status::Active,
        status_reason: None,
        subnets: vec![],
    }
}

#[async_trait]
impl Networks for Handle {
    async fn create(&self, ctx: &Ctx, new: NewNetwork) -> Result<Network> {
        self.0.called_by(ctx);
        let t = self
            .0
            .make(&new.id, thing("network", new.name, vec![]))
            .await?;
        Ok(network(&new.id, t))
    }
    async fn show(&self, _: &Ctx, id: &str) -> Result<Network> {
        Ok(network(id, self.0.look(id).await?))
    }
    async fn find(&self, _: &Ctx, name: &str) -> Result<Network> {
        Ok(network(name, thing("network", name.into(), vec![])))
    }
    async fn delete(&self, _: &Ctx, id: &str) -> Result<()> {
        self.0.drop_thing(id).await
    }
}

fn subnet(id: &str, t: Thing) -> Subnet {
    Subnet {
        id: id.into(),
        network_id: t.uses.first().cloned().unwrap_or_default(),
        name: t.name,
        cidr: "10.0.0.0/24".into(),
        gateway_ip: "10.0.0.1".into(),
        dns_nameservers: vec![],
    }
}

#[async_trait]
impl Subnets for Handle {
    async fn create(&self, _: &Ctx, new: NewSubnet) -> Result<Subnet> {
        let t = self
            .0
            .make(&new.id, thing("subnet", new.name, vec![new.network_id]))
            .await?;
        Ok(subnet(&new.id, t))
    }
    async fn show(&self, _: &Ctx, id: &str) -> Result<Subnet> {
        Ok(subnet(id, self.0.look(id).await?))
    }
    async fn delete(&self, _: &Ctx, id: &str) -> Result<()> {
        self.0.drop_thing(id).await
    }
}

fn port(id: &str, t: Thing) -> Port {
    Port {
        id: id.into(),
        network_id: t.uses.first().cloned().unwrap_or_default(),
        subnet_id: String::new(),
        name: t.name,
        ip: format!("10.0.0.{}", t.made + 10),
        mac: "02:00:00:00:00:01".into(),
        status: Status::Down,
        device_id: None,
        host_network: String::new(),
    }
}

#[async_trait]
impl Ports for Handle {
    async fn create(&self, _: &Ctx, new: NewPort) -> Result<Port> {
        let t = self
            .0
            .make(&new.id, thing("port", new.name, vec![new.network_id]))
            .await?;
        Ok(port(&new.id, t))
    }
    async fn show(&self, _: &Ctx, id: &str) -> Result<Port> {
        Ok(port(id, self.0.look(id).await?))
    }
    async fn of_device(&self, _: &Ctx, _: &str) -> Result<Vec<Port>> {
        Ok(vec![])
    }
    async fn bind(&self, _: &Ctx, id: &str, _: &str, _: OwnerKey) -> Result<Port> {
        Ok(port(id, self.0.look(id).await?))
    }
    async fn unbind(&self, _: &Ctx, _: &str, _: &str) -> Result<()> {
        Ok(())
    }
    async fn delete(&self, _: &Ctx, id: &str) -> Result<()> {
        self.0.drop_thing(id).await
    }
}

fn router(id: &str, t: Thing) -> Router {
    Router {
        id: id.into(),
        name: t.name,
        external_network: None,
        status: Status::Active,
    }
}

#[async_trait]
impl Routers for Handle {
    async fn create(&self, _: &Ctx, new: NewRouter) -> Result<Router> {
        let uses = new.external_network.into_iter().collect();
        let t = self
            .0
            .make(&new.id, thing("router", new.name, uses))
            .await?;
        Ok(router(&new.id, t))
    }
    async fn show(&self, _: &Ctx, id: &str) -> Result<Router> {
        Ok(router(id, self.0.look(id).await?))
    }
    async fn add_interface(&self, _: &Ctx, r: &str, s: &str) -> Result<()> {
        let uses = vec![r.to_owned(), s.to_owned()];
        let id = format!("{r}/{s}");
        self.0
            .make(&id, thing("interface", "interface".into(), uses))
            .await
            .map(|_| ())
    }
    async fn remove_interface(&self, _: &Ctx, r: &str, s: &str) -> Result<()> {
        self.0.drop_thing(&format!("{r}/{s}")).await
    }
    async fn delete(&self, _: &Ctx, id: &str) -> Result<()> {
        self.0.drop_thing(id).await
    }
}

fn group(id: &str, t: Thing) -> SecurityGroup {
    SecurityGroup {
        id: id.into(),
        name: t.name,
        rules: vec![],
    }
}

#[async_trait]
impl SecurityGroups for Handle {
    async fn create(&self, _: &Ctx, new: NewSecurityGroup) -> Result<SecurityGroup> {
        let t = self
            .0
            .make(&new.id, thing("secgroup", new.name, vec![]))
            .await?;
        Ok(group(&new.id, t))
    }
    async fn show(&self, _: &Ctx, id: &str) -> Result<SecurityGroup> {
        Ok(group(id, self.0.look(id).await?))
    }
    async fn delete(&self, _: &Ctx, id: &str) -> Result<()> {
        self.0.drop_thing(id).await
    }
}

fn server(id: &str, t: Thing) -> Server {
    Server {
        id: id.into(),
        project_id: super::PROJECT.into(),
        name: t.name,
        status: t.status,
        fault: t.fault.map(|message| Fault { code: 500, message }),
        progress: None,
        image_id: String::new(),
        flavor_id: String::new(),
        host: None,
        addresses: vec![format!("10.0.0.{}", t.made + 10)],
        metadata: BTreeMap::new(),
    }
}

#[async_trait]
impl Servers for Handle {
    async fn create(&self, ctx: &Ctx, new: NewServer) -> Result<Server> {
        self.0.called_by(ctx);
        let mut uses = new.security_groups;
        uses.extend(new.networks.into_iter().map(|a| match a {
            compute::face::Attach::Port(id) | compute::face::Attach::Network(id) => id,
        }));
        let t = Thing {
            status: ServerStatus::Build,
            owner: new.owner,
            user_data: new.user_data,
            ..thing("server", new.name, uses)
        };
        Ok(server(&new.id, self.0.make(&new.id, t).await?))
    }
    async fn show(&self, _: &Ctx, id: &str) -> Result<Server> {
        Ok(server(id, self.0.look(id).await?))
    }
    async fn of_owner(&self, _: &Ctx, owner: &OwnerKey) -> Result<Vec<Server>> {
        let listed = self.0.call(|s| {
            let own = s
                .things
                .iter()
                .filter(|(_, t)| t.owner.as_ref() == Some(owner));
            Ok(own.map(|(id, t)| server(id, t.clone())).collect())
        });
        listed.await
    }

    async fn delete(&self, _: &Ctx, id: &str) -> Result<()> {
        self.0.drop_thing(id).await
    }
    async fn rebuild(&self, ctx: &Ctx, id: &str, user_data: &str) -> Result<Server> {
        let generation = ctx.generation();
        Ok(server(id, self.0.rebuild(id, user_data, generation).await?))
    }
    async fn console(&self, _: &Ctx, _: &str, _: u32) -> Result<String> {
        Ok(String::new())
    }
}

#[async_trait]
impl Flavors for Handle {
    async fn find(&self, _: &Ctx, id: &str) -> Result<Flavor> {
        Err(Error::not_found("Flavor", id))
    }
    async fn list(&self, _: &Ctx) -> Result<Vec<Flavor>> {
        Ok(vec![])
    }
}

#[async_trait]
impl Keypairs for Handle {
    async fn find(&self, _: &Ctx, name: &str) -> Result<Keypair> {
        Err(Error::not_found("Keypair", name))
    }
}

#[async_trait]
impl Images for Handle {
    async fn find(&self, _: &Ctx, id: &str) -> Result<Image> {
        Err(Error::not_found("Image", id))
    }
    async fn list(&self, _: &Ctx) -> Result<Vec<Image>> {
        Ok(vec![])
    }
    async fn register(&self, _: &Ctx, new: NewImage) -> Result<Image> {
        Err(Error::not_found("Image", &new.name))
    }
}
