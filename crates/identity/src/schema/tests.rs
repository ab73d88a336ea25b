use db::{Table, values};
use kernel::Timestamp;

use super::*;
use crate::access_rule::UserRule;
use crate::access_rule::stored::CredentialRules;
use crate::app_credential::AppCredential;
use crate::assignment::{self, Actor, Assignment};
use crate::attributes::Attributes;
use crate::catalog::{Endpoint, Region, Service};
use crate::domain_config::{DomainOption, DomainSecret};
use crate::endpoint_filter::{self, EndpointGroup, Linked};
use crate::group::Group;
use crate::legacy_policy::{self, LegacyPolicy, LinkTarget, PolicyLink};
use crate::oauth_consumer::Consumer;
use crate::project::Project;
use crate::role::{self, Role};
use crate::tags::Tags;
use crate::trust::Trust;
use crate::user::User;
use crate::user_credential::UserCredential;

async fn same<T: Table + std::fmt::Debug>(db: &db::Db, row: T) {
    let mut named = T::COLUMNS.to_vec();
    named.sort_unstable();
    let there = db::columns_of(db, T::TABLE).await.unwrap();
    assert_eq!(named, there, "{}", T::TABLE);
    db::write!(db, |tx| row.insert(tx).await).unwrap();
    let found = db.query(&T::select(), values![]).await.unwrap();
    let read = T::read(&found[0]).unwrap();
    assert_eq!(format!("{read:?}"), format!("{row:?}"));
}

fn set(name: &str) -> Attributes {
    Attributes([(name.to_owned(), true.into())].into_iter().collect())
}

#[tokio::test]
async fn every_column_is_listed_and_round_trips() {
    for test in testkit::every_database(migrations()).await {
        let db = &test.db;
        let project = Project {
            id: "p".into(),
            name: "n".into(),
            domain_id: "d".into(),
            parent_id: Some("d".into()),
            is_domain: false,
            enabled: true,
            description: "text".into(),
            options: set("immutable"),
            extra: Attributes::default(),
            tags: Tags(vec!["a".into(), "b".into()]),
            tokens_after: Timestamp::from_seconds(5).into(),
        };
        same(db, project).await;
        let user = User {
            id: "u".into(),
            name: "n".into(),
            domain_id: "d".into(),
            password_hash: Some("hash".into()),
            enabled: true,
            default_project_id: Some("p".into()),
            email: None,
            description: "text".into(),
            tokens_after: Timestamp::from_seconds(7).into(),
            options: Attributes::default(),
            extra: set("phone"),
        };
        same(db, user).await;
        let role = Role {
            id: "r".into(),
            name: "n".into(),
            domain_id: Some("d".into()),
            description: "text".into(),
            options: set("immutable"),
            extra: set("email"),
        };
        same(db, role.clone()).await;
        let global = Role {
            id: "q".into(),
            domain_id: None,
            ..role.clone()
        };
        db::write!(db, |tx| role::table::insert(tx, &global).await).unwrap();
        assert_eq!(role::table::list(db).await.unwrap(), [global, role]);
        let group = Group {
            id: "g".into(),
            name: "n".into(),
            domain_id: "d".into(),
            description: "text".into(),
            extra: set("color"),
        };
        same(db, group).await;
        let of = |actor: Actor, inherited: bool| Assignment {
            actor,
            kind: "project".into(),
            target_id: "p".into(),
            inherited,
            role_id: "r".into(),
        };
        let (user, group) = (Actor::User("u".into()), Actor::Group("g".into()));
        let all = [
            of(user.clone(), false),
            of(group.clone(), false),
            of(user, true),
            of(group, true),
        ];
        for assignment in &all {
            db::write!(db, |tx| assignment::table::grant(tx, assignment).await).unwrap();
        }
        assert_eq!(assignment::table::list(db).await.unwrap(), all);
        let region = Region {
            id: "r".into(),
            description: "text".into(),
            parent_region_id: Some("p".into()),
            extra: set("zone"),
        };
        same(db, region).await;
        let service = Service {
            id: "s".into(),
            kind: "image".into(),
            name: "images".into(),
            description: None,
            enabled: true,
            extra: set("v"),
        };
        same(db, service).await;
        let endpoint = Endpoint {
            id: "e".into(),
            service_id: "s".into(),
            region_id: None,
            interface: "public".into(),
            url: "/image".into(),
            enabled: false,
            extra: set("name"),
        };
        same(db, endpoint).await;
        let rule = UserRule {
            id: "a".into(),
            user_id: "u".into(),
            service: "identity".into(),
            path: "/v3/**".into(),
            method: "GET".into(),
        };
        same(db, rule.clone()).await;
        let credential = AppCredential {
            id: "c".into(),
            name: "n".into(),
            user_id: "u".into(),
            project_id: "p".into(),
            secret_hash: "hash".into(),
            roles: vec!["r".into()],
            expires_at: Some(Timestamp::from_micros(9)),
            description: None,
            unrestricted: true,
            access_rules: CredentialRules(Some([rule.rule()].into())),
        };
        same(db, credential).await;
        let trust = Trust {
            id: "t".into(),
            trustor_user_id: "u".into(),
            trustee_user_id: "v".into(),
            project_id: Some("p".into()),
            impersonation: true,
            roles: vec!["r".into()],
            expires_at: Some(Timestamp::from_micros(9)),
            remaining_uses: Some(3),
            redelegated_trust_id: None,
            redelegation_count: 0,
            extra: set("note"),
        };
        same(db, trust).await;
        let credential = UserCredential {
            id: "k".into(),
            user_id: "u".into(),
            project_id: Some("p".into()),
            kind: "ec2".into(),
            blob_sealed: "jbs1".into(),
            extra: set("x"),
        };
        same(db, credential).await;
        let option = DomainOption {
            domain_id: "d".into(),
            group: "ldap".into(),
            name: "pool_size".into(),
            value: 5.into(),
        };
        same(db, option).await;
        let secret = DomainSecret {
            domain_id: "d".into(),
            group: "ldap".into(),
            name: "password".into(),
            value_sealed: "jbs1".into(),
        };
        same(db, secret).await;
        let policy = LegacyPolicy {
            id: "y".into(),
            kind: "text".into(),
            blob: "{}".into(),
            extra: set("x"),
        };
        same(db, policy).await;
        let consumer = Consumer {
            id: "o".into(),
            description: Some("text".into()),
            secret_sealed: "jbs1".into(),
            extra: set("x"),
        };
        same(db, consumer).await;
        let group = EndpointGroup {
            id: "e".into(),
            name: "n".into(),
            description: None,
            filters: set("interface").0,
        };
        same(db, group).await;
        for kind in [Linked::Endpoint, Linked::Group] {
            let inserted = db::write!(db, |tx| {
                endpoint_filter::table::insert_link(tx, kind, "e", "p").await
            });
            inserted.unwrap();
            let linked = endpoint_filter::table::linked_to(db, kind, "p").await;
            assert_eq!(linked.unwrap(), ["e"]);
        }
        let link = PolicyLink {
            policy_id: "y".into(),
            target: LinkTarget {
                endpoint_id: "e".into(),
                ..LinkTarget::default()
            },
        };
        db::write!(db, |tx| legacy_policy::table::insert_link(tx, &link).await).unwrap();
        let links = legacy_policy::table::links(db).await.unwrap();
        assert_eq!(format!("{links:?}"), format!("{:?}", [link]));
    }
}
