//! The rules of our own routes, and all rules of the server.

use kernel::{Rule, rules};

const ADMIN: &str = "role:admin";

rules! {
    LIST_LEAKS = "jeroboam:list_leaks", ADMIN,
        "List objects of the engine that no row knows, and the other way round.", ProjectOrSystem;
    GET_STATS = "jeroboam:get_stats", ADMIN, "Show counters of the server process.", ProjectOrSystem;
    LIST_POLICIES = "jeroboam:list_policies", ADMIN, "List the rules in effect.", ProjectOrSystem;
    REGISTER_IMAGE = "jeroboam:register_image", ADMIN, "Register node images.", ProjectOrSystem;
}

/// All rules of the server, in the order of its services.
pub fn all() -> Vec<&'static Rule> {
    [identity::policies(), clusters::policies(), RULES].concat()
}
