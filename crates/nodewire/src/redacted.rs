//! Types that hold secrets.

/// Omits secrets from debug output.
macro_rules! redact_debug {
    ($kind:ident, $($shown:ident),+) => {
        impl std::fmt::Debug for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($kind))
                    $(.field(stringify!($shown), &self.$shown))+
                    .finish_non_exhaustive()
            }
        }
    };
}
pub(crate) use redact_debug;
