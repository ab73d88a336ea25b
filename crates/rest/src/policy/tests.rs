use kernel::{Ctx, Enforcer as _, Scope, Target};

use super::Policies;

fn member(project: &str, roles: &[&str]) -> Ctx {
    Ctx {
        user_id: "u1".into(),
        scope: Scope::Project {
            id: project.into(),
            name: "p".into(),
            domain_id: "default".into(),
        },
        roles: roles.iter().map(|r| (*r).to_owned()).collect(),
        ..Ctx::default()
    }
}

#[test]
fn rules_decide_as_oslo_policy_does() {
    let policies = Policies::new(&[
        ("admin", "role:admin"),
        ("owner", "project_id:%(project_id)s"),
        ("admin_or_owner", "rule:admin or rule:owner"),
        ("reader", "role:reader and (rule:owner or rule:admin)"),
        ("nobody", "!"),
        ("everybody", ""),
        ("not_admin", "not role:admin"),
        ("system", "role:admin and system_scope:all"),
        ("is_admin", "is_admin:True"),
        ("self", "user_id:%(user_id)s"),
        ("loop", "rule:loop"),
        ("not_loop", "not rule:not_loop"),
        ("not_the_loop", "not rule:loop"),
        ("loop_or_admin", "rule:loop or rule:admin"),
        ("wide_loop", "rule:wide_loop or rule:wide_loop"),
    ])
    .unwrap();
    let own = Target::project("p1");
    let other = Target::project("p2");
    let user = member("p1", &["member", "reader"]);
    let admin = member("p9", &["Admin"]);
    let cases = [
        ("admin_or_owner", &user, &own, true),
        ("admin_or_owner", &user, &other, false),
        ("admin_or_owner", &admin, &other, true),
        ("reader", &user, &own, true),
        ("reader", &user, &other, false),
        ("nobody", &admin, &own, false),
        ("everybody", &user, &other, true),
        ("not_admin", &user, &own, true),
        ("not_admin", &admin, &own, false),
        ("system", &admin, &own, false),
        ("is_admin", &admin, &own, true),
        ("is_admin", &user, &own, false),
        ("self", &user, &own, false),
        ("loop", &admin, &own, false),
        ("not_loop", &admin, &own, false),
        // A cycle under a `not` does not become a permission.
        ("not_the_loop", &admin, &own, false),
        ("loop_or_admin", &admin, &own, false),
        ("wide_loop", &admin, &own, false),
        ("unknown", &admin, &own, false),
    ];
    for (rule, ctx, target, want) in cases {
        assert_eq!(
            policies.allows(rule, ctx, target),
            want,
            "{rule} for {:?}",
            ctx.roles
        );
    }
    assert!(policies.allows("system", &Ctx::service("r"), &other));
    let mine = Target {
        user_id: Some("u1".into()),
        ..Target::default()
    };
    assert!(policies.allows("self", &user, &mine));
}

#[test]
fn a_target_without_the_field_never_matches() {
    let policies = Policies::new(&[("owner", "project_id:%(project_id)s")]).unwrap();
    let unscoped = Ctx::default();
    assert!(!policies.allows("owner", &unscoped, &Target::default()));
}

#[test]
fn a_malformed_rule_names_itself() {
    for bad in [
        "role:",
        "role:a and",
        "(role:a",
        "role:a)",
        "admin",
        "and",
        "not",
    ] {
        let e = Policies::new(&[("cluster:get", bad)]).unwrap_err();
        assert!(e.message.contains("cluster:get"), "{bad}: {e}");
    }
    let deep = "(".repeat(500);
    assert!(Policies::new(&[("x", &deep)]).is_err());
}

#[test]
fn rules_that_multiply_end_and_deny() {
    let rules: Vec<(String, String)> = (0..31)
        .map(|i| (format!("r{i}"), format!("rule:r{0} or rule:r{0}", i + 1)))
        .collect();
    let rules: Vec<(&str, &str)> = rules.iter().map(|(n, r)| (&**n, &**r)).collect();
    let policies = Policies::new(&rules).unwrap();
    let admin = member("p1", &["admin"]);
    assert!(!policies.allows("r0", &admin, &Target::default()));
}
