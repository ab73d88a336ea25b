//! The resource types: one file each, listed in [`find`].
//!
//! A local type is a pure function of its properties and of signals; a remote
//! one calls a face. Ids are given, so that every call can be repeated.

mod group;
mod net;
mod none;
mod port;
mod random_string;
mod router;
mod router_interface;
mod schema;
mod security_group;
mod server;
mod subnet;
mod value;
mod wait_condition;
mod wait_handle;

use async_trait::async_trait;
use compute::face::ComputeFace;
use kernel::{Ctx, Error, Kind, OwnerKey};
use network::face::NetworkFace;
use serde_json::{Map, Value};

pub(crate) use group::GroupProps;
pub(crate) use schema::Schema;

use crate::face::Action;
use crate::stack::Signals;

/// A resource type.
#[derive(Clone, Copy)]
pub(crate) struct Type {
    pub schema: &'static Schema,
    pub role: Role,
}

/// Who does the work of a type.
#[derive(Clone, Copy)]
pub(crate) enum Role {
    Local(&'static dyn Local),
    Remote,
    /// Members are resources of their own; see the engine.
    Group,
}

/// Everything that a type may look at when it acts.
pub(crate) struct Job {
    pub ctx: Ctx,
    pub project_id: String,
    pub user_id: String,
    /// Marked dirty by whoever finishes what we asked for.
    pub owner: OwnerKey,
    /// `{stack}-{resource}-{12 digits}`, the default name of things.
    pub physical_name: String,
    pub physical_id: String,
    pub props: Map<String, Value>,
    pub action: Action,
    /// When the resource's action started, microseconds.
    pub since: i64,
    /// When the stack's action was accepted, microseconds.
    pub stack_since: i64,
    pub now: i64,
}

/// How far a create or an update is.
#[derive(Debug)]
pub(crate) enum Progress {
    /// With the attributes.
    Done(Map<String, Value>),
    Wait {
        reason: String,
        /// Where only a signal ends the waiting: when it fails, microseconds.
        /// Otherwise whoever does the work marks the stack.
        until: Option<i64>,
    },
}

impl Progress {
    pub(crate) fn wait(reason: impl Into<String>) -> Self {
        Self::Wait {
            reason: reason.into(),
            until: None,
        }
    }
}

/// How far a removal is.
#[derive(Debug)]
pub(crate) enum Removal {
    Gone,
    Wait(String),
}

/// Why a step did not succeed.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The same step may succeed when repeated.
    Later(String),
    /// With the class that Heat's texts lead with.
    Failed {
        class: &'static str,
        message: String,
    },
}

impl Trouble {
    pub(crate) fn failed(class: &'static str, message: impl Into<String>) -> Self {
        Self::Failed {
            class,
            message: message.into(),
        }
    }
}

impl From<Error> for Trouble {
    fn from(e: Error) -> Self {
        if e.is_transient() {
            return Self::Later(e.message);
        }
        let class = match &e.kind {
            Kind::NotFound => "NotFound",
            Kind::Conflict | Kind::AlreadyExists => "Conflict",
            Kind::Invalid { .. } => "BadRequest",
            Kind::Unauthenticated | Kind::Forbidden => "Forbidden",
            Kind::QuotaExceeded { .. } => "OverQuota",
            _ => "InternalError",
        };
        if class == "InternalError" {
            tracing::warn!(error = %e, "a resource failed");
        }
        Self::failed(class, e.message)
    }
}

/// A type that needs no other service.
pub(crate) trait Local: Send + Sync {
    /// Creates, checks and updates: the result follows from what is known.
    fn run(&self, job: &Job, signals: &Signals) -> Result<Progress, Trouble>;

    /// What `get_resource` says.
    fn reference(&self, physical_id: &str, attrs: &Map<String, Value>) -> Value {
        let _ = attrs;
        Value::from(physical_id)
    }
}

/// A type whose thing lives in another service.
#[async_trait]
pub(crate) trait Remote: Send + Sync {
    /// Makes the thing with the given id; finds it where it exists.
    async fn create(&self, job: &Job) -> Result<Progress, Trouble>;

    /// Looks at the thing. Where it is missing: while creating, makes it
    /// (the process died between the intent and the call), else fails.
    async fn check(&self, job: &Job) -> Result<Progress, Trouble>;

    /// Makes the thing anew under its id, with the present properties. Only
    /// types whose schema says so are asked.
    async fn rebuild(&self, job: &Job) -> Result<Progress, Trouble> {
        let _ = job;
        Err(Trouble::failed(
            "InternalError",
            "This type has no rebuild.",
        ))
    }

    /// Starts the removal or looks how far it is. Absent is gone.
    async fn delete(&self, job: &Job) -> Result<Removal, Trouble>;
}

/// The faces that remote types call.
pub(crate) struct Remotes {
    pub network: NetworkFace,
    pub compute: ComputeFace,
}

/// The registration of every type.
pub(crate) fn find(name: &str) -> Option<Type> {
    let remote = |schema| Type {
        schema,
        role: Role::Remote,
    };
    let local = |schema, local| Type {
        schema,
        role: Role::Local(local),
    };
    Some(match name {
        "OS::Nova::Server" => remote(&server::SCHEMA),
        "OS::Neutron::Net" => remote(&net::SCHEMA),
        "OS::Neutron::Subnet" => remote(&subnet::SCHEMA),
        "OS::Neutron::Router" => remote(&router::SCHEMA),
        "OS::Neutron::RouterInterface" => remote(&router_interface::SCHEMA),
        "OS::Neutron::Port" => remote(&port::SCHEMA),
        "OS::Neutron::SecurityGroup" => remote(&security_group::SCHEMA),
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

impl Remotes {
    /// The worker of a remote type.
    pub(crate) fn worker(&self, name: &str) -> Option<Box<dyn Remote>> {
        let network = self.network.clone();
        Some(match name {
            "OS::Nova::Server" => Box::new(server::Server {
                compute: self.compute.clone(),
                network,
            }),
            "OS::Neutron::Net" => Box::new(net::Net(network)),
            "OS::Neutron::Subnet" => Box::new(subnet::Subnet(network)),
            "OS::Neutron::Router" => Box::new(router::Router(network)),
            "OS::Neutron::RouterInterface" => Box::new(router_interface::RouterInterface(network)),
            "OS::Neutron::Port" => Box::new(port::Port(network)),
            "OS::Neutron::SecurityGroup" => Box::new(security_group::SecurityGroup(network)),
            _ => return None,
        })
    }
}

/// A text property.
fn text(props: &Map<String, Value>, name: &str) -> Option<String> {
    props.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// The given name, else the physical name cut to `limit` as Heat does it.
fn name_or_physical(job: &Job, limit: usize) -> String {
    let name = text(&job.props, "name").unwrap_or_else(|| job.physical_name.clone());
    let length = name.chars().count();
    if length <= limit {
        return name;
    }
    let head: String = name.chars().take(2).collect();
    let tail: String = name.chars().skip(length - (limit - 3)).collect();
    format!("{head}-{tail}")
}

/// A list of texts.
fn texts(props: &Map<String, Value>, name: &str) -> Vec<String> {
    let list = props.get(name).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// The id of a network that is given by id or name.
async fn network_id(face: &NetworkFace, ctx: &Ctx, given: &str) -> Result<String, Trouble> {
    if kernel::ids::is_uuid_like(given) {
        return Ok(given.to_owned());
    }
    Ok(face.networks.find(ctx, given).await?.id)
}

/// Builds the attributes from a JSON object.
fn attributes(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// `NotFound` of a thing that should exist.
fn vanished(noun: &str, id: &str) -> Trouble {
    Trouble::failed("NotFound", format!("The {noun} ({id}) could not be found."))
}

/// What a delete call and a look afterwards say together.
fn removal<T>(
    shown: kernel::Result<T>,
    waits: impl FnOnce(T) -> String,
) -> Result<Removal, Trouble> {
    match shown {
        Err(e) if e.is_not_found() => Ok(Removal::Gone),
        Err(e) => Err(e.into()),
        Ok(thing) => Ok(Removal::Wait(waits(thing))),
    }
}

/// Starts a removal: absent is gone, a conflict (something is still attached)
/// goes away by itself.
fn started(result: kernel::Result<()>) -> Result<bool, Trouble> {
    match result {
        Ok(()) => Ok(true),
        Err(e) if e.is_not_found() => Ok(false),
        Err(e) if e.kind == Kind::Conflict => Err(Trouble::Later(e.message)),
        Err(e) => Err(e.into()),
    }
}
