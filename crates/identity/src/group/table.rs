//! SQL of `identity_group` and `group_member`.

use db::{Column as _, Db, Table as _, Tx, values};
use kernel::{Result, UserId};

use super::Group;
use crate::ids::GroupId;
use crate::token::time::TokenTime;

db::columns! {
    Group in "identity_group" { id, name, domain_id, description, extra }
}

pub(crate) async fn update(tx: &mut Tx, g: &Group) -> Result<u64> {
    tx.execute(
        "UPDATE identity_group SET name = ?, description = ?, extra = ? WHERE id = ?",
        values![&g.name, &g.description, g.extra.value()?, &g.id],
    )
    .await
}

/// Deletes a group with its memberships.
pub(crate) async fn delete(tx: &mut Tx, id: &str) -> Result<u64> {
    tx.execute("DELETE FROM group_member WHERE group_id = ?", values![id])
        .await?;
    tx.execute("DELETE FROM identity_group WHERE id = ?", values![id])
        .await
}

/// A group, locked until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, id: &str) -> Result<Option<Group>> {
    let sql = format!("{} WHERE id = ?", Group::select());
    let row = tx.lock_opt(&sql, values![id]).await?;
    row.as_ref().map(Group::read).transpose()
}

/// The ids of the groups of a domain, in the order of their locks.
pub(crate) async fn ids_in_domain(tx: &mut Tx, domain_id: &str) -> Result<Vec<GroupId>> {
    let sql = "SELECT id FROM identity_group WHERE domain_id = ? ORDER BY id";
    let rows = tx.query(sql, values![domain_id]).await?;
    rows.iter().map(|r| Ok(r.str("id")?.into())).collect()
}

/// Whether another group of the domain has this name, in any case.
pub(crate) async fn has_similar(tx: &mut Tx, g: &Group) -> Result<bool> {
    let sql = "SELECT id FROM identity_group \
               WHERE domain_id = ? AND LOWER(name) = LOWER(?) AND id <> ?";
    let row = tx
        .query_opt(sql, values![&g.domain_id, &g.name, &g.id])
        .await?;
    Ok(row.is_some())
}

pub(crate) async fn by_id(db: &Db, id: &str) -> Result<Option<Group>> {
    let sql = format!("{} WHERE id = ?", Group::select());
    let row = db.query_opt(&sql, values![id]).await?;
    row.as_ref().map(Group::read).transpose()
}

pub(crate) async fn list(db: &Db) -> Result<Vec<Group>> {
    let sql = format!("{} ORDER BY name, id", Group::select());
    let rows = db.query(&sql, vec![]).await?;
    rows.iter().map(Group::read).collect()
}

/// The groups of a user.
pub(crate) async fn of_user(db: &Db, user_id: &str) -> Result<Vec<Group>> {
    let sql = format!(
        "{} WHERE id IN (SELECT group_id FROM group_member WHERE user_id = ?) ORDER BY name, id",
        Group::select()
    );
    let rows = db.query(&sql, values![user_id]).await?;
    rows.iter().map(Group::read).collect()
}

/// The pairs of a group and one of its users.
pub(crate) async fn memberships(db: &Db) -> Result<Vec<(GroupId, UserId)>> {
    let sql = "SELECT group_id, user_id FROM group_member ORDER BY group_id, user_id";
    let rows = db.query(sql, vec![]).await?;
    rows.iter()
        .map(|r| Ok((r.str("group_id")?.into(), r.str("user_id")?.into())))
        .collect()
}

const IS_MEMBER: &str = "SELECT user_id FROM group_member WHERE group_id = ? AND user_id = ?";

pub(crate) async fn is_member(db: &Db, group_id: &str, user_id: &str) -> Result<bool> {
    let row = db.query_opt(IS_MEMBER, values![group_id, user_id]).await?;
    Ok(row.is_some())
}

/// Adding a user again succeeds.
pub(crate) async fn add_member(tx: &mut Tx, group_id: &str, user_id: &str) -> Result<()> {
    let row = tx.query_opt(IS_MEMBER, values![group_id, user_id]).await?;
    if row.is_none() {
        tx.execute(
            "INSERT INTO group_member (group_id, user_id) VALUES (?, ?)",
            values![group_id, user_id],
        )
        .await?;
    }
    Ok(())
}

pub(crate) async fn remove_member(tx: &mut Tx, group_id: &str, user_id: &str) -> Result<u64> {
    tx.execute(
        "DELETE FROM group_member WHERE group_id = ? AND user_id = ?",
        values![group_id, user_id],
    )
    .await
}

/// Makes the issued tokens of all users of a group invalid, also those that are dated
/// to a later second because of an earlier revocation.
pub(crate) async fn revoke_tokens_of_members(
    tx: &mut Tx,
    group_id: &str,
    now: TokenTime,
) -> Result<u64> {
    tx.execute(
        "UPDATE identity_user SET tokens_after = \
         CASE WHEN tokens_after < ? THEN ? ELSE tokens_after + 1 END \
         WHERE id IN (SELECT user_id FROM group_member WHERE group_id = ?)",
        values![now, now.next(), group_id],
    )
    .await
}
