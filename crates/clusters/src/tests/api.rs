//! Tests of the API: formats, errors, versions, paging, tenancy.

use serde_json::{Value, json};

use super::fixture::*;

fn detail(got: &TestResponse) -> &str {
    got.body["errors"][0]["detail"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_template_has_the_form_of_the_real_service() {
    let w = Fixture::new().await;
    let got = w
        .call(ALICE, "POST", "/v1/clustertemplates", Some(template_body()))
        .await;
    assert_eq!(got.status, 201);
    let uuid = got.body["uuid"].as_str().unwrap().to_owned();
    assert_eq!(
        got.headers["location"],
        format!("http://HOST/container-infra/v1/clustertemplates/{uuid}").as_str()
    );
    assert_eq!(got.headers["openstack-api-version"], "container-infra 1.14");
    let mut body = got.body.clone();
    assert!(body["created_at"].as_str().unwrap().ends_with("+00:00"));
    for key in ["uuid", "links", "created_at"] {
        body[key] = Value::Null;
    }
    let want = json!({ "uuid": null, "name": "t1", "coe": "swarm", "image_id": "swarm",
        "flavor_id": "m1.small", "master_flavor_id": null, "dns_nameserver": null,
        "keypair_id": "kp", "external_network_id": "public", "fixed_network": null,
        "fixed_subnet": null, "network_driver": "docker", "apiserver_port": null,
        "docker_volume_size": null, "cluster_distro": "debian", "links": null,
        "http_proxy": null, "https_proxy": null, "no_proxy": null, "volume_driver": null,
        "registry_enabled": false, "labels": { "a": "1" }, "tls_disabled": false,
        "public": false, "server_type": "vm", "insecure_registry": null,
        "docker_storage_driver": null, "master_lb_enabled": false, "floating_ip_enabled": true,
        "project_id": "p1", "user_id": "alice", "hidden": false, "tags": null,
        "driver": "swarm_docker_v1", "created_at": null, "updated_at": null });
    assert_eq!(body, want);
    // The order of the fields is part of the form.
    assert_eq!(body.to_string(), want.to_string());
}

#[tokio::test]
async fn bad_templates_are_refused_with_the_texts_of_the_real_service() {
    let w = Fixture::new().await;
    let cases: Vec<(&str, Value, u16, &str)> = vec![
        (
            "coe",
            json!(null),
            400,
            "Invalid input for field/attribute coe. Value: 'None'. Mandatory field missing.",
        ),
        (
            "coe",
            json!("nomad"),
            400,
            "Invalid input for field/attribute coe. Value: 'nomad'. Value should be one of: kubernetes, mesos, swarm, swarm-mode",
        ),
        (
            "coe",
            json!("mesos"),
            400,
            "Requested COE type mesos is not supported.",
        ),
        (
            "zzz",
            json!(1),
            400,
            "Unknown attribute for argument cluster_template: zzz",
        ),
        (
            "name",
            json!(5),
            400,
            "Invalid input for field/attribute name. Value: '5'. Wrong type. Expected '<class 'str'>', got '<class 'int'>'",
        ),
        (
            "server_type",
            json!("xx"),
            400,
            "Server type xx is not supported, expecting a vm/bm/unspecified server type.",
        ),
        (
            "network_driver",
            json!("foo"),
            400,
            "Network driver type foo is not supported, expecting a docker/flannel/unspecified network driver.",
        ),
        (
            "volume_driver",
            json!("cinder"),
            400,
            "Volume driver type cinder is not supported, expecting a rexray/unspecified volume driver.",
        ),
        (
            "docker_storage_driver",
            json!("devicemapper"),
            400,
            "docker volume size None GB is not valid, expecting minimum value 3GB for devicemapper storage driver.",
        ),
        (
            "docker_volume_size",
            json!(0),
            400,
            "Invalid input for field/attribute docker_volume_size. Value: '0'. Value should be greater or equal to 1",
        ),
        (
            "dns_nameserver",
            json!("a,b"),
            400,
            "Expected a single dns address or comma separated dns list, but received a,b.",
        ),
        (
            "image_id",
            json!("nope"),
            400,
            "Image nope could not be found.",
        ),
        (
            "image_id",
            json!("bare"),
            400,
            "Image bare doesn't contain os_distro field.",
        ),
        (
            "image_id",
            json!("dup"),
            409,
            "Multiple images exist with same name 'dup'. Please use the image ID instead.",
        ),
        ("flavor_id", json!("zz"), 400, "Unable to find flavor zz."),
        (
            "external_network_id",
            json!("private"),
            400,
            "Unable to find external network private.",
        ),
        (
            "fixed_network",
            json!("zz"),
            400,
            "Unable to find fixed network zz.",
        ),
        (
            "driver",
            json!("x"),
            400,
            "Cluster driver (x) not supported.",
        ),
        (
            "labels",
            json!({ "a": null }),
            400,
            "Invalid input for field/attribute labels. Value: '{'a': None}'. The value of label 'a' must be text, a number or a boolean, got '<class 'NoneType'>'",
        ),
        (
            "labels",
            json!({ "swarm_strategy": "x" }),
            400,
            "property \"labels/swarm_strategy\" with value \"x\" is not supported, supported values are: spread, binpack, random, unspecified",
        ),
        (
            "public",
            json!(true),
            403,
            "Not authorized to set public or hidden flag for cluster template.",
        ),
        (
            "project_id",
            json!("p2"),
            400,
            "Invalid input for field/attribute project_id. Value: 'p2'. Cannot set read only field.",
        ),
    ];
    for (field, value, status, text) in cases {
        let mut body = template_body();
        body[field] = value;
        let got = w
            .call(ALICE, "POST", "/v1/clustertemplates", Some(body))
            .await;
        assert_eq!((got.status, detail(&got)), (status, text), "{field}");
    }
    let got = w
        .call(
            READER,
            "POST",
            "/v1/clustertemplates",
            Some(template_body()),
        )
        .await;
    assert_eq!(
        (got.status, detail(&got)),
        (
            403,
            "Policy doesn't allow clustertemplate:create to be performed."
        )
    );
    let list = w.call(ALICE, "GET", "/v1/clustertemplates", None).await;
    assert_eq!(list.body, json!({ "clustertemplates": [] }));
}

#[tokio::test]
async fn errors_have_exactly_the_keys_of_the_real_service() {
    let w = Fixture::new().await;
    let got = w.call(ALICE, "GET", "/v1/clusters/nope", None).await;
    let id = got.headers["x-openstack-request-id"].to_str().unwrap();
    assert_eq!(
        got.body,
        json!({ "errors": [{ "request_id": id, "code": "client", "status": 404,
            "title": "Cluster nope could not be found",
            "detail": "Cluster nope could not be found.", "links": [] }] })
    );
    let got = w.call("", "GET", "/v1/clusters", None).await;
    assert_eq!(got.status, 401);
    assert_eq!(
        got.headers["www-authenticate"],
        "Keystone uri=\"http://HOST/identity/v3\""
    );
    assert_eq!(
        got.body,
        json!({ "error": { "code": 401, "title": "Unauthorized",
            "message": "The request you have made requires authentication." } })
    );
    let got = w.call(ALICE, "GET", "/v1/zzz", None).await;
    assert_eq!(
        (got.status, &got.body["errors"][0]["title"]),
        (404, &json!("Not Found"))
    );
    assert_eq!(got.body["errors"][0]["code"], "");
    let got = w.call(ALICE, "PUT", "/v1/clusters/x", None).await;
    assert_eq!(
        (got.status, got.headers["allow"].to_str().unwrap()),
        (405, "DELETE, GET, PATCH")
    );
    let got = w.call(ALICE, "POST", "/v1/clusters", None).await;
    assert_eq!(detail(&got), "Missing argument: \"cluster\"");
    let got = w
        .call(ALICE, "POST", "/v1/clusters", Some(json!([1])))
        .await;
    assert_eq!(got.status, 400);
}

#[tokio::test]
async fn versions_are_negotiated_and_gate() {
    let w = Fixture::new().await;
    let root = w.at("", "", "GET", "", None).await;
    assert_eq!(
        root.body["versions"][0]["links"][0]["href"],
        "http://HOST/container-infra/v1/"
    );
    let v1 = w.at("", "", "GET", "/v1", None).await;
    assert_eq!((v1.status, &v1.body["id"]), (200, &json!("v1")));
    let got = w
        .at("container-infra 1.99", ALICE, "GET", "/v1/clusters", None)
        .await;
    assert_eq!(got.status, 406);
    assert_eq!(
        got.body["errors"][0]["code"],
        "magnum.microversion-unsupported"
    );
    assert_eq!(
        got.body["errors"][0]["description"],
        "Version 1.99 was requested but the minor version is not supported by this service. \
         The supported version range is: [container-infrastructure-management 1.1, \
         container-infrastructure-management 1.14]."
    );
    let got = w
        .at("compute 2.1", ALICE, "GET", "/v1/clusters", None)
        .await;
    assert_eq!(
        (got.status, detail(&got)),
        (406, "Invalid service type for OpenStack-API-Version header")
    );
    w.template().await;
    let missing = json!({ "cluster_template_id": "zz" });
    let old = w
        .at(
            "container-infra 1.9",
            ALICE,
            "POST",
            "/clusters",
            Some(missing.clone()),
        )
        .await;
    let new = w
        .at(
            "container-infra 1.10",
            ALICE,
            "POST",
            "/clusters",
            Some(missing),
        )
        .await;
    assert_eq!((old.status, new.status), (400, 404));
    let got = w
        .at(
            "container-infra 1.6",
            ALICE,
            "POST",
            "/v1/clusters/c/actions/resize",
            Some(json!({})),
        )
        .await;
    assert_eq!(
        (got.status, detail(&got)),
        (
            406,
            "Version 1.6 was requested but the requested API resize is not supported for this version."
        )
    );
}

#[tokio::test]
async fn a_list_is_paged_by_marker_and_costs_a_fixed_number_of_queries() {
    let w = Fixture::new().await;
    w.template().await;
    let mut uuids = Vec::new();
    for i in 0..5 {
        let body = json!({ "name": format!("c{i}"), "cluster_template_id": "t1" });
        let got = w.call(ALICE, "POST", "/v1/clusters", Some(body)).await;
        uuids.push(got.body["uuid"].as_str().unwrap().to_owned());
    }
    let names = |got: &TestResponse| -> Vec<String> {
        let list = got.body["clusters"].as_array().unwrap();
        list.iter()
            .map(|c| c["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let got = w
        .call(
            ALICE,
            "GET",
            "/v1/clusters?limit=2&sort_key=name&sort_dir=desc",
            None,
        )
        .await;
    assert_eq!(names(&got), ["c4", "c3"]);
    let next = got.body["next"].as_str().unwrap();
    assert_eq!(
        next,
        format!(
            "http://HOST/container-infra/v1/clusters?sort_key=name&sort_dir=desc&limit=2&marker={}",
            uuids[3]
        )
    );
    let got = w
        .call(
            ALICE,
            "GET",
            next.strip_prefix("http://HOST/container-infra").unwrap(),
            None,
        )
        .await;
    assert_eq!(names(&got), ["c2", "c1"]);
    let before = w.db.queries();
    w.call(ALICE, "GET", "/v1/clusters?limit=1", None).await;
    let one = w.db.queries() - before;
    let before = w.db.queries();
    let got = w.call(ALICE, "GET", "/v1/clusters", None).await;
    assert_eq!(w.db.queries() - before, one);
    assert_eq!(one, 2);
    assert_eq!(names(&got), ["c0", "c1", "c2", "c3", "c4"]);
    for (query, text) in [
        ("limit=0", "Limit must be positive"),
        (
            "sort_key=zzz",
            "The sort_key value \"zzz\" is an invalid field for sorting",
        ),
        (
            "sort_dir=up",
            "Invalid sort direction: up. Acceptable values are 'asc' or 'desc'",
        ),
        ("foo=1", "Unknown argument: \"foo\""),
    ] {
        let got = w
            .call(ALICE, "GET", &format!("/v1/clusters?{query}"), None)
            .await;
        assert_eq!((got.status, detail(&got)), (400, text));
    }
    let unknown = "/v1/clusters?marker=00000000-0000-4000-8000-000000000000";
    assert_eq!(w.call(ALICE, "GET", unknown, None).await.status, 404);
}

#[tokio::test]
async fn other_projects_see_nothing_and_admins_see_all() {
    let w = Fixture::new().await;
    let id = w.cluster().await;
    let cases = [
        ("GET", format!("/v1/clusters/{id}"), None),
        ("DELETE", format!("/v1/clusters/{id}"), None),
        ("PATCH", format!("/v1/clusters/{id}"), Some(json!([]))),
        ("GET", format!("/v1/certificates/{id}"), None),
        ("PATCH", format!("/v1/certificates/{id}"), None),
        ("GET", format!("/v1/clusters/{id}/nodegroups"), None),
        ("GET", "/v1/clusters/c1".to_owned(), None),
        ("GET", "/v1/clustertemplates/t1".to_owned(), None),
        ("DELETE", "/v1/clustertemplates/t1".to_owned(), None),
        (
            "POST",
            format!("/v1/clusters/{id}/actions/resize"),
            Some(json!({ "node_count": 1 })),
        ),
    ];
    for (method, path, body) in cases {
        assert_eq!(
            w.call(BOB, method, &path, body).await.status,
            404,
            "{method} {path}"
        );
    }
    assert_eq!(
        w.call(BOB, "GET", "/v1/clusters", None).await.body,
        json!({ "clusters": [] })
    );
    assert_eq!(
        w.call(ADMIN, "GET", &format!("/v1/clusters/{id}"), None)
            .await
            .status,
        200
    );
    assert_eq!(
        w.call(READER, "DELETE", "/v1/clusters/c1", None)
            .await
            .status,
        403
    );
    assert_eq!(w.show(&id).await["status"], "CREATE_IN_PROGRESS");
}

#[tokio::test]
async fn bad_clusters_are_refused_and_nothing_is_made() {
    let w = Fixture::new().await;
    w.template().await;
    let cases = [
        (
            json!({ "name": "1x" }),
            400,
            "Invalid input for field/attribute name. Value: '1x'. Value should match the pattern ^[a-zA-Z][a-zA-Z0-9_.-]*$",
        ),
        (
            json!({ "node_count": -1 }),
            400,
            "Invalid input for field/attribute node_count. Value: '-1'. Value should be greater or equal to 0",
        ),
        (
            json!({ "node_count": 5000 }),
            400,
            "Invalid input for field/attribute node_count. Value: '5000'. Value should be lower or equal to 1000",
        ),
        (
            json!({ "master_count": 2 }),
            400,
            "master nodegroup size of 2 is invalid, size cannot be an even number.",
        ),
        (
            json!({ "master_count": 3 }),
            400,
            "master_count must be 1 when master_lb_enabled is False",
        ),
        (
            json!({ "keypair": "zz" }),
            404,
            "Unable to find keypair zz.",
        ),
        (
            json!({ "stack_id": "s" }),
            400,
            "Invalid input for field/attribute stack_id. Value: 's'. Cannot set read only field.",
        ),
        (
            json!({ "node_count": "x" }),
            400,
            "Invalid input for field/attribute node_count. Value: 'x'. Wrong type. Expected '<class 'int'>', got '<class 'str'>'",
        ),
    ];
    for (extra, status, text) in cases {
        let mut body = json!({ "cluster_template_id": "t1" });
        body.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        let got = w.call(ALICE, "POST", "/v1/clusters", Some(body)).await;
        assert_eq!((got.status, detail(&got)), (status, text));
    }
    assert_eq!(
        w.call(ALICE, "GET", "/v1/stats", None).await.body,
        json!({ "clusters": 0, "nodes": 0 })
    );
    let strings = json!({ "cluster_template_id": "t1", "node_count": "3", "name": "" });
    assert_eq!(
        w.call(ALICE, "POST", "/v1/clusters", Some(strings))
            .await
            .status,
        202
    );
    assert_eq!(
        w.call(ALICE, "GET", "/v1/stats", None).await.body,
        json!({ "clusters": 1, "nodes": 4 })
    );
}

#[tokio::test]
async fn patches_follow_the_rules_of_the_real_service() {
    let w = Fixture::new().await;
    let t = w.template().await;
    let path = format!("/v1/clustertemplates/{t}");
    let patch =
        |op: &str, path: &str, value: Value| json!([{ "op": op, "path": path, "value": value }]);
    let got = w
        .call(
            ALICE,
            "PATCH",
            &path,
            Some(patch("add", "/labels/x", json!("y"))),
        )
        .await;
    assert_eq!(
        (got.status, &got.body["labels"]),
        (200, &json!({ "a": "1", "x": "y" }))
    );
    let got = w
        .call(
            ALICE,
            "PATCH",
            &path,
            Some(patch("replace", "/labels", json!("{'k': 'v', 'n': None}"))),
        )
        .await;
    assert_eq!(got.status, 400);
    let got = w
        .call(
            ALICE,
            "PATCH",
            &path,
            Some(patch("replace", "/labels", json!("{'k': 'v'}"))),
        )
        .await;
    assert_eq!(got.body["labels"], json!({ "k": "v" }));
    let refused = [
        (
            json!([{ "op": "move", "path": "/name" }]),
            "Invalid input for field/attribute op. Value: 'move'. Value should be one of: add, remove, replace",
        ),
        (
            patch("replace", "/uuid", json!("x")),
            "'/uuid' is an internal attribute and can not be updated",
        ),
        (
            json!([{ "op": "remove", "path": "/coe" }]),
            "'/coe' is a mandatory attribute and can not be removed",
        ),
        (
            json!([{ "op": "replace", "path": "/name" }]),
            "'add' and 'replace' operations needs value",
        ),
        (
            patch("add", "/zzz", json!("x")),
            "Adding a new attribute /zzz to the root of the resource is not allowed.",
        ),
        (
            patch("add", "/name", json!("x")),
            "The attribute /name has existed, please use 'replace' operation instead.",
        ),
        (
            patch("replace", "/coe", json!("mesos")),
            "Requested COE type mesos is not supported.",
        ),
        (
            patch("replace", "/coe", json!("kubernetes")),
            "Network driver type docker is not supported, expecting a flannel/calico/unspecified network driver.",
        ),
    ];
    for (body, text) in refused {
        let got = w.call(ALICE, "PATCH", &path, Some(body)).await;
        assert_eq!((got.status, detail(&got)), (400, text));
    }
    let id = w
        .call(
            ALICE,
            "POST",
            "/v1/clusters",
            Some(json!({ "cluster_template_id": t })),
        )
        .await;
    let got = w
        .call(
            ALICE,
            "PATCH",
            &path,
            Some(patch("replace", "/flavor_id", json!("m1.small"))),
        )
        .await;
    assert_eq!(
        detail(&got),
        format!("ClusterTemplate {t} is referenced by one or multiple clusters.")
    );
    assert_eq!(w.call(ALICE, "DELETE", &path, None).await.status, 400);
    assert_eq!(
        w.call(
            ALICE,
            "PATCH",
            &path,
            Some(patch("replace", "/name", json!("t2")))
        )
        .await
        .status,
        200
    );
    let cluster = format!("/v1/clusters/{}", id.body["uuid"].as_str().unwrap());
    let got = w
        .call(
            ALICE,
            "PATCH",
            &cluster,
            Some(patch("add", "/labels/x", json!("y"))),
        )
        .await;
    assert_eq!(detail(&got), "cannot change cluster property(ies) labels.");
    let got = w
        .call(
            ALICE,
            "PATCH",
            &cluster,
            Some(patch("replace", "/node_count", json!(3))),
        )
        .await;
    assert_eq!(
        detail(&got),
        "Updating a cluster when status is \"CREATE_IN_PROGRESS\" is not supported."
    );
    let health = json!([{ "op": "replace", "path": "/health_status", "value": "UNHEALTHY" },
        { "op": "replace", "path": "/health_status_reason", "value": "{'api': 'ok', 'n1.Ready': 'False'}" }]);
    assert_eq!(
        w.call(ALICE, "PATCH", &cluster, Some(health)).await.status,
        202
    );
    let shown = w.call(ALICE, "GET", &cluster, None).await.body;
    assert_eq!(
        shown["health_status_reason"],
        json!({ "api": "ok", "n1.Ready": "False" })
    );
}
