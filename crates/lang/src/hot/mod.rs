//! The template language of Heat (HOT): sections, parameters, conditions and
//! functions. Resource types are not interpreted here.

mod binding;
mod bound;
mod budget;
mod check;
mod collections;
mod condition;
mod constraint;
mod eval;
mod keys;
mod param;
mod param_type;
mod parse;
mod template;
mod text;
mod version;

pub use bound::{Bound, Reference, Scope};
pub use budget::MAX_OUTPUT;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use budget::cost;
pub use check::check;
pub use eval::Variable;
pub use param::{Param, Pseudo};
pub use param_type::ParamType;
pub use template::{OutputDef, ResourceDef, Template};
pub use text::{digest, python_text, to_sorted_json};
