//! Grants: roles of users and groups on projects, domains and the system, and the list
//! of all assignments.

pub(crate) mod assignments;
pub(crate) mod http;
pub(crate) mod ops;
