//! SQL of `magnum_template`.

use std::collections::BTreeMap;

use db::{Column as _, Db, Migration, Table as _, Tx, Value, values};
use kernel::{Page, ProjectId, Result};

use super::model::Template;
use crate::TemplateId;
use crate::listing::{self, Column, Kind, Listed, Selection};
use crate::wire::StoredObject;

pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "clusters-001-template",
        sql: "CREATE TABLE IF NOT EXISTS magnum_template (
            uuid varchar(36) NOT NULL PRIMARY KEY, project_id varchar(64) NOT NULL,
            user_id varchar(64) NOT NULL, name varchar(255) NOT NULL, coe varchar(40) NOT NULL,
            image_id varchar(255) NOT NULL, flavor_id varchar(255), master_flavor_id varchar(255),
            dns_nameserver varchar(255), keypair_id varchar(255), external_network_id varchar(255),
            fixed_network varchar(255), fixed_subnet varchar(255), network_driver varchar(255),
            apiserver_port bigint, docker_volume_size bigint, cluster_distro varchar(255),
            http_proxy varchar(255), https_proxy varchar(255), no_proxy varchar(255),
            volume_driver varchar(255), registry_enabled boolean NOT NULL, labels {text} NOT NULL,
            tls_disabled boolean NOT NULL, public boolean NOT NULL, server_type varchar(40) NOT NULL,
            insecure_registry varchar(255), docker_storage_driver varchar(255),
            master_lb_enabled boolean NOT NULL, floating_ip_enabled boolean NOT NULL,
            hidden boolean NOT NULL, tags varchar(255), driver varchar(255),
            created_at bigint NOT NULL, updated_at bigint)",
    },
    Migration {
        name: "clusters-002-template-project",
        sql: "CREATE INDEX magnum_template_project ON magnum_template (project_id, created_at)",
    },
];

/// The columns a list may be sorted by.
pub(crate) const SORT: &[Column] = &[
    ("uuid", Kind::Text),
    ("project_id", Kind::Text),
    ("user_id", Kind::Text),
    ("name", Kind::Text),
    ("coe", Kind::Text),
    ("image_id", Kind::Text),
    ("flavor_id", Kind::Text),
    ("master_flavor_id", Kind::Text),
    ("dns_nameserver", Kind::Text),
    ("keypair_id", Kind::Text),
    ("external_network_id", Kind::Text),
    ("fixed_network", Kind::Text),
    ("fixed_subnet", Kind::Text),
    ("network_driver", Kind::Text),
    ("apiserver_port", Kind::Int),
    ("docker_volume_size", Kind::Int),
    ("cluster_distro", Kind::Text),
    ("http_proxy", Kind::Text),
    ("https_proxy", Kind::Text),
    ("no_proxy", Kind::Text),
    ("volume_driver", Kind::Text),
    ("registry_enabled", Kind::Flag),
    ("labels", Kind::Text),
    ("tls_disabled", Kind::Flag),
    ("public", Kind::Flag),
    ("server_type", Kind::Text),
    ("insecure_registry", Kind::Text),
    ("docker_storage_driver", Kind::Text),
    ("master_lb_enabled", Kind::Flag),
    ("floating_ip_enabled", Kind::Flag),
    ("hidden", Kind::Flag),
    ("tags", Kind::Text),
    ("driver", Kind::Text),
    ("created_at", Kind::Int),
    ("updated_at", Kind::Int),
];

db::columns! {
    Template in "magnum_template" {
        uuid, project_id, user_id, name, coe, image_id, flavor_id, master_flavor_id,
        dns_nameserver, keypair_id, external_network_id, fixed_network, fixed_subnet,
        network_driver, apiserver_port, docker_volume_size, cluster_distro, http_proxy,
        https_proxy, no_proxy, volume_driver, registry_enabled, labels as json, tls_disabled,
        public, server_type, insecure_registry, docker_storage_driver, master_lb_enabled,
        floating_ip_enabled, hidden, tags, driver, created_at, updated_at,
    }
}

/// Writes every column of a row that is locked.
pub(crate) async fn update(tx: &mut Tx, t: &Template) -> Result<()> {
    let set: Vec<_> = Template::COLUMNS
        .iter()
        .map(|c| format!("{c} = ?"))
        .collect();
    let sql = format!(
        "UPDATE magnum_template SET {} WHERE uuid = ?",
        set.join(", ")
    );
    let mut args = t.values()?;
    args.push(Value::from(&t.uuid));
    tx.execute(&sql, args).await.map(|_| ())
}

pub(crate) async fn delete(tx: &mut Tx, uuid: &TemplateId) -> Result<()> {
    tx.execute("DELETE FROM magnum_template WHERE uuid = ?", values![uuid])
        .await
        .map(|_| ())
}

/// Finds templates by uuid (`uuid`) or name in any project; at most two.
pub(crate) async fn find(
    db: &Db,
    key: &str,
    by_name: bool,
    project: Option<&ProjectId>,
) -> Result<Vec<Template>> {
    let column = if by_name { "name" } else { "uuid" };
    let mut sql = format!("{} WHERE {column} = ?", Template::select());
    let mut args = values![key];
    if let Some(project) = project {
        sql.push_str(" AND (project_id = ? OR (public = ? AND hidden = ?))");
        args.extend(values![project, true, false]);
    }
    sql.push_str(" ORDER BY created_at LIMIT 2");
    db.query(&sql, args)
        .await?
        .iter()
        .map(Template::read)
        .collect()
}

/// Whether clusters use the template.
pub(crate) async fn references(tx: &mut Tx, uuid: &TemplateId) -> Result<bool> {
    Ok(tx
        .query_opt(
            "SELECT uuid FROM magnum_cluster WHERE cluster_template_id = ? LIMIT 1",
            values![uuid],
        )
        .await?
        .is_some())
}

/// One page of the templates visible to a project; `None`: all templates.
pub(crate) async fn page(
    db: &Db,
    project: Option<&ProjectId>,
    page: &Page,
) -> Result<Listed<Template>> {
    let scope = match project {
        Some(p) => (
            "(project_id = ? OR (public = ? AND hidden = ?))",
            values![p, true, false],
        ),
        None => ("1 = 1", vec![]),
    };
    let selection = Selection {
        table: Template::TABLE,
        columns: Template::COLUMNS.join(", "),
        sortable: SORT,
        read: Template::read,
        size: |t| t.labels.iter().map(|(k, v)| k.len() + v.len()).sum(),
    };
    listing::page(db, scope, page, &selection).await
}

/// The labels of several templates, for the comparison in cluster details.
pub(crate) async fn labels_of(
    db: &Db,
    uuids: &[&TemplateId],
) -> Result<BTreeMap<TemplateId, StoredObject>> {
    if uuids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let marks = vec!["?"; uuids.len()].join(", ");
    let sql = format!("SELECT uuid, labels FROM magnum_template WHERE uuid IN ({marks})");
    let args = uuids.iter().map(|uuid| Value::from(*uuid)).collect();
    let rows = db.query(&sql, args).await?;
    rows.iter()
        .map(|r| Ok((r.text("uuid")?.into(), StoredObject::read(r, "labels")?)))
        .collect()
}

/// Reads and locks a template, so that it is neither changed nor deleted while
/// a cluster is created from it.
pub(crate) async fn lock(tx: &mut Tx, uuid: &TemplateId) -> Result<Option<Template>> {
    let sql = format!("{} WHERE uuid = ?", Template::select());
    let row = tx.lock_opt(&sql, values![uuid]).await?;
    row.as_ref().map(Template::read).transpose()
}
