//! Bound values, typed also when null, because PostgreSQL requires the type.

use std::time::Duration;

use kernel::Timestamp;

/// One bound parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(Option<String>),
    Int(Option<i64>),
    Bool(Option<bool>),
    Blob(Option<Vec<u8>>),
}

macro_rules! from {
    ($($t:ty => $v:ident, $conv:expr;)*) => {$(
        impl From<$t> for Value { fn from(x: $t) -> Self { Value::$v(Some($conv(x))) } }
        impl From<Option<$t>> for Value { fn from(x: Option<$t>) -> Self { Value::$v(x.map($conv)) } }
    )*};
}

from! {
    String => Text, std::convert::identity;
    &str => Text, str::to_owned;
    &String => Text, String::clone;
    i64 => Int, std::convert::identity;
    i32 => Int, i64::from;
    u32 => Int, i64::from;
    u16 => Int, i64::from;
    Timestamp => Int, Timestamp::as_micros;
    bool => Bool, std::convert::identity;
    Vec<u8> => Blob, std::convert::identity;
}

impl<K> From<&kernel::Id<K>> for Value {
    fn from(id: &kernel::Id<K>) -> Self {
        Self::Text(Some(id.into()))
    }
}

impl<K> From<Option<kernel::Id<K>>> for Value {
    fn from(id: Option<kernel::Id<K>>) -> Self {
        Self::Text(id.map(Into::into))
    }
}

impl<K> From<Option<&kernel::Id<K>>> for Value {
    fn from(id: Option<&kernel::Id<K>>) -> Self {
        Self::Text(id.map(Into::into))
    }
}

/// Builds the argument list of a statement: `values![id, name, Some(3)]`.
#[macro_export]
macro_rules! values {
    ($($x:expr),* $(,)?) => { vec![$($crate::Value::from($x)),*] };
}

/// Placeholders of a list of `n` values.
pub(crate) fn placeholders(n: usize) -> String {
    vec!["?"; n].join(", ")
}

/// A duration as the tables store it.
pub(crate) fn micros(d: Duration) -> i64 {
    i64::try_from(d.as_micros()).unwrap_or(i64::MAX)
}
