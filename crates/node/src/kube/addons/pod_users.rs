//! The admission policy that refuses pods with user namespaces, in clusters whose
//! nodes cannot start them.

use serde_json::{Value, json};

use super::metadata::meta;
use crate::kube::plan::Facts;

const NAME: &str = "pod-user-namespaces.jeroboam.io";
/// First release with `admissionregistration.k8s.io/v1` of these kinds.
const RELEASE: u16 = 30;
const MESSAGE: &str = "hostUsers: false is not possible on the nodes of this cluster, because \
    they are in user namespaces themselves (isolation level user-namespace) and Linux permits \
    no idmapped mounts there. Remove hostUsers, or use a cluster of the isolation level \
    host-root. Root in a pod of this cluster is not root on the host in either case.";

/// The policy and its binding; none if nodes can start such pods, or if the release
/// has no such policies. Without them the kubelet would try to start these pods for
/// ever.
pub(crate) fn pod_users(facts: &Facts) -> Vec<Value> {
    if !facts.in_user_namespace || facts.minor < RELEASE {
        return Vec::new();
    }
    let version = "admissionregistration.k8s.io/v1";
    vec![
        json!({
            "apiVersion": version, "kind": "ValidatingAdmissionPolicy",
            "metadata": meta(NAME, None),
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": { "resourceRules": [{
                    "apiGroups": [""], "apiVersions": ["v1"],
                    "operations": ["CREATE"], "resources": ["pods"],
                }] },
                "validations": [{
                    "expression": "!has(object.spec.hostUsers) || object.spec.hostUsers",
                    "message": MESSAGE,
                    "reason": "Invalid",
                }],
            },
        }),
        json!({
            "apiVersion": version, "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": meta(NAME, None),
            "spec": { "policyName": NAME, "validationActions": ["Deny"] },
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::plan::tests::facts;

    #[test]
    fn pods_are_refused_only_where_they_cannot_start() {
        let mut f = facts(nodewire::Role::Manager, 36);
        assert!(pod_users(&f).is_empty());
        f.in_user_namespace = true;
        let objects = pod_users(&f);
        assert_eq!(objects.len(), 2);
        assert_eq!(
            objects[0]["metadata"]["name"],
            objects[1]["spec"]["policyName"]
        );
        f.minor = 29;
        assert!(pod_users(&f).is_empty());
    }
}
