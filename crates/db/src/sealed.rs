//! Columns with sealed texts, which each crate lists. The lists serve to find the
//! texts that a key has sealed, and to seal them again while servers run.

use kernel::{Error, Result};

use crate::{Db, Row, SCHEMA, Tx, Value, values};

/// A column of sealed texts. Other texts in it are ignored.
#[derive(Debug, Clone, Copy)]
pub struct SealedColumn {
    pub table: &'static str,
    /// The columns of the primary key; all are text.
    pub key: &'static [&'static str],
    pub column: &'static str,
    /// The purpose of a text; `{}` is replaced by the first column of the key.
    pub purpose: &'static str,
}

/// A sealed text and the key of its row.
#[derive(Debug, Clone)]
pub struct SealedText {
    pub key: Vec<String>,
    pub text: String,
}

impl SealedColumn {
    #[must_use]
    pub fn purpose_of(&self, text: &SealedText) -> String {
        let first = text.key.first().map_or("", String::as_str);
        self.purpose.replace("{}", first)
    }

    /// Texts that begin with `all` but not with `except`, ordered by the keys of
    /// their rows, after the key `after`.
    ///
    /// # Errors
    /// Same errors as [`Db::query`].
    pub async fn page(
        &self,
        db: &Db,
        (all, except): (&str, &str),
        after: &[String],
        limit: u32,
    ) -> Result<Vec<SealedText>> {
        let (table, column, keys) = (self.table, self.column, self.key.join(", "));
        let mut args = values![format!("{all}%"), format!("{except}%")];
        let mut beyond = String::new();
        if !after.is_empty() {
            let marks = vec!["?"; self.key.len()].join(", ");
            beyond = format!("AND ({keys}) > ({marks})");
            args.extend(after.iter().map(Value::from));
        }
        let sql = format!(
            "SELECT {keys}, {column} FROM {table} WHERE {column} LIKE ? \
             AND {column} NOT LIKE ? {beyond} ORDER BY {keys} LIMIT {limit}"
        );
        let rows = db.query(&sql, args).await?;
        rows.iter().map(|row| self.read(row)).collect()
    }

    fn read(&self, row: &Row) -> Result<SealedText> {
        let key: Result<Vec<String>> = self.key.iter().map(|name| row.text(name)).collect();
        Ok(SealedText {
            key: key?,
            text: row.text(self.column)?,
        })
    }

    /// Replaces a text unless it has changed since it was read.
    ///
    /// # Errors
    /// Same errors as [`Tx::execute`].
    pub async fn replace(&self, tx: &mut Tx, old: &SealedText, new: &str) -> Result<bool> {
        let (table, column) = (self.table, self.column);
        let row = self.key.join(" = ? AND ");
        let sql = format!("UPDATE {table} SET {column} = ? WHERE {row} = ? AND {column} = ?");
        let mut args = values![new];
        args.extend(old.key.iter().map(Value::from));
        args.extend(values![&old.text]);
        Ok(tx.execute(&sql, args).await? > 0)
    }

    /// The number of texts that begin with `prefix`.
    ///
    /// # Errors
    /// Same errors as [`Db::query`].
    pub async fn count(&self, db: &Db, prefix: &str) -> Result<i64> {
        let (table, column) = (self.table, self.column);
        let sql = format!("SELECT COUNT(*) AS n FROM {table} WHERE {column} LIKE ?");
        let row = db.query_opt(&sql, values![format!("{prefix}%")]).await?;
        row.map_or(Ok(0), |r| r.int("n"))
    }
}

impl Db {
    /// Refuses a database that a newer release has migrated: it may have sealed
    /// columns that this release does not know.
    ///
    /// # Errors
    /// `Precondition`, naming both schemas; `Internal` if it was never migrated.
    pub async fn check_schema_is_known(&self) -> Result<()> {
        let sql = "SELECT version FROM schema_release WHERE id = 1";
        let row = self.query_opt(sql, vec![]).await?;
        let version = row.map(|r| r.int("version")).transpose()?;
        match version {
            Some(version) if version <= SCHEMA => Ok(()),
            Some(version) => Err(Error::new(
                kernel::Kind::Precondition,
                format!(
                    "The database has schema {version}, of a newer release than this program \
                     (schema {SCHEMA}); use the program of that release."
                ),
            )),
            None => Err(Error::internal("the database has no schema version")),
        }
    }
}
