//! Creates a cluster: checks in the order of the real service, then one
//! transaction that inserts all rows of the cluster.

use db::Table as _;
use ipnet::Ipv4Net;
use kernel::{Ctx, Error, Kind, ProjectId, Result, clock};
use orchestration::StackId;
use pki::Ca;
use serde_json::json;

use super::apply::nodes::{Rows, apply};
use super::isolation;
use super::model::{Cluster, Intent};
use super::new::{NewCluster, check_masters_odd};
use super::plan::nodes::create as plan;
use super::{KIND, node_range, size, table};
use crate::coe::Coe;
use crate::coe::kubernetes::flavour;
use crate::coe::kubernetes::networks::Networks;
use crate::errors::{as_bad_request, bad_request};
use crate::fields;
use crate::kube::{self, Kube};
use crate::node;
use crate::nodegroup::Group;
use crate::nodegroup::default::{MASTER, WORKER};
use crate::notify::{self, Outcome};
use crate::status::{Action, Phase, Status};
use crate::template::ops::{own_target, project};
use crate::template::{self, Template};
use crate::{ClusterId, ClustersDeps, GroupId, lookups, policies, tokens};

/// From this minor version on a missing template is answered with 404, before
/// that with 400.
const TEMPLATE_404: u16 = 10;

/// Creates a cluster and returns its uuid.
pub(crate) async fn create(
    d: &ClustersDeps,
    ctx: &Ctx,
    new: &NewCluster,
    minor: u16,
) -> Result<ClusterId> {
    let project_id = project(ctx)?.clone();
    let mut t = find_template(d, ctx, &new.template, minor).await?;
    let coe = Coe::parse(&t.coe)?;
    let distro = t.cluster_distro.clone().unwrap_or_default();
    if !coe.supports(&t.server_type, &distro) {
        return Err(bad_request(
            "cluster_template_id",
            format!(
                "Cluster type ({}, {distro}, {}) not supported.",
                t.server_type, t.coe
            ),
        ));
    }
    let volume = new.docker_volume_size.or(t.docker_volume_size);
    template::model::check_volume(t.docker_storage_driver.as_deref(), volume)?;
    check_masters_odd(new.master_count)?;
    let own = own_target(ctx);
    d.enforcer.check(&policies::CLUSTER_CREATE, ctx, &own)?;
    let everywhere = &policies::TEMPLATE_GET_ONE_ALL_PROJECTS;
    let admin = d.enforcer.allows(everywhere, ctx, &own);
    if t.hidden && !admin {
        return Err(Error::forbidden("Not authorized."));
    }
    let mut cluster = merge(new, &t, ctx, project_id);
    check_infrastructure(d, ctx, &cluster, &t).await?;
    fields::check_labels_size("labels", &cluster.labels)?;
    coe.check_labels(&cluster.labels, t.network_driver.as_deref(), &d.ranges)?;
    let range = node_range::check(d, ctx, &cluster).await?;
    if coe == Coe::Kubernetes {
        t.image_id = lookups::release(d, ctx, &cluster.labels, &t.image_id).await?;
    }
    let networks = networks(d, ctx, (&cluster, range), &t).await?;
    lookups::keypair(d, ctx, cluster.keypair.as_deref()).await?;
    if new.master_count > 1 && !cluster.master_lb_enabled {
        return Err(bad_request(
            "master_count",
            "master_count must be 1 when master_lb_enabled is False",
        ));
    }
    let (image, _) = lookups::image(d, ctx, &t.image_id).await?;
    let made_of = flavour::check_image(coe, &image)?;
    flavour::check_cluster(made_of, new.master_count, networks.as_ref())?;
    let level = isolation::choose(d, ctx, &cluster.labels, made_of).await?;
    cluster.isolation = level.as_stored().into();
    size::check_bounds(&cluster.labels, new.node_count)?;
    let balancer = has_balancer(&cluster, new, networks.as_ref());
    let total = new.master_count + new.node_count + i64::from(balancer);
    size::check_fits(total, size::prefix(d, &cluster).await?)?;
    store(d, ctx, (&cluster, range), (&t, new), networks).await?;
    Ok(cluster.uuid)
}

async fn find_template(d: &ClustersDeps, ctx: &Ctx, key: &str, minor: u16) -> Result<Template> {
    let found = template::ops::find(d, ctx, key, &policies::TEMPLATE_GET_ONE_ALL_PROJECTS).await;
    match found {
        Err(e) if e.kind == Kind::NotFound && minor < TEMPLATE_404 => {
            Err(as_bad_request(e, "cluster_template_id"))
        }
        other => other,
    }
}

fn merge(new: &NewCluster, t: &Template, ctx: &Ctx, project_id: ProjectId) -> Cluster {
    let or = |own: &Option<String>, theirs: &Option<String>| own.clone().or_else(|| theirs.clone());
    Cluster {
        uuid: ClusterId::random(),
        project_id,
        user_id: ctx.user_id.clone(),
        name: new
            .name
            .clone()
            .unwrap_or_else(|| crate::names::random("cluster")),
        cluster_template_id: t.uuid.clone(),
        coe: t.coe.clone(),
        keypair: or(&new.keypair, &t.keypair_id),
        docker_volume_size: new.docker_volume_size.or(t.docker_volume_size),
        labels: new.merged_labels(t),
        master_flavor_id: or(&new.master_flavor_id, &t.master_flavor_id),
        flavor_id: or(&new.flavor_id, &t.flavor_id),
        create_timeout: new.create_timeout,
        stack_id: StackId::random(),
        status: Status::new(Action::Create, Phase::InProgress).into(),
        health_status_reason: json!({}),
        discovery_url: new.discovery_url.clone(),
        fixed_network: or(&new.fixed_network, &t.fixed_network),
        fixed_subnet: or(&new.fixed_subnet, &t.fixed_subnet),
        floating_ip_enabled: new.floating_ip_enabled.unwrap_or(t.floating_ip_enabled),
        master_lb_enabled: new.master_lb_enabled.unwrap_or(t.master_lb_enabled),
        intent: Intent::Create,
        generation: 1,
        sent_generation: 0,
        created_at: clock::now(),
        ..Cluster::default()
    }
}

async fn check_infrastructure(
    d: &ClustersDeps,
    ctx: &Ctx,
    c: &Cluster,
    t: &Template,
) -> Result<()> {
    lookups::image(d, ctx, &t.image_id).await?;
    let (masters, workers) = c.engine()?.min_ram();
    let flavor = c.flavor_id.as_deref();
    lookups::node_flavor(d, ctx, ("flavor_id", "worker"), flavor, workers).await?;
    let flavor = c.master_flavor_id.as_deref();
    lookups::node_flavor(d, ctx, ("master_flavor_id", "master"), flavor, masters).await?;
    lookups::external_network(d, ctx, t.external_network_id.as_deref()).await?;
    lookups::fixed_network(d, ctx, c.fixed_network.as_deref()).await?;
    lookups::fixed_subnet(d, ctx, c.fixed_subnet.as_deref()).await
}

/// The ranges of a Kubernetes cluster; other engines have none.
async fn networks(
    d: &ClustersDeps,
    ctx: &Ctx,
    (c, range): (&Cluster, Option<Ipv4Net>),
    t: &Template,
) -> Result<Option<Networks>> {
    let coe = c.engine()?;
    if coe != Coe::Kubernetes {
        return Ok(None);
    }
    let mut networks = Networks::of(&c.labels, t.network_driver.as_deref())?;
    networks.api_port = coe.api_port(t.apiserver_port);
    networks.upstream_dns = t.dns_servers();
    let (network, subnet) = (c.fixed_network.as_deref(), c.fixed_subnet.as_deref());
    if let Some(range) = lookups::fixed_range(d, ctx, network, subnet).await? {
        networks.check_disjoint("fixed_subnet", range)?;
    } else if range.is_none()
        && let Some(pool) = d.ranges.automatic()
    {
        networks.check_outside_pool(&c.labels, t.network_driver.as_deref(), pool)?;
    }
    Ok(Some(networks))
}

/// A single master needs no balancer, which would only be another point of failure.
fn has_balancer(c: &Cluster, new: &NewCluster, networks: Option<&Networks>) -> bool {
    networks.is_some() && c.master_lb_enabled && new.master_count > 1
}

/// The two groups of a new cluster.
fn groups(c: &Cluster, t: &Template, new: &NewCluster) -> [Group; 2] {
    let group = |id, name: &str, role: &str, count, flavor: &Option<String>| Group {
        id,
        uuid: GroupId::random(),
        name: name.into(),
        cluster_id: c.uuid.clone(),
        project_id: c.project_id.clone(),
        docker_volume_size: c.docker_volume_size,
        labels: c.labels.clone(),
        flavor_id: flavor.clone(),
        image_id: t.image_id.clone(),
        node_count: count,
        role: role.into(),
        status: c.status.clone(),
        created_at: c.created_at,
        ..Group::default()
    };
    let bound = |label: &str| c.labels.get(label).and_then(|v| v.parse().ok());
    let masters = group(1, MASTER, "master", new.master_count, &c.master_flavor_id);
    let mut workers = group(2, WORKER, "worker", new.node_count, &c.flavor_id);
    workers.min_node_count = bound("min_node_count").unwrap_or(0);
    workers.max_node_count = bound("max_node_count");
    [masters, workers]
}

/// One transaction: cluster, groups, nodes with tokens, CA, event, dirty key.
async fn store(
    d: &ClustersDeps,
    ctx: &Ctx,
    (c, range): (&Cluster, Option<Ipv4Net>),
    (t, new): (&Template, &NewCluster),
    networks: Option<Networks>,
) -> Result<()> {
    let ca = Ca::generate(&c.name)?;
    let key = d
        .sealer
        .seal(&tokens::ca_purpose(&c.uuid), ca.key_pem.as_bytes())?;
    let groups = groups(c, t, new);
    let balancer = has_balancer(c, new, networks.as_ref());
    let steps = plan(&groups, networks.as_ref(), balancer)?;
    let kube = networks
        .map(|networks| Kube::new(&d.sealer, &c.uuid, networks))
        .transpose()?;
    db::write!(d.db, |tx| {
        if let Some(range) = range {
            node_range::check_planned(tx, range).await?;
        }
        db::mark_for(tx, KIND, &c.uuid, &c.project_id).await?;
        tx.write_receipt().await?;
        // The template may have been deleted after it was read.
        if template::table::lock(tx, &t.uuid).await?.is_none() {
            return Err(Error::not_found("ClusterTemplate", &new.template));
        }
        table::insert(tx, c, &ca.cert_pem, &key).await?;
        let mut groups = groups.clone();
        let rows = Rows {
            cluster: c,
            groups: &mut groups,
            nodes: &[],
        };
        apply(tx, &d.sealer, rows, &steps).await?;
        for group in &groups {
            group.insert(tx).await?;
        }
        node::table::insert_swarm(tx, &c.uuid).await?;
        if let Some(kube) = &kube {
            kube::table::insert(tx, &c.uuid, kube).await?;
        }
        notify::push(tx, Some(ctx), "create", Outcome::Pending, c, &groups).await
    })
}
