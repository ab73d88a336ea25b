//! `OS::Neutron::SecurityGroup`.

use async_trait::async_trait;
use network::api::{NetworkApi, NewSecurityGroup, SecurityGroup as ApiSecurityGroup, SecurityRule};
use serde_json::{Value, json};

use super::operations::{Job, Remote};
use super::properties::{name_or_physical, text};
use super::schema::{Check, Default, Kind, PLAIN, Property, Schema};
use super::step::{Progress, Removal, StepError, attributes, missing_resource, removal, started};
use crate::api::Action;

pub(super) const SCHEMA: Schema = Schema {
    name: "OS::Neutron::SecurityGroup",
    properties: &[
        Property::new("name", Kind::Text),
        Property::new("description", Kind::Text).or(Default::Text("")),
        Property::new(
            "rules",
            Kind::List(&Kind::Object(&[
                Property::new("direction", Kind::Text)
                    .or(Default::Text("ingress"))
                    .check(Check::OneOf(&["ingress", "egress"])),
                Property::new("ethertype", Kind::Text)
                    .or(Default::Text("IPv4"))
                    .check(Check::OneOf(&["IPv4", "IPv6"])),
                Property::new("protocol", Kind::Text),
                Property::new("port_range_min", Kind::Integer).check(Check::Range(0, 65535)),
                Property::new("port_range_max", Kind::Integer).check(Check::Range(0, 65535)),
                Property::new("remote_ip_prefix", Kind::Text).check(Check::Cidr),
                Property::new("remote_mode", Kind::Text)
                    .or(Default::Text("remote_ip_prefix"))
                    .check(Check::OneOf(&["remote_ip_prefix"])),
            ])),
        )
        .or(Default::EmptyList),
    ],
    attributes: Some(&["name", "rules"]),
    ..PLAIN
};

pub(super) struct SecurityGroup(pub NetworkApi);

#[async_trait]
impl Remote for SecurityGroup {
    async fn create(&self, job: &Job) -> Result<Progress, StepError> {
        let rules = job.props.get("rules").and_then(Value::as_array);
        let new = NewSecurityGroup {
            id: job.id(),
            project_id: job.project_id.clone(),
            name: name_or_physical(job, 255),
            description: text(&job.props, "description").unwrap_or_default(),
            rules: rules.into_iter().flatten().map(rule).collect(),
        };
        Ok(complete(
            &self.0.security_groups.create(&job.ctx, new).await?,
        ))
    }

    async fn check(&self, job: &Job) -> Result<Progress, StepError> {
        match self.0.security_groups.show(&job.ctx, &job.id()).await {
            Ok(group) => Ok(complete(&group)),
            Err(e) if e.is_not_found() && job.action == Action::Create => self.create(job).await,
            Err(e) if e.is_not_found() => Err(missing_resource("SecurityGroup", &job.physical_id)),
            Err(e) => Err(e.into()),
        }
    }

    async fn delete(&self, job: &Job) -> Result<Removal, StepError> {
        if !started(self.0.security_groups.delete(&job.ctx, &job.id()).await)? {
            return Ok(Removal::Gone);
        }
        let shown = self.0.security_groups.show(&job.ctx, &job.id()).await;
        removal(shown, |_| "the security group is being removed".into())
    }
}

fn rule(given: &Value) -> SecurityRule {
    let field = |name: &str| given.get(name).and_then(Value::as_str).map(str::to_owned);
    let port = |name: &str| given.get(name).and_then(Value::as_i64);
    SecurityRule {
        direction: field("direction").unwrap_or_default(),
        ethertype: field("ethertype").unwrap_or_default(),
        protocol: field("protocol"),
        port_min: port("port_range_min"),
        port_max: port("port_range_max"),
        remote_ip_prefix: field("remote_ip_prefix"),
    }
}

fn complete(group: &ApiSecurityGroup) -> Progress {
    Progress::Done(attributes(
        json!({"name": group.name, "rules": group.rules}),
    ))
}
