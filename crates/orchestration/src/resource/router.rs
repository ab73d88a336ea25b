//! `OS::Neutron::Router`.

use async_trait::async_trait;
use network::api::{NetworkApi, NewRouter, Router as ApiRouter, Status};
use serde_json::{Value, json};

use super::operations::{Job, Remote};
use super::properties::name_or_physical;
use super::schema::{Kind, PLAIN, Property, Schema};
use super::step::{Progress, Removal, StepError, attributes, missing_resource, removal, started};
use crate::api::Action;

pub(super) const SCHEMA: Schema = Schema {
    name: "OS::Neutron::Router",
    properties: &[
        Property::new("name", Kind::Text),
        Property::new(
            "external_gateway_info",
            Kind::Object(&[
                Property::new("network", Kind::Text).required(),
                Property::new("enable_snat", Kind::Boolean),
            ]),
        ),
    ],
    attributes: Some(&["name", "status", "external_gateway_info"]),
    ..PLAIN
};

pub(super) struct Router(pub NetworkApi);

#[async_trait]
impl Remote for Router {
    async fn create(&self, job: &Job) -> Result<Progress, StepError> {
        let gateway = job.props.get("external_gateway_info");
        let new = NewRouter {
            id: job.id(),
            project_id: job.project_id.clone(),
            name: name_or_physical(job, 255),
            external_network: gateway
                .and_then(|g| g.get("network"))
                .and_then(Value::as_str)
                .map(str::to_owned),
        };
        progress(&self.0.routers.create(&job.ctx, new).await?)
    }

    async fn check(&self, job: &Job) -> Result<Progress, StepError> {
        match self.0.routers.show(&job.ctx, &job.id()).await {
            Ok(router) => progress(&router),
            Err(e) if e.is_not_found() && job.action == Action::Create => self.create(job).await,
            Err(e) if e.is_not_found() => Err(missing_resource("Router", &job.physical_id)),
            Err(e) => Err(e.into()),
        }
    }

    async fn delete(&self, job: &Job) -> Result<Removal, StepError> {
        if !started(self.0.routers.delete(&job.ctx, &job.id()).await)? {
            return Ok(Removal::Gone);
        }
        let shown = self.0.routers.show(&job.ctx, &job.id()).await;
        removal(shown, |_| "the router is being removed".into())
    }
}

fn progress(router: &ApiRouter) -> Result<Progress, StepError> {
    match router.status {
        Status::Active | Status::Down => Ok(Progress::Done(attributes(json!({
            "name": router.name,
            "status": router.status,
            "external_gateway_info": {"network_id": router.external_network},
        })))),
        Status::Build => Ok(Progress::wait("the router is BUILD")),
        Status::Error | Status::Deleting => Err(StepError::failed(
            "ResourceInError",
            "Went to status ERROR due to \"Unknown\"",
        )),
    }
}
