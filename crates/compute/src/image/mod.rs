//! Images that an operator has built on the hosts.

mod model;
mod ops;
mod table;

pub(crate) use model::{flavour, flavour_of, flavour_word, is_node};
