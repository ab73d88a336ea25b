//! Routes of the catalogue.

mod endpoint;
mod region;
mod service;

use rest::Route;

use crate::state::State;

pub(crate) fn routes() -> Vec<Route<State>> {
    let all = [service::routes(), endpoint::routes(), region::routes()];
    all.into_iter().flatten().collect()
}
