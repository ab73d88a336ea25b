//! SQL of what the API shows of clusters: other columns than the operations
//! need, and the objects in them are not parsed.

use db::{Db, Row, Table as _, values};
use kernel::{Page, ProjectId, Result, Timestamp, UserId};
use orchestration::StackId;

use super::table::SORT;
use crate::listing::{self, Listed, Selection};
use crate::status::StoredStatus;
use crate::wire::StoredObject;
use crate::{ClusterId, TemplateId};

db::table! {
    /// The columns of the short list.
    #[derive(Debug)]
    pub(crate) struct ShortRow in "magnum_cluster" {
        pub(crate) uuid: ClusterId,
        pub(crate) name: String,
        pub(crate) cluster_template_id: TemplateId,
        pub(crate) keypair: Option<String>,
        pub(crate) docker_volume_size: Option<i64>,
        pub(crate) labels: StoredObject,
        pub(crate) master_flavor_id: Option<String>,
        pub(crate) flavor_id: Option<String>,
        pub(crate) create_timeout: i64,
        pub(crate) stack_id: StackId,
        pub(crate) status: StoredStatus,
        pub(crate) health_status: Option<String>,
    }
}

db::table! {
    /// The other columns of the full object.
    #[derive(Debug)]
    pub(crate) struct RestRow in "magnum_cluster" {
        pub(crate) status_reason: Option<String>,
        pub(crate) health_status_reason: StoredObject,
        pub(crate) discovery_url: Option<String>,
        pub(crate) api_address: Option<String>,
        pub(crate) coe_version: Option<String>,
        pub(crate) container_version: Option<String>,
        pub(crate) project_id: ProjectId,
        pub(crate) user_id: UserId,
        pub(crate) fixed_network: Option<String>,
        pub(crate) fixed_subnet: Option<String>,
        pub(crate) floating_ip_enabled: bool,
        pub(crate) master_lb_enabled: bool,
        pub(crate) created_at: Timestamp,
        pub(crate) updated_at: Option<Timestamp>,
        pub(crate) isolation: String,
    }
}

/// The full object.
#[derive(Debug)]
pub(crate) struct FullRow {
    pub(crate) short: ShortRow,
    pub(crate) rest: RestRow,
}

impl FullRow {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            short: ShortRow::read(row)?,
            rest: RestRow::read(row)?,
        })
    }

    /// The bytes of its long values.
    pub(crate) fn bytes(&self) -> usize {
        let reason = self.rest.status_reason.as_ref().map_or(0, String::len);
        let health = self.rest.health_status_reason.as_json().len();
        self.short.labels.as_json().len() + health + reason
    }

    fn columns() -> String {
        [ShortRow::COLUMNS, RestRow::COLUMNS].concat().join(", ")
    }
}

/// One page of the short list.
pub(crate) async fn short(
    db: &Db,
    project: Option<&ProjectId>,
    page: &Page,
) -> Result<Listed<ShortRow>> {
    let selection = Selection {
        table: ShortRow::TABLE,
        columns: ShortRow::COLUMNS.join(", "),
        sortable: SORT,
        read: ShortRow::read,
        size: |row| row.labels.as_json().len(),
    };
    listing::page(db, scope(project), page, &selection).await
}

/// One page of the list of full objects.
pub(crate) async fn full(
    db: &Db,
    project: Option<&ProjectId>,
    page: &Page,
) -> Result<Listed<FullRow>> {
    let selection = Selection {
        table: ShortRow::TABLE,
        columns: FullRow::columns(),
        sortable: SORT,
        read: FullRow::read,
        size: FullRow::bytes,
    };
    listing::page(db, scope(project), page, &selection).await
}

/// One cluster.
pub(crate) async fn one(db: &Db, uuid: &ClusterId) -> Result<Option<FullRow>> {
    let columns = FullRow::columns();
    let sql = format!("SELECT {columns} FROM {} WHERE uuid = ?", ShortRow::TABLE);
    let row = db.query_opt(&sql, values![uuid]).await?;
    row.as_ref().map(FullRow::read).transpose()
}

fn scope(project: Option<&ProjectId>) -> (&'static str, Vec<db::Value>) {
    match project {
        Some(p) => ("project_id = ?", values![p]),
        None => ("1 = 1", vec![]),
    }
}
