//! The resource types, one registration each in [`find`].

use compute::api::ComputeApi;
use network::api::NetworkApi;

use super::operations::{Local, Remote};
use super::schema::Schema;
use super::{
    group, net, none, port, random_string, router, router_interface, security_group, server,
    subnet, value, wait_condition, wait_handle,
};

/// A resource type.
#[derive(Clone, Copy)]
pub(crate) struct Type {
    pub schema: &'static Schema,
    pub role: Role,
}

/// The implementation of the operations of a type.
#[derive(Clone, Copy)]
pub(crate) enum Role {
    Local(&'static dyn Local),
    /// Builds the implementation with the services that it calls.
    Remote(fn(&Remotes) -> Box<dyn Remote>),
    /// Members are separate resources; see the engine.
    Group,
}

/// The services that remote types call.
pub(crate) struct Remotes {
    pub network: NetworkApi,
    pub compute: ComputeApi,
}

impl Remotes {
    /// The implementation of a remote type.
    pub(crate) fn worker(&self, name: &str) -> Option<Box<dyn Remote>> {
        match find(name)?.role {
            Role::Remote(build) => Some(build(self)),
            Role::Local(_) | Role::Group => None,
        }
    }
}

/// The registration of every type.
pub(crate) fn find(name: &str) -> Option<Type> {
    Some(match name {
        "OS::Nova::Server" => remote(&server::SCHEMA, |r| {
            Box::new(server::Server {
                compute: r.compute.clone(),
                network: r.network.clone(),
            })
        }),
        "OS::Neutron::Net" => remote(&net::SCHEMA, |r| Box::new(net::Net(r.network.clone()))),
        "OS::Neutron::Subnet" => remote(&subnet::SCHEMA, |r| {
            Box::new(subnet::Subnet(r.network.clone()))
        }),
        "OS::Neutron::Router" => remote(&router::SCHEMA, |r| {
            Box::new(router::Router(r.network.clone()))
        }),
        "OS::Neutron::RouterInterface" => remote(&router_interface::SCHEMA, |r| {
            Box::new(router_interface::RouterInterface(r.network.clone()))
        }),
        "OS::Neutron::Port" => remote(&port::SCHEMA, |r| Box::new(port::Port(r.network.clone()))),
        "OS::Neutron::SecurityGroup" => remote(&security_group::SCHEMA, |r| {
            Box::new(security_group::SecurityGroup(r.network.clone()))
        }),
        "OS::Heat::ResourceGroup" => Type {
            schema: &group::SCHEMA,
            role: Role::Group,
        },
        "OS::Heat::Value" => local(&value::SCHEMA, &value::HeatValue),
        "OS::Heat::RandomString" => local(&random_string::SCHEMA, &random_string::RandomString),
        "OS::Heat::None" => local(&none::SCHEMA, &none::HeatNone),
        "OS::Heat::WaitCondition" => local(&wait_condition::SCHEMA, &wait_condition::WaitCondition),
        "OS::Heat::WaitConditionHandle" => {
            local(&wait_handle::SCHEMA, &wait_handle::WaitConditionHandle)
        }
        _ => return None,
    })
}

fn remote(schema: &'static Schema, build: fn(&Remotes) -> Box<dyn Remote>) -> Type {
    Type {
        schema,
        role: Role::Remote(build),
    }
}

fn local(schema: &'static Schema, local: &'static dyn Local) -> Type {
    Type {
        schema,
        role: Role::Local(local),
    }
}
