use std::collections::BTreeMap;

use kernel::{Ctx, Enforcer as _, Rule, Scope, Scopes, Target};

use super::{Policies, Undeclared};

/// Rules as a service declares them.
fn policies(rules: &[(&'static str, &'static str)]) -> kernel::Result<Policies> {
    let declared: Vec<&'static Rule> = rules
        .iter()
        .map(|(name, default)| {
            let about = "";
            &*Box::leak(Box::new(Rule {
                name,
                default,
                about,
                scopes: Scopes::Any,
            }))
        })
        .collect();
    Policies::new(&declared)
}

fn allows(policies: &Policies, name: &'static str, ctx: &Ctx, target: &Target) -> bool {
    let rule = Rule {
        name,
        default: "",
        about: "",
        scopes: Scopes::Any,
    };
    policies.allows(&rule, ctx, target)
}

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
    let policies = policies(&[
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
        ("unknown", &admin, &own, false),
    ];
    for (rule, ctx, target, want) in cases {
        let got = allows(&policies, rule, ctx, target);
        assert_eq!(got, want, "{rule} for {:?}", ctx.roles);
    }
    assert!(allows(&policies, "system", &Ctx::service("r"), &other));
    let mine = Target {
        user_id: Some("u1".into()),
        ..Target::default()
    };
    assert!(allows(&policies, "self", &user, &mine));
}

#[test]
fn rules_that_refer_to_themselves_are_refused_and_deny() {
    let cycles = [
        ("loop", "rule:loop"),
        ("not_loop", "not rule:not_loop"),
        ("loop_or_admin", "rule:loop_or_admin or role:admin"),
        ("wide_loop", "rule:wide_loop or rule:wide_loop"),
    ];
    let mut set = Undeclared::default();
    let admin = member("p9", &["admin"]);
    for (name, text) in cycles {
        let refused = policies(&[(name, text)]).unwrap_err();
        assert!(refused.message.contains("refers to itself"), "{refused:?}");
        assert!(set.set(name, text));
        assert!(!set.allows(name, &admin, &Target::default()), "{name}");
    }
    let two = [("a", "rule:b"), ("b", "role:x and rule:a")];
    assert!(policies(&two).is_err());
    // A cycle under a `not` does not become a permission.
    assert!(set.set("not_the_loop", "not rule:loop"));
    assert!(!set.allows("not_the_loop", &admin, &Target::default()));
}

#[test]
fn a_target_without_the_field_never_matches() {
    let policies = policies(&[("owner", "project_id:%(project_id)s")]).unwrap();
    let unscoped = Ctx::default();
    assert!(!allows(&policies, "owner", &unscoped, &Target::default()));
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
        // These would never match, or match by mistake.
        "rule:no_such_rule",
        "project:%(project_id)s",
        "project_id:%(owner)s",
    ] {
        let e = policies(&[("cluster:get", bad)]).unwrap_err();
        assert!(e.message.contains("cluster:get"), "{bad}: {e}");
    }
    let deep: &'static str = Box::leak("(".repeat(500).into_boxed_str());
    assert!(policies(&[("x", deep)]).is_err());
    assert!(policies(&[("x", "@"), ("x", "!")]).is_err());
}

#[test]
fn overrides_replace_each_other_as_a_whole() {
    let policies = policies(&[("get", "role:reader"), ("put", "rule:get")]).unwrap();
    let overrides = |pairs: &[(&str, &str)]| {
        let own = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        pairs.iter().map(own).collect::<BTreeMap<_, _>>()
    };
    let (reader, own) = (member("p1", &["reader"]), Target::project("p1"));
    assert!(allows(&policies, "put", &reader, &own));
    policies.set_overrides(overrides(&[("get", "!")])).unwrap();
    assert!(!allows(&policies, "put", &reader, &own));
    // An error leaves the old overrides in effect.
    for bad in [("get", "role:"), ("gte", "@"), ("get", "rule:gte")] {
        assert!(
            policies.set_overrides(overrides(&[bad])).is_err(),
            "{bad:?}"
        );
        assert!(!allows(&policies, "get", &reader, &own));
    }
    let shown = policies.effective();
    assert_eq!(shown[0].text, "!");
    assert_eq!((shown[0].overridden, shown[1].overridden), (true, false));
    policies.set_overrides(BTreeMap::new()).unwrap();
    assert!(allows(&policies, "put", &reader, &own));
}

#[test]
fn rules_that_multiply_end_and_deny() {
    let mut policies = super::Undeclared::default();
    for i in 0..31 {
        let text = format!("rule:r{0} or rule:r{0}", i + 1);
        assert!(policies.set(&format!("r{i}"), &text));
    }
    let admin = member("p1", &["admin"]);
    assert!(!policies.allows("r0", &admin, &Target::default()));
}

#[test]
fn a_rule_denies_callers_with_another_scope() {
    let policies = policies(&[("a", "role:admin")]).unwrap();
    let scopes = [
        Scope::Unscoped,
        Scope::Domain {
            id: "d".into(),
            name: "d".into(),
        },
        Scope::System,
        member("p", &[]).scope,
    ];
    let allowed = |kind: Scopes| {
        let rule = Rule {
            name: "a",
            default: "",
            about: "",
            scopes: kind,
        };
        scopes.clone().map(|scope| {
            let ctx = Ctx {
                scope,
                ..member("p", &["admin"])
            };
            policies.allows(&rule, &ctx, &Target::default())
        })
    };
    assert_eq!(allowed(Scopes::Any), [true; 4]);
    assert_eq!(allowed(Scopes::Project), [false, false, false, true]);
    assert_eq!(allowed(Scopes::ProjectOrSystem), [false, false, true, true]);
}
