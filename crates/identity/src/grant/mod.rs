//! Grants: roles of users on projects, domains and the system, and the list of
//! all assignments. Groups are not supported yet.

pub(crate) mod assignments;
pub(crate) mod http;
pub(crate) mod ops;
