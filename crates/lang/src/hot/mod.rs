//! The template language of Heat (HOT): sections, parameters, conditions and
//! functions. Resource types are not interpreted here.

mod bound;
mod check;
mod collections;
mod condition;
mod constraint;
mod eval;
mod param;
mod parse;
mod template;
mod text;
mod version;

pub use bound::{Bound, Reference, Scope};
pub use check::check;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use eval::cost;
pub use eval::{MAX_OUTPUT, Variable};
pub use param::{Param, ParamType, Pseudo};
pub use template::{OutputDef, ResourceDef, Template};
pub use text::{digest, python_text, to_sorted_json};
