//! `OS::Neutron::Subnet`.

use async_trait::async_trait;
use network::api::{NetworkApi, NewSubnet, Subnet as ApiSubnet};
use serde_json::json;

use super::network_lookup::network_id;
use super::operations::{Job, Remote};
use super::properties::{name_or_physical, text, texts};
use super::schema::{Check, Default, Kind, PLAIN, Property, Schema};
use super::step::{Progress, Removal, StepError, attributes, missing_resource, removal, started};
use crate::api::Action;

pub(super) const SCHEMA: Schema = Schema {
    name: "OS::Neutron::Subnet",
    properties: &[
        Property::new("network", Kind::Text).required(),
        Property::new("name", Kind::Text),
        Property::new("cidr", Kind::Text).check(Check::Cidr),
        Property::new("gateway_ip", Kind::Text).check(Check::Ip),
        Property::new("dns_nameservers", Kind::List(&Kind::Text)).or(Default::EmptyList),
        Property::new("ip_version", Kind::Integer)
            .or(Default::Int(4))
            .check(Check::Range(4, 4)),
        Property::new("enable_dhcp", Kind::Boolean),
    ],
    attributes: Some(&[
        "name",
        "network_id",
        "cidr",
        "gateway_ip",
        "dns_nameservers",
        "ip_version",
    ]),
    aliases: &[("network_id", "network")],
    ..PLAIN
};

pub(super) struct Subnet(pub NetworkApi);

#[async_trait]
impl Remote for Subnet {
    async fn create(&self, job: &Job) -> Result<Progress, StepError> {
        let network = text(&job.props, "network").unwrap_or_default();
        let new = NewSubnet {
            id: job.id(),
            project_id: job.project_id.clone(),
            network_id: network_id(&self.0, &job.ctx, &network).await?,
            name: name_or_physical(job, 255),
            cidr: text(&job.props, "cidr"),
            gateway_ip: text(&job.props, "gateway_ip"),
            dns_nameservers: texts(&job.props, "dns_nameservers"),
            owner: Some(job.owner.clone()),
        };
        Ok(complete(self.0.subnets.create(&job.ctx, new).await?))
    }

    async fn check(&self, job: &Job) -> Result<Progress, StepError> {
        match self.0.subnets.show(&job.ctx, &job.id()).await {
            Ok(subnet) => Ok(complete(subnet)),
            Err(e) if e.is_not_found() && job.action == Action::Create => self.create(job).await,
            Err(e) if e.is_not_found() => Err(missing_resource("Subnet", &job.physical_id)),
            Err(e) => Err(e.into()),
        }
    }

    async fn delete(&self, job: &Job) -> Result<Removal, StepError> {
        if !started(self.0.subnets.delete(&job.ctx, &job.id()).await)? {
            return Ok(Removal::Gone);
        }
        let shown = self.0.subnets.show(&job.ctx, &job.id()).await;
        removal(shown, |_| "the subnet is being removed".into())
    }
}

fn complete(subnet: ApiSubnet) -> Progress {
    Progress::Done(attributes(json!({
        "name": subnet.name,
        "network_id": subnet.network_id,
        "cidr": subnet.cidr,
        "gateway_ip": subnet.gateway_ip,
        "dns_nameservers": subnet.dns_nameservers,
        "ip_version": 4,
    })))
}
