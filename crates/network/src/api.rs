//! The interface of the network service, with Neutron's terms. It is
//! implemented by this crate or, later, by a client of a real Neutron. The
//! caller generates and stores ids first: a repeated `create` returns the
//! existing object, and `delete` of an absent object succeeds.

use ipnet::Ipv4Net;
use std::net::Ipv4Addr;
use std::sync::Arc;

use async_trait::async_trait;
use kernel::{Ctx, OwnerKey, ProjectId, Result};
use serde::{Deserialize, Serialize};

use crate::{NetworkId, PortId, RouterId, SecurityGroupId, SubnetId};

/// Status of a network, port or router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Being realised by the fabric.
    Build,
    Active,
    /// Being removed from the fabric; the row is deleted afterwards.
    Deleting,
    Down,
    Error,
}

#[derive(Debug, Clone, Default)]
pub struct NewNetwork {
    pub id: NetworkId,
    pub project_id: ProjectId,
    pub name: String,
    pub external: bool,
    pub owner: Option<OwnerKey>,
}

#[derive(Debug, Clone)]
pub struct Network {
    pub id: NetworkId,
    pub project_id: ProjectId,
    pub name: String,
    pub external: bool,
    pub status: Status,
    /// Why it is in ERROR, or what a removal waits for.
    pub status_reason: Option<String>,
    pub subnets: Vec<SubnetId>,
}

#[derive(Debug, Clone, Default)]
pub struct NewSubnet {
    pub id: SubnetId,
    pub project_id: ProjectId,
    pub network_id: NetworkId,
    pub name: String,
    /// `None`: a range without overlap on this machine is allocated.
    pub cidr: Option<String>,
    /// `None`: the first address.
    pub gateway_ip: Option<String>,
    pub dns_nameservers: Vec<String>,
    pub owner: Option<OwnerKey>,
}

#[derive(Debug, Clone)]
pub struct Subnet {
    pub id: SubnetId,
    pub network_id: NetworkId,
    pub name: String,
    pub cidr: Ipv4Net,
    pub gateway_ip: Ipv4Addr,
    pub dns_nameservers: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub struct NewPort {
    pub id: PortId,
    pub project_id: ProjectId,
    pub network_id: NetworkId,
    pub name: String,
    /// `None`: the next free address of the subnet is allocated.
    pub ip: Option<String>,
    pub security_groups: Vec<String>,
    /// The server that uses the port.
    pub device_id: Option<String>,
    /// Owner that is marked when the port becomes ACTIVE or fails.
    pub owner: Option<OwnerKey>,
}

#[derive(Debug, Clone)]
pub struct Port {
    pub id: PortId,
    pub network_id: NetworkId,
    pub subnet_id: SubnetId,
    pub name: String,
    pub ip: Ipv4Addr,
    pub mac: String,
    pub status: Status,
    pub device_id: Option<String>,
    /// Name of the network on the host, for [`infra::Endpoint`].
    pub host_network: String,
}

#[derive(Debug, Clone, Default)]
pub struct NewRouter {
    pub id: RouterId,
    pub project_id: ProjectId,
    pub name: String,
    /// Id or name of an external network.
    pub external_network: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Router {
    pub id: RouterId,
    pub name: String,
    pub external_network: Option<NetworkId>,
    pub status: Status,
}

/// A rule with Neutron's fields; `None` means any.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SecurityRule {
    pub direction: String,
    pub ethertype: String,
    pub protocol: Option<String>,
    pub port_min: Option<i64>,
    pub port_max: Option<i64>,
    pub remote_ip_prefix: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub struct NewSecurityGroup {
    pub id: SecurityGroupId,
    pub project_id: ProjectId,
    pub name: String,
    pub description: String,
    pub rules: Vec<SecurityRule>,
}

#[derive(Debug, Clone)]
pub struct SecurityGroup {
    pub id: SecurityGroupId,
    pub name: String,
    pub rules: Vec<SecurityRule>,
}

#[async_trait]
pub trait Networks: Send + Sync {
    async fn create(&self, ctx: &Ctx, new: NewNetwork) -> Result<Network>;
    /// By id; `NotFound` also for an object of another project.
    async fn show(&self, ctx: &Ctx, id: &NetworkId) -> Result<Network>;
    /// By id or name, own or external; `Conflict` if a name is ambiguous.
    async fn find(&self, ctx: &Ctx, id_or_name: &str) -> Result<Network>;
    /// Starts the removal, which is complete when `show` returns `NotFound`.
    async fn delete(&self, ctx: &Ctx, id: &NetworkId) -> Result<()>;
}

#[async_trait]
pub trait Subnets: Send + Sync {
    async fn create(&self, ctx: &Ctx, new: NewSubnet) -> Result<Subnet>;
    /// Checks a range before anything is created with it. `Invalid` if a subnet
    /// cannot have it; `Conflict` if it overlaps a range that is not free: a subnet
    /// of any project, a network that the machine has a route to, or the pool of
    /// the ranges that the service chooses.
    async fn check_free(&self, ctx: &Ctx, cidr: &str) -> Result<()>;
    async fn show(&self, ctx: &Ctx, id: &SubnetId) -> Result<Subnet>;
    async fn delete(&self, ctx: &Ctx, id: &SubnetId) -> Result<()>;
}

#[async_trait]
pub trait Ports: Send + Sync {
    async fn create(&self, ctx: &Ctx, new: NewPort) -> Result<Port>;
    async fn show(&self, ctx: &Ctx, id: &PortId) -> Result<Port>;
    /// Binds the port to a device; `owner` is marked when the port becomes
    /// ACTIVE or fails. `Conflict` if another device has it.
    async fn bind(&self, ctx: &Ctx, id: &PortId, device_id: &str, owner: OwnerKey) -> Result<Port>;
    /// Unbinds the port from a deleted device.
    async fn unbind(&self, ctx: &Ctx, id: &PortId, device_id: &str) -> Result<()>;
    async fn of_device(&self, ctx: &Ctx, device_id: &str) -> Result<Vec<Port>>;
    async fn delete(&self, ctx: &Ctx, id: &PortId) -> Result<()>;
}

#[async_trait]
pub trait Routers: Send + Sync {
    async fn create(&self, ctx: &Ctx, new: NewRouter) -> Result<Router>;
    async fn show(&self, ctx: &Ctx, id: &RouterId) -> Result<Router>;
    async fn add_interface(
        &self,
        ctx: &Ctx,
        router_id: &RouterId,
        subnet_id: &SubnetId,
    ) -> Result<()>;
    async fn remove_interface(
        &self,
        ctx: &Ctx,
        router_id: &RouterId,
        subnet_id: &SubnetId,
    ) -> Result<()>;
    async fn delete(&self, ctx: &Ctx, id: &RouterId) -> Result<()>;
}

#[async_trait]
pub trait SecurityGroups: Send + Sync {
    async fn create(&self, ctx: &Ctx, new: NewSecurityGroup) -> Result<SecurityGroup>;
    async fn show(&self, ctx: &Ctx, id: &SecurityGroupId) -> Result<SecurityGroup>;
    async fn delete(&self, ctx: &Ctx, id: &SecurityGroupId) -> Result<()>;
}

/// The interface of the service: one trait object per kind of resource.
#[derive(Clone)]
pub struct NetworkApi {
    pub networks: Arc<dyn Networks>,
    pub subnets: Arc<dyn Subnets>,
    pub ports: Arc<dyn Ports>,
    pub routers: Arc<dyn Routers>,
    pub security_groups: Arc<dyn SecurityGroups>,
}
