//! Roles of users and groups on the system, and their place in the list of assignments.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fixture;

use fixture::setup::Setup;
use fixture::{Fixture, project};
use serde_json::{Value, json};

#[tokio::test]
async fn roles_on_the_system_are_granted_and_listed_with_all_filters() {
    for test in testkit::every_database(identity::migrations()).await {
        let s = Setup::with(Fixture::on(&test.db).await).await;
        let ann = s
            .made("user", json!({"name": "ann", "password": "p"}))
            .await;
        let bob = s
            .made("user", json!({"name": "bob", "password": "p"}))
            .await;
        let group = s.made("group", json!({"name": "ops"})).await;
        s.call(&format!("PUT /v3/groups/{group}/users/{bob}"), 204)
            .await;
        let roles = s.w.roles(&s.admin).await;
        let (member, reader) = (&roles["member"], &roles["reader"]);
        let by_user = format!("/v3/system/users/{ann}/roles/{member}");
        let by_group = format!("/v3/system/groups/{group}/roles/{member}");
        for grant in [&by_user, &by_group] {
            for verb in ["GET", "DELETE"] {
                s.call(&format!("{verb} {grant}"), 404).await;
            }
            s.call(&format!("PUT {grant}"), 204).await;
            for verb in ["PUT", "HEAD", "GET"] {
                s.call(&format!("{verb} {grant}"), 204).await;
            }
            let all = grant.trim_end_matches(&format!("/{member}"));
            let list = s.call(&format!("GET {all}"), 200).await;
            assert_eq!(list["roles"][0]["id"], member.as_str());
            let other = s.call(&format!("GET {all}?name=admin"), 200).await;
            assert_eq!(other["roles"], json!([]));
        }
        let web = s.made("project", json!({"name": "web"})).await;
        let direct = format!("/v3/projects/{web}/users/{ann}/roles/{member}");
        s.call(&format!("PUT {direct}"), 204).await;

        let base = format!("http://{}/identity", s.w.at);
        let system = json!({"system": {"all": true}});
        let got = s
            .assignments(&format!("scope.system=all&user.id={ann}&include_names"))
            .await;
        let domain = json!({"id": "default", "name": "Default"});
        let want = json!({"scope": system, "role": {"id": member, "name": "member"},
            "user": {"id": ann, "name": "ann", "domain": domain},
            "links": {"assignment": format!("{base}{by_user}")}});
        assert_eq!(got, [want]);
        let got = s
            .assignments(&format!(
                "scope.system=all&effective&user.id={bob}&role.id={reader}"
            ))
            .await;
        let want = json!({"scope": system, "role": {"id": reader}, "user": {"id": bob},
            "links": {"assignment": format!("{base}{by_group}"),
                "membership": format!("{base}/v3/groups/{group}/users/{bob}"),
                "prior_role": format!("{base}/v3/roles/{member}/implies/{reader}")}});
        assert_eq!(got, [want]);
        // The administrator has a role on the system, too.
        for (query, want) in [
            ("scope.system=all".to_owned(), 3),
            (format!("scope.system=all&group.id={group}"), 1),
            (format!("scope.system=all&role.id={member}"), 2),
            (format!("scope.system=all&role.id={reader}"), 0),
            (format!("scope.system=all&user.id={ann}&effective"), 2),
            (format!("user.id={ann}"), 2),
            (
                "scope.system=all&scope.OS-INHERIT:inherited_to=projects".to_owned(),
                0,
            ),
            // Keystone knows no other system.
            (format!("scope.system=none&user.id={ann}"), 2),
        ] {
            assert_eq!(s.assignments(&query).await.len(), want, "{query}");
        }

        let whole = json!({"system": {"all": true}});
        for (name, grant) in [("ann", &by_user), ("bob", &by_group)] {
            let token = s.w.login(name, "p", whole.clone()).await.token();
            let seen =
                s.w.call("GET /v3/auth/system", &token, Value::Null, 200)
                    .await;
            let own = format!("{base}/v3/auth/system");
            let want = json!({"system": [{"all": true}], "links": {"self": own}});
            assert_eq!(seen, want);
            // A reader of the system sees the assignments, and grants nothing.
            s.w.call("GET /v3/role_assignments", &token, Value::Null, 200)
                .await;
            s.w.call(&format!("GET {grant}"), &token, Value::Null, 204)
                .await;
            s.w.call(&format!("PUT {grant}"), &token, Value::Null, 403)
                .await;
            s.call(&format!("DELETE {grant}"), 204).await;
            s.w.call("GET /v3/auth/system", &token, Value::Null, 401)
                .await;
        }
        let plain = s.w.login("ann", "p", project("web")).await.token();
        let seen =
            s.w.call("GET /v3/auth/system", &plain, Value::Null, 200)
                .await;
        assert_eq!(seen["system"], json!([]));
        for grant in [&by_user, &by_group] {
            s.w.call(&format!("GET {grant}"), &plain, Value::Null, 403)
                .await;
        }
    }
}
