//! SQL of security groups.

use db::{Db, Json, Table as _, Tx, values};
use kernel::{ProjectId, Result, Timestamp, clock};

use crate::SecurityGroupId;
use crate::api::{NewSecurityGroup, SecurityGroup, SecurityRule};

db::table! {
    /// A row of a security group.
    #[derive(Debug, Clone)]
    pub(crate) struct SecurityGroupRow in "security_group" {
        pub id: SecurityGroupId,
        pub project_id: ProjectId,
        pub name: String,
        pub description: String,
        pub rules: Json<Vec<SecurityRule>>,
        pub created_at: Timestamp,
    }
}

impl SecurityGroupRow {
    pub(super) fn shown(self) -> SecurityGroup {
        SecurityGroup {
            id: self.id,
            name: self.name,
            rules: self.rules.0,
        }
    }
}

pub(super) async fn insert(tx: &mut Tx, new: &NewSecurityGroup) -> Result<()> {
    let row = SecurityGroupRow {
        id: new.id.clone(),
        project_id: new.project_id.clone(),
        name: new.name.clone(),
        description: new.description.clone(),
        rules: Json(new.rules.clone()),
        created_at: clock::now(),
    };
    row.insert(tx).await
}

pub(super) async fn get(db: &Db, id: &SecurityGroupId) -> Result<Option<SecurityGroupRow>> {
    let sql = format!("{} WHERE id = ?", SecurityGroupRow::select());
    let row = db.query_opt(&sql, values![id]).await?;
    row.as_ref().map(SecurityGroupRow::read).transpose()
}

pub(super) async fn drop_row(tx: &mut Tx, id: &SecurityGroupId) -> Result<()> {
    tx.execute("DELETE FROM security_group WHERE id = ?", values![id])
        .await
        .map(|_| ())
}
