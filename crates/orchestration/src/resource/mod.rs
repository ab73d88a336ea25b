//! The resource types: one file each, registered in [`find`].
//!
//! A local type is a pure function of its properties and of signals; a remote
//! type calls a service. Ids are given, so that every call can be repeated.

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
use compute::api::ComputeApi;
use kernel::{Ctx, Error, Kind, OwnerKey};
use network::api::NetworkApi;
use serde_json::{Map, Value};

pub(crate) use group::GroupProps;
pub(crate) use schema::Schema;

use crate::api::Action;
use crate::stack::Signals;

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
    Remote,
    /// Members are separate resources; see the engine.
    Group,
}

/// Inputs of the operations of a type.
pub(crate) struct Job {
    pub ctx: Ctx,
    pub project_id: String,
    pub user_id: String,
    /// Marked dirty by services that finish requested work.
    pub owner: OwnerKey,
    /// `{stack}-{resource}-{12 digits}`, the default name of objects.
    pub physical_name: String,
    pub physical_id: String,
    pub props: Map<String, Value>,
    pub action: Action,
    /// Start of the action of the resource, microseconds.
    pub since: i64,
    /// Acceptance of the action of the stack, microseconds.
    pub stack_since: i64,
    pub now: i64,
}

/// Progress of a create or an update.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Complete, with the attributes.
    Done(Map<String, Value>),
    Wait {
        reason: String,
        /// If only a signal ends the wait: when it fails, microseconds.
        /// Otherwise the called service marks the stack.
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

/// Progress of a removal.
#[derive(Debug)]
pub(crate) enum Removal {
    Gone,
    Wait(String),
}

/// Error of a step.
#[derive(Debug)]
pub(crate) enum StepError {
    /// Repeating the step may succeed.
    Later(String),
    /// Permanent, with the error class of Heat's texts.
    Failed {
        class: &'static str,
        message: String,
    },
}

impl StepError {
    pub(crate) fn failed(class: &'static str, message: impl Into<String>) -> Self {
        Self::Failed {
            class,
            message: message.into(),
        }
    }
}

impl From<Error> for StepError {
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
    /// Creates, checks and updates: the result depends only on the inputs.
    fn run(&self, job: &Job, signals: &Signals) -> Result<Progress, StepError>;

    /// The value of `get_resource`.
    fn reference(&self, physical_id: &str, attrs: &Map<String, Value>) -> Value {
        let _ = attrs;
        Value::from(physical_id)
    }
}

/// A type whose objects belong to another service.
#[async_trait]
pub(crate) trait Remote: Send + Sync {
    /// Creates the object with the given id, or finds the existing one.
    async fn create(&self, job: &Job) -> Result<Progress, StepError>;

    /// Checks the object. A missing object is created during a create (the
    /// process died between the intent and the call), otherwise it is a
    /// failure.
    async fn check(&self, job: &Job) -> Result<Progress, StepError>;

    /// Rebuilds the object under its id with the current properties. Only
    /// called for types whose schema supports it.
    async fn rebuild(&self, job: &Job) -> Result<Progress, StepError> {
        let _ = job;
        Err(StepError::failed(
            "InternalError",
            "This type has no rebuild.",
        ))
    }

    /// Starts the removal or checks its progress. An absent object is removed.
    async fn delete(&self, job: &Job) -> Result<Removal, StepError>;
}

/// The services that remote types call.
pub(crate) struct Remotes {
    pub network: NetworkApi,
    pub compute: ComputeApi,
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
    /// The implementation of a remote type.
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

/// The given name, otherwise the physical name, shortened to `limit` like in
/// Heat.
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

/// The id of a network given by id or name.
async fn network_id(api: &NetworkApi, ctx: &Ctx, given: &str) -> Result<String, StepError> {
    if kernel::ids::is_uuid_like(given) {
        return Ok(given.to_owned());
    }
    Ok(api.networks.find(ctx, given).await?.id)
}

/// Builds the attributes from a JSON object.
fn attributes(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// `NotFound` of an object that should exist.
fn missing_resource(noun: &str, id: &str) -> StepError {
    StepError::failed("NotFound", format!("The {noun} ({id}) could not be found."))
}

/// Combines the results of a delete call and of the following check.
fn removal<T>(
    shown: kernel::Result<T>,
    waits: impl FnOnce(T) -> String,
) -> Result<Removal, StepError> {
    match shown {
        Err(e) if e.is_not_found() => Ok(Removal::Gone),
        Err(e) => Err(e.into()),
        Ok(thing) => Ok(Removal::Wait(waits(thing))),
    }
}

/// Starts a removal: an absent object is removed, and a conflict (something is
/// still attached) resolves by itself.
fn started(result: kernel::Result<()>) -> Result<bool, StepError> {
    match result {
        Ok(()) => Ok(true),
        Err(e) if e.is_not_found() => Ok(false),
        Err(e) if e.kind == Kind::Conflict => Err(StepError::Later(e.message)),
        Err(e) => Err(e.into()),
    }
}
