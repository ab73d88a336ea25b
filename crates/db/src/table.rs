//! Tables whose columns are listed once: the struct is the list of columns,
//! from which insert, read and select are derived.

use std::net::Ipv4Addr;

use async_trait::async_trait;
use ipnet::Ipv4Net;
use kernel::{Error, Id, Kind, Result, Timestamp};

use crate::{Db, Dialect, Row, Tx, Value, values};

/// A type that a column can hold.
pub trait Column: Sized {
    /// # Errors
    /// As [`Row::text`]; for stored enums also [`unknown_stored_value`].
    fn read(row: &Row, name: &str) -> Result<Self>;

    /// # Errors
    /// `Internal` if the value cannot be written as JSON.
    fn value(&self) -> Result<Value>;
}

macro_rules! column {
    ($($type:ty = $read:ident),*) => {$(
        impl Column for $type {
            fn read(row: &Row, name: &str) -> Result<Self> {
                row.$read(name)
            }

            fn value(&self) -> Result<Value> {
                Ok(self.clone().into())
            }
        }
    )*};
}

column!(
    String = text,
    Option<String> = opt_text,
    i64 = int,
    Option<i64> = opt_int,
    Timestamp = time,
    Option<Timestamp> = opt_time,
    bool = flag
);

/// Types whose columns hold their text.
macro_rules! text_column {
    ($($type:ty),*) => {$(
        impl Column for $type {
            fn read(row: &Row, name: &str) -> Result<Self> {
                let text = row.str(name)?;
                text.parse()
                    .map_err(|e| Error::internal(e).context(format!("column {name}")))
            }

            fn value(&self) -> Result<Value> {
                Ok(self.to_string().into())
            }
        }
    )*};
}

text_column!(Ipv4Addr, Ipv4Net);

impl<K> Column for Id<K> {
    fn read(row: &Row, name: &str) -> Result<Self> {
        row.text(name).map(Into::into)
    }

    fn value(&self) -> Result<Value> {
        Ok(self.into())
    }
}

impl<K> Column for Option<Id<K>> {
    fn read(row: &Row, name: &str) -> Result<Self> {
        Ok(row.opt_text(name)?.map(Into::into))
    }

    fn value(&self) -> Result<Value> {
        Ok(self.as_ref().into())
    }
}

/// A column that holds a value as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: serde::Serialize + serde::de::DeserializeOwned> Column for Json<T> {
    fn read(row: &Row, name: &str) -> Result<Self> {
        let text = row.text(name)?;
        let value = serde_json::from_str(&text)
            .map_err(|e| Error::internal(e).context(format!("column {name}")))?;
        Ok(Self(value))
    }

    fn value(&self) -> Result<Value> {
        Ok(serde_json::to_string(&self.0)?.into())
    }
}

/// A row of a table whose columns are the fields of a struct; implemented by
/// [`crate::table!`].
#[async_trait]
pub trait Table: Sized + Sync {
    const TABLE: &'static str;
    const COLUMNS: &'static [&'static str];

    /// # Errors
    /// Same errors as [`Column::read`].
    fn read(row: &Row) -> Result<Self>;

    /// The values in the order of the columns.
    ///
    /// # Errors
    /// Same errors as [`Column::value`].
    fn values(&self) -> Result<Vec<Value>>;

    /// `SELECT` of all columns of the table, without a condition.
    #[must_use]
    fn select() -> String {
        format!("SELECT {} FROM {}", Self::COLUMNS.join(", "), Self::TABLE)
    }

    /// # Errors
    /// Same errors as [`Tx::execute`].
    async fn insert(&self, tx: &mut Tx) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            Self::TABLE,
            Self::COLUMNS.join(", "),
            vec!["?"; Self::COLUMNS.len()].join(", ")
        );
        tx.execute(&sql, self.values()?).await.map(|_| ())
    }
}

/// Declares a struct that is a row of a table; see [`Table`].
///
/// ```ignore
/// db::table! {
///     /// A flavor.
///     pub(crate) struct FlavorRow in "flavor" {
///         pub id: String,
///         pub vcpus: i64,
///     }
/// }
/// ```
#[macro_export]
macro_rules! table {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident in $table:literal {
            $($(#[$field_meta:meta])* $field_vis:vis $field:ident : $type:ty),* $(,)?
        }
    ) => {
        $(#[$meta])*
        $vis struct $name {
            $($(#[$field_meta])* $field_vis $field: $type),*
        }

        impl $crate::Table for $name {
            const TABLE: &'static str = $table;
            const COLUMNS: &'static [&'static str] = &[$(stringify!($field)),*];

            fn read(row: &$crate::Row) -> ::kernel::Result<Self> {
                Ok(Self {
                    $($field: <$type as $crate::Column>::read(row, stringify!($field))?),*
                })
            }

            fn values(&self) -> ::kernel::Result<Vec<$crate::Value>> {
                Ok(vec![$($crate::Column::value(&self.$field)?),*])
            }
        }
    };
}

/// Assigns stored values to the variants of an enum. An unknown value was
/// written by a newer release: reading it is an error, never a default.
///
/// ```ignore
/// db::stored_enum! { Status: Build = "BUILD", Active = "ACTIVE" }
/// ```
#[macro_export]
macro_rules! stored_enum {
    ($type:ty: $($variant:ident = $word:literal),* $(,)?) => {
        impl $type {
            /// The value that is stored and shown.
            #[must_use]
            pub fn as_stored(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),*
                }
            }

            /// # Errors
            /// See [`db::unknown_stored_value`].
            pub fn from_stored(word: &str) -> ::kernel::Result<Self> {
                match word {
                    $($word => Ok(Self::$variant),)*
                    _ => Err($crate::unknown_stored_value(stringify!($type), word)),
                }
            }
        }

        impl $crate::Column for $type {
            fn read(row: &$crate::Row, name: &str) -> ::kernel::Result<Self> {
                Self::from_stored(&row.text(name)?)
            }

            fn value(&self) -> ::kernel::Result<$crate::Value> {
                Ok(self.as_stored().into())
            }
        }
    };
}

/// The error for a stored value that this release does not know. The row is
/// left to the newer release that wrote it.
#[must_use]
pub fn unknown_stored_value(what: &str, word: &str) -> Error {
    Error::new(
        Kind::Unavailable { retry_after: 30 },
        format!("The {what} '{word}' was written by a newer version of this server."),
    )
}

/// The columns of a table in the database, sorted. Tests compare them with
/// [`Table::COLUMNS`].
///
/// # Errors
/// Same errors as [`Db::query`].
pub async fn columns_of(db: &Db, table: &str) -> Result<Vec<String>> {
    let sql = match db.dialect() {
        Dialect::Sqlite => "SELECT name AS name FROM pragma_table_info(?)",
        Dialect::Postgres => {
            "SELECT CAST(column_name AS text) AS name FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = ?"
        }
        Dialect::Mysql => {
            "SELECT CAST(column_name AS char) AS name FROM information_schema.columns \
             WHERE table_schema = DATABASE() AND table_name = ?"
        }
    };
    let rows = db.query(sql, values![table]).await?;
    let mut names: Vec<String> = rows.iter().map(|r| r.text("name")).collect::<Result<_>>()?;
    names.sort();
    Ok(names)
}
