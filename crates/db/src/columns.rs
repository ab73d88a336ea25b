//! Tables whose rows are domain structs.

/// Lists the columns of an existing struct once and implements [`Table`] for
/// it. A column has the name of its field unless another name is given. `json`:
/// the column holds the field as JSON. `via`: a function reads the column.
/// Fields without a column are read by the expression after `also`.
///
/// ```ignore
/// db::columns! {
///     Node in "magnum_node" { id, index = "idx", labels as json, state via shown_state }
///     also |row| { newer: newer(row)? }
/// }
/// ```
///
/// [`Table`]: crate::Table
#[macro_export]
macro_rules! columns {
    (
        $name:ident in $table:literal {
            $($field:ident $(= $column:literal)? $(as $how:ident)? $(via $reader:ident)?),*
            $(,)?
        }
        $(also |$row:ident| { $($extra:ident : $made:expr),* $(,)? })?
    ) => {
        impl $crate::Table for $name {
            const TABLE: &'static str = $table;
            const COLUMNS: &'static [&'static str] =
                &[$($crate::columns!(@name $field $($column)?)),*];

            fn read(row: &$crate::Row) -> ::kernel::Result<Self> {
                $(let $row = row;)?
                Ok(Self {
                    $($field: $crate::columns!(
                        @read row, $crate::columns!(@name $field $($column)?),
                        $($how)? $(via $reader)?
                    ),)*
                    $($($extra: $made),*)?
                })
            }

            fn values(&self) -> ::kernel::Result<Vec<$crate::Value>> {
                Ok(vec![$($crate::columns!(@value &self.$field, $($how)?)),*])
            }
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $column:literal) => { $column };
    (@read $row:ident, $column:expr,) => { $crate::Column::read($row, $column)? };
    (@read $row:ident, $column:expr, via $reader:ident) => { $reader($row, $column)? };
    (@read $row:ident, $column:expr, json) => {
        <$crate::Json<_> as $crate::Column>::read($row, $column)?.0
    };
    (@value $value:expr,) => { $crate::Column::value($value)? };
    (@value $value:expr, json) => { ::serde_json::to_string($value)?.into() };
}
