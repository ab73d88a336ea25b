//! `OS::Nova::Server`.

use async_trait::async_trait;
use compute::api::{Attach, ComputeApi, Isolation, NewServer, Server as ApiServer, ServerStatus};
use lang::hot::python_text;
use network::api::NetworkApi;
use serde_json::{Value, json};

use super::network_lookup::network_id;
use super::operations::{Job, Remote};
use super::properties::{name_or_physical, text, texts};
use super::schema::{Check, Default, Kind, PLAIN, Property, Schema};
use super::step::{Progress, Removal, StepError, attributes, missing_resource, removal, started};
use crate::api::Action;

/// Heat's limit for names of servers.
const NAME_LIMIT: usize = 53;

pub(super) const SCHEMA: Schema = Schema {
    name: "OS::Nova::Server",
    // Compute supports no updates in place, so almost every change replaces the
    // server.
    properties: &[
        Property::new("name", Kind::Text),
        Property::new("image", Kind::Text).required(),
        Property::new("flavor", Kind::Text).required(),
        Property::new("key_name", Kind::Text),
        Property::new(
            "networks",
            Kind::List(&Kind::Object(&[
                Property::new("network", Kind::Text),
                Property::new("port", Kind::Text),
            ])),
        ),
        Property::new("security_groups", Kind::List(&Kind::Text)).or(Default::EmptyList),
        Property::new("user_data", Kind::Text),
        Property::new("user_data_format", Kind::Text)
            .or(Default::Text("RAW"))
            .check(Check::OneOf(&["RAW", "HEAT_CFNTOOLS", "SOFTWARE_CONFIG"])),
        Property::new("user_data_update_policy", Kind::Text)
            .or(Default::Text("REPLACE"))
            .check(Check::OneOf(&["REPLACE", "IGNORE"]))
            .updatable(),
        Property::new("metadata", Kind::Map),
        // `isolation` is the only hint.
        Property::new("scheduler_hints", Kind::Map),
    ],
    attributes: Some(&[
        "name",
        "status",
        "first_address",
        "addresses",
        "networks",
        "show",
    ]),
    ignores: Some(("user_data", "user_data_update_policy", "IGNORE")),
    rebuilds: Some("user_data"),
    ..PLAIN
};

pub(super) struct Server {
    pub compute: ComputeApi,
    pub network: NetworkApi,
}

#[async_trait]
impl Remote for Server {
    async fn create(&self, job: &Job) -> Result<Progress, StepError> {
        let mut networks = Vec::new();
        let list = job.props.get("networks").and_then(Value::as_array);
        for item in list.into_iter().flatten() {
            let field = |name: &str| item.get(name).and_then(Value::as_str);
            networks.push(match (field("port"), field("network")) {
                (Some(port), _) => Attach::Port(port.into()),
                (None, Some(network)) => {
                    Attach::Network(network_id(&self.network, &job.ctx, network).await?)
                }
                (None, None) => {
                    let why = "An entry of networks needs 'network' or 'port'.";
                    return Err(StepError::failed("StackValidationFailed", why));
                }
            });
        }
        let isolation = isolation(job.props.get("scheduler_hints"))?;
        let metadata = job.props.get("metadata").and_then(Value::as_object);
        let new = NewServer {
            id: job.id(),
            project_id: job.project_id.clone(),
            user_id: job.user_id.clone(),
            name: name_or_physical(job, NAME_LIMIT),
            image: text(&job.props, "image").unwrap_or_default(),
            flavor: text(&job.props, "flavor").unwrap_or_default(),
            key_name: text(&job.props, "key_name"),
            networks,
            security_groups: texts(&job.props, "security_groups"),
            user_data: text(&job.props, "user_data").filter(|s| !s.is_empty()),
            metadata: metadata
                .into_iter()
                .flatten()
                .map(|(k, v)| (k.clone(), python_text(v)))
                .collect(),
            isolation,
            owner: Some(job.owner.clone()),
        };
        let server = self.compute.servers.create(&job.ctx, new).await?;
        self.progress(job, &server).await
    }

    async fn check(&self, job: &Job) -> Result<Progress, StepError> {
        match self.compute.servers.show(&job.ctx, &job.id()).await {
            Ok(server) => self.progress(job, &server).await,
            Err(e) if e.is_not_found() && job.action == Action::Create => self.create(job).await,
            Err(e) if e.is_not_found() => Err(missing_resource("Server", &job.physical_id)),
            Err(e) => Err(e.into()),
        }
    }

    async fn rebuild(&self, job: &Job) -> Result<Progress, StepError> {
        let user_data = text(&job.props, "user_data").unwrap_or_default();
        let servers = &self.compute.servers;
        let server = servers.rebuild(&job.ctx, &job.id(), &user_data).await?;
        self.progress(job, &server).await
    }

    async fn delete(&self, job: &Job) -> Result<Removal, StepError> {
        if !started(self.compute.servers.delete(&job.ctx, &job.id()).await)? {
            return Ok(Removal::Gone);
        }
        let shown = self.compute.servers.show(&job.ctx, &job.id()).await;
        removal(shown, |s| {
            s.progress
                .unwrap_or_else(|| format!("the server is {}", word(s.status)))
        })
    }
}

/// The isolation level that the hints ask for; without one, that of servers of
/// earlier releases.
fn isolation(hints: Option<&Value>) -> Result<Isolation, StepError> {
    let failed = |why: String| StepError::failed("StackValidationFailed", why);
    let mut level = Isolation::default();
    for (name, value) in hints.and_then(Value::as_object).into_iter().flatten() {
        if name != "isolation" {
            return Err(failed(format!(
                "The scheduler hint '{name}' is not supported; the only one is 'isolation'."
            )));
        }
        let word = python_text(value);
        level = Isolation::from_stored(&word).map_err(|_| {
            failed(format!(
                "The scheduler hint isolation is '{word}'; it must be host-root or user-namespace."
            ))
        })?;
    }
    Ok(level)
}

impl Server {
    async fn progress(&self, job: &Job, server: &ApiServer) -> Result<Progress, StepError> {
        match server.status {
            ServerStatus::Active => self.attributes(job, server).await.map(Progress::Done),
            ServerStatus::Error => {
                let (message, code) = server.fault.as_ref().map_or_else(
                    || ("Unknown".to_owned(), 500),
                    |f| (f.message.clone(), f.code),
                );
                Err(StepError::failed(
                    "ResourceInError",
                    format!("Went to status ERROR due to \"Message: {message}, Code: {code}\""),
                ))
            }
            ServerStatus::Deleting => Err(StepError::failed(
                "ResourceInError",
                "The server is being deleted by another caller.",
            )),
            status => {
                let what = server.progress.clone();
                Ok(Progress::wait(what.unwrap_or_else(|| {
                    format!("the server is {}", word(status))
                })))
            }
        }
    }

    async fn attributes(
        &self,
        job: &Job,
        server: &ApiServer,
    ) -> Result<serde_json::Map<String, Value>, StepError> {
        let ports = self.network.ports.of_device(&job.ctx, &server.id).await?;
        let mut addresses = serde_json::Map::new();
        let mut networks = serde_json::Map::new();
        for port in ports {
            let detail = json!({
                "addr": port.ip, "version": 4, "port": port.id,
                "OS-EXT-IPS-MAC:mac_addr": port.mac, "OS-EXT-IPS:type": "fixed",
            });
            push(&mut addresses, &port.network_id, detail);
            push(&mut networks, &port.network_id, json!(port.ip));
        }
        Ok(attributes(json!({
            "name": server.name,
            "status": word(server.status),
            "first_address": server.addresses.first().map(ToString::to_string).unwrap_or_default(),
            "addresses": addresses,
            "networks": networks,
            "show": {"id": server.id, "name": server.name, "status": word(server.status),
                     "host": server.host, "metadata": server.metadata},
        })))
    }
}

fn push(map: &mut serde_json::Map<String, Value>, key: &str, value: Value) {
    if let Value::Array(list) = map.entry(key.to_owned()).or_insert_with(|| json!([])) {
        list.push(value);
    }
}

fn word(status: ServerStatus) -> &'static str {
    match status {
        ServerStatus::Build => "BUILD",
        ServerStatus::Active => "ACTIVE",
        ServerStatus::Shutoff => "SHUTOFF",
        ServerStatus::Paused => "PAUSED",
        ServerStatus::Error => "ERROR",
        ServerStatus::Deleting => "DELETING",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_choose_the_isolation_level() {
        let level = |hints: Value| isolation(Some(&hints));
        assert!(matches!(isolation(None), Ok(Isolation::HostRoot)));
        assert!(matches!(level(json!({})), Ok(Isolation::HostRoot)));
        for (word, wanted) in [
            ("host-root", Isolation::HostRoot),
            ("user-namespace", Isolation::UserNamespace),
        ] {
            assert_eq!(level(json!({ "isolation": word })).ok(), Some(wanted));
        }
        for hints in [
            json!({ "isolation": "vm" }),
            json!({ "isolation": null }),
            json!({ "group": "a" }),
        ] {
            assert!(level(hints.clone()).is_err(), "{hints}");
        }
    }
}
