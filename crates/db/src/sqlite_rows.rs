//! Rows that SQLite found, and their values.

use std::str::Utf8Error;
use std::sync::Arc;

use kernel::{Error, Result};
use rusqlite::types::ValueRef;

/// The rows that a statement found. All texts are in one buffer and all bytes in
/// another one, so that a row costs no allocation.
#[derive(Debug, Default)]
pub(crate) struct Found {
    columns: Vec<String>,
    /// The values of all rows, one row after the other.
    values: Vec<Stored>,
    text: String,
    bytes: Vec<u8>,
}

/// A value, or the place of its contents in a buffer of [`Found`].
#[derive(Debug, Clone, Copy)]
enum Stored {
    Null,
    Integer(i64),
    /// A floating-point number, which no column contains.
    Real,
    Text {
        start: usize,
        end: usize,
    },
    Blob {
        start: usize,
        end: usize,
    },
}

impl Found {
    pub(crate) fn new<'a>(columns: impl Iterator<Item = &'a str>) -> Self {
        Self {
            columns: columns.map(str::to_owned).collect(),
            ..Self::default()
        }
    }

    /// Adds the row that the statement is at.
    pub(crate) fn add(&mut self, row: &rusqlite::Row<'_>) -> rusqlite::Result<()> {
        for at in 0..self.columns.len() {
            let stored = self.store(row.get_ref(at)?);
            let stored = stored.map_err(|e| rusqlite::Error::Utf8Error(at, e))?;
            self.values.push(stored);
        }
        Ok(())
    }

    fn store(&mut self, value: ValueRef<'_>) -> std::result::Result<Stored, Utf8Error> {
        Ok(match value {
            ValueRef::Null => Stored::Null,
            ValueRef::Integer(n) => Stored::Integer(n),
            ValueRef::Real(_) => Stored::Real,
            ValueRef::Text(text) => {
                let start = self.text.len();
                self.text.push_str(std::str::from_utf8(text)?);
                let end = self.text.len();
                Stored::Text { start, end }
            }
            ValueRef::Blob(bytes) => {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(bytes);
                let end = self.bytes.len();
                Stored::Blob { start, end }
            }
        })
    }

    pub(crate) fn into_rows(self) -> Vec<SqliteRow> {
        let (width, end) = (self.columns.len().max(1), self.values.len());
        let found = Arc::new(self);
        let row = |at| SqliteRow {
            found: found.clone(),
            at,
        };
        (0..end).step_by(width).map(row).collect()
    }
}

/// One row: values by column name.
#[derive(Debug, Clone)]
pub struct SqliteRow {
    found: Arc<Found>,
    /// The place of its first value.
    at: usize,
}

/// A value of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cell<'a> {
    Null,
    Integer(i64),
    /// A floating-point number, which no column contains.
    Real,
    Text(&'a str),
    Blob(&'a [u8]),
}

impl Cell<'_> {
    fn kind(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Integer(_) => "an integer",
            Self::Real => "a number",
            Self::Text(_) => "text",
            Self::Blob(_) => "bytes",
        }
    }
}

impl SqliteRow {
    pub(crate) fn cell(&self, name: &str) -> Result<Cell<'_>> {
        let found = &*self.found;
        let column = found.columns.iter().position(|c| c == name);
        let stored = column.and_then(|column| found.values.get(self.at + column));
        let cell = stored.and_then(|stored| {
            Some(match *stored {
                Stored::Null => Cell::Null,
                Stored::Integer(n) => Cell::Integer(n),
                Stored::Real => Cell::Real,
                Stored::Text { start, end } => Cell::Text(found.text.get(start..end)?),
                Stored::Blob { start, end } => Cell::Blob(found.bytes.get(start..end)?),
            })
        });
        cell.ok_or_else(|| Error::internal("no such column"))
    }
}

/// Conversion of a stored value to a Rust value.
pub(crate) trait FromCell<'a>: Sized {
    fn from_cell(cell: Cell<'a>) -> Result<Self>;
}

fn other_type(wanted: &str, cell: Cell<'_>) -> Error {
    Error::internal(format!("{wanted} expected, found {}", cell.kind()))
}

impl<'a> FromCell<'a> for &'a str {
    fn from_cell(cell: Cell<'a>) -> Result<Self> {
        match cell {
            Cell::Text(text) => Ok(text),
            other => Err(other_type("text", other)),
        }
    }
}

impl<'a> FromCell<'a> for String {
    fn from_cell(cell: Cell<'a>) -> Result<Self> {
        <&str>::from_cell(cell).map(str::to_owned)
    }
}

impl<'a> FromCell<'a> for i64 {
    fn from_cell(cell: Cell<'a>) -> Result<Self> {
        match cell {
            Cell::Integer(n) => Ok(n),
            other => Err(other_type("an integer", other)),
        }
    }
}

impl<'a> FromCell<'a> for bool {
    fn from_cell(cell: Cell<'a>) -> Result<Self> {
        i64::from_cell(cell).map(|n| n != 0)
    }
}

impl<'a> FromCell<'a> for Vec<u8> {
    fn from_cell(cell: Cell<'a>) -> Result<Self> {
        match cell {
            Cell::Blob(bytes) => Ok(bytes.to_vec()),
            other => Err(other_type("bytes", other)),
        }
    }
}

impl<'a, T: FromCell<'a>> FromCell<'a> for Option<T> {
    fn from_cell(cell: Cell<'a>) -> Result<Self> {
        match cell {
            Cell::Null => Ok(None),
            some => T::from_cell(some).map(Some),
        }
    }
}
