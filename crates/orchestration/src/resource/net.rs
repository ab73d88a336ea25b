//! `OS::Neutron::Net`.

use async_trait::async_trait;
use network::api::{Network, NetworkApi, NewNetwork, Status};
use serde_json::json;

use super::operations::{Job, Remote};
use super::properties::name_or_physical;
use super::schema::{Kind, PLAIN, Property, Schema};
use super::step::{Progress, Removal, StepError, attributes, missing_resource, removal, started};
use crate::api::Action;

pub(super) const SCHEMA: Schema = Schema {
    name: "OS::Neutron::Net",
    properties: &[Property::new("name", Kind::Text)],
    attributes: Some(&["name", "status", "subnets"]),
    ..PLAIN
};

pub(super) struct Net(pub NetworkApi);

#[async_trait]
impl Remote for Net {
    async fn create(&self, job: &Job) -> Result<Progress, StepError> {
        let new = NewNetwork {
            id: job.id(),
            project_id: job.project_id.clone(),
            name: name_or_physical(job, 255),
            external: false,
            owner: Some(job.owner.clone()),
        };
        progress(&self.0.networks.create(&job.ctx, new).await?)
    }

    async fn check(&self, job: &Job) -> Result<Progress, StepError> {
        match self.0.networks.show(&job.ctx, &job.id()).await {
            Ok(net) => progress(&net),
            Err(e) if e.is_not_found() && job.action == Action::Create => self.create(job).await,
            Err(e) if e.is_not_found() => Err(missing_resource("Network", &job.physical_id)),
            Err(e) => Err(e.into()),
        }
    }

    async fn delete(&self, job: &Job) -> Result<Removal, StepError> {
        if !started(self.0.networks.delete(&job.ctx, &job.id()).await)? {
            return Ok(Removal::Gone);
        }
        let shown = self.0.networks.show(&job.ctx, &job.id()).await;
        removal(shown, |n| {
            n.status_reason
                .unwrap_or_else(|| "the network is DELETING".into())
        })
    }
}

fn progress(net: &Network) -> Result<Progress, StepError> {
    match net.status {
        Status::Active | Status::Down => Ok(Progress::Done(attributes(json!({
            "name": net.name, "status": net.status, "subnets": net.subnets,
        })))),
        Status::Build => Ok(Progress::wait(
            net.status_reason
                .clone()
                .unwrap_or_else(|| "the network is BUILD".into()),
        )),
        Status::Error | Status::Deleting => Err(StepError::failed(
            "ResourceInError",
            format!(
                "Went to status ERROR due to \"{}\"",
                net.status_reason.as_deref().unwrap_or("Unknown")
            ),
        )),
    }
}
