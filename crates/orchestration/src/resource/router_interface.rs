//! `OS::Neutron::RouterInterface`.

use async_trait::async_trait;
use network::api::NetworkApi;
use network::{RouterId, SubnetId};
use serde_json::Map;

use super::operations::{Job, Remote};
use super::properties::text;
use super::schema::{Kind, PLAIN, Property, Schema};
use super::step::{Progress, Removal, StepError, started};

pub(super) const SCHEMA: Schema = Schema {
    name: "OS::Neutron::RouterInterface",
    properties: &[
        Property::new("router", Kind::Text).required(),
        Property::new("subnet", Kind::Text).required(),
    ],
    aliases: &[("router_id", "router"), ("subnet_id", "subnet")],
    ..PLAIN
};

pub(super) struct RouterInterface(pub NetworkApi);

fn ends(job: &Job) -> (RouterId, SubnetId) {
    let end = |name| text(&job.props, name).unwrap_or_default();
    (end("router").into(), end("subnet").into())
}

#[async_trait]
impl Remote for RouterInterface {
    async fn create(&self, job: &Job) -> Result<Progress, StepError> {
        let (router, subnet) = ends(job);
        self.0
            .routers
            .add_interface(&job.ctx, &router, &subnet)
            .await?;
        Ok(Progress::Done(Map::new()))
    }

    /// Adds the interface again, because adding an existing interface succeeds.
    async fn check(&self, job: &Job) -> Result<Progress, StepError> {
        self.create(job).await
    }

    async fn delete(&self, job: &Job) -> Result<Removal, StepError> {
        let (router, subnet) = ends(job);
        started(
            self.0
                .routers
                .remove_interface(&job.ctx, &router, &subnet)
                .await,
        )?;
        Ok(Removal::Gone)
    }
}
