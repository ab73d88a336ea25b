//! SQL of `identity_user`.

use db::{Column as _, Db, Table as _, Tx, values};
use kernel::{Result, UserId};

use super::User;
use crate::token::time::TokenTime;

db::columns! {
    User in "identity_user" {
        id, name, domain_id, password_hash, enabled, default_project_id, email, description,
        tokens_after, options, extra,
    }
}

pub(crate) async fn update(tx: &mut Tx, u: &User) -> Result<u64> {
    tx.execute(
        "UPDATE identity_user SET name = ?, password_hash = ?, enabled = ?, default_project_id = ?, \
         email = ?, description = ?, tokens_after = ?, options = ?, extra = ? WHERE id = ?",
        values![
            &u.name, u.password_hash.clone(), u.enabled, u.default_project_id.clone(),
            u.email.clone(), &u.description, u.tokens_after, u.options.value()?,
            u.extra.value()?, &u.id
        ],
    )
    .await
}

/// Replaces the password of an enabled user, if it is still the one that
/// was read; answers 0 otherwise.
pub(crate) async fn change_password(
    tx: &mut Tx,
    read: &User,
    hash: &str,
    tokens_after: TokenTime,
) -> Result<u64> {
    tx.execute(
        "UPDATE identity_user SET password_hash = ?, tokens_after = ? \
         WHERE id = ? AND password_hash = ? AND enabled = ?",
        values![
            hash,
            tokens_after,
            &read.id,
            read.password_hash.clone(),
            true
        ],
    )
    .await
}

/// Deletes a user with memberships, application credentials and access rules, without
/// assignments.
pub(crate) async fn delete(tx: &mut Tx, id: &str) -> Result<u64> {
    tx.execute("DELETE FROM group_member WHERE user_id = ?", values![id])
        .await?;
    for table in ["app_credential", "identity_access_rule"] {
        let sql = format!("DELETE FROM {table} WHERE user_id = ?");
        tx.execute(&sql, values![id]).await?;
    }
    tx.execute("DELETE FROM identity_user WHERE id = ?", values![id])
        .await
}

/// A user, locked until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, id: &str) -> Result<Option<User>> {
    let sql = format!("{} WHERE id = ?", User::select());
    let row = tx.lock_opt(&sql, values![id]).await?;
    row.as_ref().map(User::read).transpose()
}

/// The ids of the users of a domain, in the order of their locks.
pub(crate) async fn ids_in_domain(tx: &mut Tx, domain_id: &str) -> Result<Vec<UserId>> {
    let sql = "SELECT id FROM identity_user WHERE domain_id = ? ORDER BY id";
    let rows = tx.query(sql, values![domain_id]).await?;
    rows.iter().map(|r| Ok(r.str("id")?.into())).collect()
}

/// Whether another user of the domain has this name, in any case.
pub(crate) async fn has_similar(
    tx: &mut Tx,
    domain_id: &str,
    name: &str,
    id: &str,
) -> Result<bool> {
    let row = tx
        .query_opt(
            "SELECT id FROM identity_user WHERE domain_id = ? AND LOWER(name) = LOWER(?) AND id <> ?",
            values![domain_id, name, id],
        )
        .await?;
    Ok(row.is_some())
}

pub(crate) async fn by_id(db: &Db, id: &str) -> Result<Option<User>> {
    let row = db
        .query_opt(&format!("{} WHERE id = ?", User::select()), values![id])
        .await?;
    row.as_ref().map(User::read).transpose()
}

pub(crate) async fn by_name(db: &Db, domain_id: &str, name: &str) -> Result<Option<User>> {
    let row = db
        .query_opt(
            &format!("{} WHERE domain_id = ? AND name = ?", User::select()),
            values![domain_id, name],
        )
        .await?;
    row.as_ref().map(User::read).transpose()
}

pub(crate) async fn list(db: &Db) -> Result<Vec<User>> {
    let rows = db
        .query(&format!("{} ORDER BY name, id", User::select()), vec![])
        .await?;
    rows.iter().map(User::read).collect()
}

/// The users of a group.
pub(crate) async fn of_group(db: &Db, group_id: &str) -> Result<Vec<User>> {
    let sql = format!(
        "{} WHERE id IN (SELECT user_id FROM group_member WHERE group_id = ?) ORDER BY name, id",
        User::select()
    );
    let rows = db.query(&sql, values![group_id]).await?;
    rows.iter().map(User::read).collect()
}
