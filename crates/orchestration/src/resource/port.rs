//! `OS::Neutron::Port`.

use async_trait::async_trait;
use network::api::{NetworkApi, NewPort, Port as ApiPort, Status};
use serde_json::{Value, json};

use super::network_lookup::network_id;
use super::operations::{Job, Remote};
use super::properties::{name_or_physical, text, texts};
use super::schema::{Check, Default, Kind, PLAIN, Property, Schema};
use super::step::{Progress, Removal, StepError, attributes, missing_resource, removal, started};
use crate::api::Action;

pub(super) const SCHEMA: Schema = Schema {
    name: "OS::Neutron::Port",
    properties: &[
        Property::new("network", Kind::Text).required(),
        Property::new("name", Kind::Text),
        Property::new(
            "fixed_ips",
            Kind::List(&Kind::Object(&[
                Property::new("subnet", Kind::Text),
                Property::new("ip_address", Kind::Text).check(Check::Ip),
            ])),
        ),
        Property::new("security_groups", Kind::List(&Kind::Text)).or(Default::EmptyList),
    ],
    attributes: Some(&[
        "name",
        "network_id",
        "fixed_ips",
        "mac_address",
        "status",
        "device_id",
    ]),
    aliases: &[("network_id", "network")],
    ..PLAIN
};

pub(super) struct Port(pub NetworkApi);

#[async_trait]
impl Remote for Port {
    async fn create(&self, job: &Job) -> Result<Progress, StepError> {
        let network = text(&job.props, "network").unwrap_or_default();
        let fixed = job.props.get("fixed_ips").and_then(|f| f.get(0));
        let new = NewPort {
            id: job.id(),
            project_id: job.project_id.clone(),
            network_id: network_id(&self.0, &job.ctx, &network).await?,
            name: name_or_physical(job, 255),
            ip: fixed
                .and_then(|f| f.get("ip_address"))
                .and_then(Value::as_str)
                .map(str::to_owned),
            security_groups: texts(&job.props, "security_groups"),
            device_id: None,
            owner: Some(job.owner.clone()),
        };
        progress(&self.0.ports.create(&job.ctx, new).await?)
    }

    async fn check(&self, job: &Job) -> Result<Progress, StepError> {
        match self.0.ports.show(&job.ctx, &job.id()).await {
            Ok(port) => progress(&port),
            Err(e) if e.is_not_found() && job.action == Action::Create => self.create(job).await,
            Err(e) if e.is_not_found() => Err(missing_resource("Port", &job.physical_id)),
            Err(e) => Err(e.into()),
        }
    }

    async fn delete(&self, job: &Job) -> Result<Removal, StepError> {
        if !started(self.0.ports.delete(&job.ctx, &job.id()).await)? {
            return Ok(Removal::Gone);
        }
        let shown = self.0.ports.show(&job.ctx, &job.id()).await;
        removal(shown, |_| "the port is being removed".into())
    }
}

fn progress(port: &ApiPort) -> Result<Progress, StepError> {
    match port.status {
        Status::Active | Status::Down => Ok(Progress::Done(attributes(json!({
            "name": port.name,
            "network_id": port.network_id,
            "fixed_ips": [{"subnet_id": port.subnet_id, "ip_address": port.ip}],
            "mac_address": port.mac,
            "status": port.status,
            "device_id": port.device_id.clone().unwrap_or_default(),
        })))),
        Status::Build => Ok(Progress::wait("the port is BUILD")),
        Status::Error | Status::Deleting => Err(StepError::failed(
            "ResourceInError",
            "Went to status ERROR due to \"Unknown\"",
        )),
    }
}
