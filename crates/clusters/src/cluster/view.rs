//! What the API shows of clusters: a row with its nodes and the comparison of
//! its labels, alone or in lists.

use std::collections::BTreeMap;

use kernel::{Ctx, Error, Page, ProjectId, Result};

use super::model::{Cluster, compare_labels};
use super::shown_table::{self, FullRow, ShortRow};
use super::table;
use crate::authorized::Authorized;
use crate::listing::{Budget, Listed};
use crate::nodegroup;
use crate::nodegroup::table::GroupBrief;
use crate::status::Phase;
use crate::template::ops::scope;
use crate::wire::StoredObject;
use crate::{ClusterId, ClustersDeps, TemplateId, policies, template};

/// A cluster with what else its API body shows.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) row: FullRow,
    pub(crate) nodes: Nodes,
    pub(crate) labels: Comparison,
}

/// What the API shows of the groups of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    pub(crate) workers: i64,
    pub(crate) masters: i64,
    pub(crate) worker_addresses: Vec<String>,
    pub(crate) master_addresses: Vec<String>,
    /// Reasons by group; `None` if they are not shown.
    pub(crate) faults: Option<BTreeMap<String, Option<String>>>,
}

impl Nodes {
    fn add(&mut self, is_master: bool, count: i64, addresses: Vec<String>) {
        let (sum, all) = if is_master {
            (&mut self.masters, &mut self.master_addresses)
        } else {
            (&mut self.workers, &mut self.worker_addresses)
        };
        *sum += count;
        all.extend(addresses);
    }

    /// The bytes of the addresses as JSON.
    fn bytes(&self) -> usize {
        let all = self.worker_addresses.iter().chain(&self.master_addresses);
        all.map(|address| address.len() + 3).sum()
    }
}

/// Labels of a cluster compared with those of its template.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// The values of the template that the cluster replaces.
    pub(crate) overridden: BTreeMap<String, String>,
    pub(crate) added: BTreeMap<String, String>,
    pub(crate) skipped: BTreeMap<String, String>,
}

impl Comparison {
    fn of(own: &StoredObject, parent: Option<&StoredObject>) -> Result<Self> {
        // Most clusters have the labels of their template.
        if parent.is_some_and(|p| p.as_json() == own.as_json()) {
            return Ok(Self::default());
        }
        let parent = parent.map(StoredObject::labels).transpose()?;
        let [overridden, added, skipped] =
            compare_labels(&own.labels()?, &parent.unwrap_or_default());
        Ok(Self {
            overridden,
            added,
            skipped,
        })
    }

    fn bytes(&self) -> usize {
        let all = [&self.overridden, &self.added, &self.skipped];
        let pairs = all.into_iter().flatten();
        pairs.map(|(k, v)| k.len() + v.len()).sum()
    }
}

pub(crate) async fn show(d: &ClustersDeps, cluster: &Authorized<Cluster>) -> Result<View> {
    let missing = || Error::not_found("Cluster", &cluster.uuid);
    let row = shown_table::one(&d.db, &cluster.uuid)
        .await?
        .ok_or_else(missing)?;
    let groups = nodegroup::table::of_cluster(&d.db, &cluster.uuid).await?;
    let template = &row.short.cluster_template_id;
    let labels = template::table::labels_of(&d.db, &[template]).await?;
    let mut nodes = Nodes::default();
    if row.short.status.is_in(Phase::Failed) {
        let failed = groups.iter().filter(|g| g.failed());
        let faults = failed.map(|g| (g.name.clone(), g.status_reason.clone()));
        nodes.faults = Some(faults.collect());
    }
    for group in groups {
        nodes.add(group.is_master(), group.node_count, group.node_addresses);
    }
    Ok(View {
        labels: Comparison::of(&row.short.labels, labels.get(template))?,
        nodes,
        row,
    })
}

/// One page of the short list in a fixed number of queries.
pub(crate) async fn list(
    d: &ClustersDeps,
    ctx: &Ctx,
    page: &Page,
) -> Result<Listed<(ShortRow, Nodes)>> {
    let everywhere = &policies::CLUSTER_GET_ALL_ALL_PROJECTS;
    let scope = scope(d, ctx, &policies::CLUSTER_GET_ALL, everywhere)?;
    check_marker(d, page, scope).await?;
    let found = shown_table::short(&d.db, scope, page).await?;
    let ids: Vec<&ClusterId> = found.rows.iter().map(|row| &row.uuid).collect();
    let groups = nodegroup::table::briefs(&d.db, &ids, false).await?;
    let nodes = nodes_of(groups, found.rows.len());
    Ok(Listed {
        has_more: found.has_more,
        rows: found.rows.into_iter().zip(nodes).collect(),
    })
}

/// One page of the list of full objects in a fixed number of queries.
pub(crate) async fn list_detail(d: &ClustersDeps, ctx: &Ctx, page: &Page) -> Result<Listed<View>> {
    let everywhere = &policies::CLUSTER_DETAIL_ALL_PROJECTS;
    let scope = scope(d, ctx, &policies::CLUSTER_DETAIL, everywhere)?;
    check_marker(d, page, scope).await?;
    let found = shown_table::full(&d.db, scope, page).await?;
    let rows = found.rows.iter();
    let ids: Vec<&ClusterId> = rows.map(|row| &row.short.uuid).collect();
    let groups = nodegroup::table::briefs(&d.db, &ids, true).await?;
    let nodes = nodes_of(groups, found.rows.len());
    let rows = found.rows.iter();
    let mut ids: Vec<&TemplateId> = rows.map(|r| &r.short.cluster_template_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let labels = template::table::labels_of(&d.db, &ids).await?;
    let mut listed = Listed {
        has_more: found.has_more,
        rows: Vec::with_capacity(found.rows.len()),
    };
    // The labels of templates and the addresses count towards the size of the page.
    let mut budget = Budget::default();
    for (row, nodes) in found.rows.into_iter().zip(nodes) {
        let parent = labels.get(&row.short.cluster_template_id);
        let labels = Comparison::of(&row.short.labels, parent)?;
        if !budget.fits(row.bytes() + labels.bytes() + nodes.bytes()) {
            listed.has_more = true;
            break;
        }
        listed.rows.push(View { row, nodes, labels });
    }
    Ok(listed)
}

async fn check_marker(d: &ClustersDeps, page: &Page, project: Option<&ProjectId>) -> Result<()> {
    match &page.marker {
        Some(marker) if table::find(&d.db, marker, false, project).await?.is_empty() => {
            Err(Error::not_found("Cluster", marker))
        }
        _ => Ok(()),
    }
}

/// What groups add up to for each of `count` clusters.
fn nodes_of(mut groups: Vec<GroupBrief>, count: usize) -> Vec<Nodes> {
    groups.sort_unstable_by_key(|g| g.id);
    let mut all = Vec::new();
    all.resize_with(count, Nodes::default);
    for group in groups {
        if let Some(nodes) = all.get_mut(group.cluster) {
            nodes.add(group.is_master, group.node_count, group.addresses);
        }
    }
    all
}
