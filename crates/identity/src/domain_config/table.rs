//! SQL of `identity_domain_option` and `identity_domain_secret`.

use db::{Db, Table, Tx, values};
use kernel::Result;

use super::{DomainOption, DomainSecret};

db::columns! {
    DomainOption in "identity_domain_option" {
        domain_id, group = "group_name", name = "option_name", value as json,
    }
}

db::columns! {
    DomainSecret in "identity_domain_secret" {
        domain_id, group = "group_name", name = "option_name", value_sealed,
    }
}

const TABLES: [&str; 2] = [DomainOption::TABLE, DomainSecret::TABLE];

fn select<T: Table>() -> String {
    format!(
        "{} WHERE domain_id = ? ORDER BY group_name, option_name",
        T::select()
    )
}

/// The options of a domain that may be shown.
pub(crate) async fn options(db: &Db, domain_id: &str) -> Result<Vec<DomainOption>> {
    let rows = db
        .query(&select::<DomainOption>(), values![domain_id])
        .await?;
    rows.iter().map(DomainOption::read).collect()
}

pub(crate) async fn read_options(tx: &mut Tx, domain_id: &str) -> Result<Vec<DomainOption>> {
    let rows = tx
        .query(&select::<DomainOption>(), values![domain_id])
        .await?;
    rows.iter().map(DomainOption::read).collect()
}

pub(crate) async fn read_secrets(tx: &mut Tx, domain_id: &str) -> Result<Vec<DomainSecret>> {
    let rows = tx
        .query(&select::<DomainSecret>(), values![domain_id])
        .await?;
    rows.iter().map(DomainSecret::read).collect()
}

/// Deletes all options of a domain.
pub(crate) async fn delete(tx: &mut Tx, domain_id: &str) -> Result<()> {
    for table in TABLES {
        let sql = format!("DELETE FROM {table} WHERE domain_id = ?");
        tx.execute(&sql, values![domain_id]).await?;
    }
    Ok(())
}

pub(crate) async fn delete_one(
    tx: &mut Tx,
    domain_id: &str,
    (group, option): (&str, &str),
) -> Result<()> {
    for table in TABLES {
        let sql = format!(
            "DELETE FROM {table} WHERE domain_id = ? AND group_name = ? AND option_name = ?"
        );
        tx.execute(&sql, values![domain_id, group, option]).await?;
    }
    Ok(())
}
