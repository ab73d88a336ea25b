//! Admission plug-ins by release: an unknown plug-in makes the API server exit,
//! and old templates list such plug-ins. Pure.

use std::ops::RangeInclusive;

use super::facts::{Facts, Minor};

/// The known plug-ins with the releases that have them, from the sources of 1.35
/// and 1.36. The first and last release is given for plug-ins that were added or
/// removed since 1.20.
const KNOWN: &[(&str, RangeInclusive<Minor>)] = &[
    ("AlwaysAdmit", ALWAYS),
    ("AlwaysDeny", ALWAYS),
    ("AlwaysPullImages", ALWAYS),
    ("CertificateApproval", ALWAYS),
    ("CertificateSigning", ALWAYS),
    ("CertificateSubjectRestriction", ALWAYS),
    ("ClusterTrustBundleAttest", 27..=Minor::MAX),
    ("DefaultIngressClass", ALWAYS),
    ("DefaultStorageClass", ALWAYS),
    ("DefaultTolerationSeconds", ALWAYS),
    ("DenyEscalatingExec", 0..=20),
    ("DenyExecOnPrivileged", 0..=20),
    ("DenyServiceExternalIPs", 21..=Minor::MAX),
    ("EventRateLimit", ALWAYS),
    ("ExtendedResourceToleration", ALWAYS),
    ("ImagePolicyWebhook", ALWAYS),
    ("JobValidation", 36..=Minor::MAX),
    ("LimitPodHardAntiAffinityTopology", ALWAYS),
    ("LimitRanger", ALWAYS),
    ("MutatingAdmissionPolicy", 32..=Minor::MAX),
    ("MutatingAdmissionWebhook", ALWAYS),
    ("NamespaceAutoProvision", ALWAYS),
    ("NamespaceExists", ALWAYS),
    ("NamespaceLifecycle", ALWAYS),
    ("NodeDeclaredFeatureValidator", 35..=Minor::MAX),
    ("NodeRestriction", ALWAYS),
    ("OwnerReferencesPermissionEnforcement", ALWAYS),
    ("PersistentVolumeClaimResize", ALWAYS),
    ("PersistentVolumeLabel", 0..=30),
    ("PodGroupProtection", 36..=Minor::MAX),
    ("PodGroupWorkloadExists", 36..=Minor::MAX),
    ("PodNodeSelector", ALWAYS),
    ("PodResizeValidator", 36..=Minor::MAX),
    ("PodSecurity", 22..=Minor::MAX),
    ("PodSecurityPolicy", 0..=24),
    ("PodTolerationRestriction", ALWAYS),
    ("PodTopologyLabels", 33..=Minor::MAX),
    ("Priority", ALWAYS),
    ("ResourceQuota", ALWAYS),
    ("RuntimeClass", ALWAYS),
    ("SecurityContextDeny", 0..=29),
    ("ServiceAccount", ALWAYS),
    ("StorageObjectInUseProtection", ALWAYS),
    ("TaintNodesByCondition", ALWAYS),
    ("ValidatingAdmissionPolicy", 26..=Minor::MAX),
    ("ValidatingAdmissionWebhook", ALWAYS),
];

const ALWAYS: RangeInclusive<Minor> = 0..=Minor::MAX;
/// Always enabled, because it restricts kubelets to their own node.
const OURS: &str = "NodeRestriction";

fn knows(minor: Minor, plugin: &str) -> bool {
    KNOWN
        .iter()
        .any(|(name, releases)| *name == plugin && releases.contains(&minor))
}

/// The plug-ins in the label.
fn requested(f: &Facts) -> impl Iterator<Item = &str> {
    let list = f.plan.options.get("admission_control_list");
    let names = list.map_or("", String::as_str).split(',').map(str::trim);
    names.filter(|name| !name.is_empty())
}

/// Plug-ins enabled in addition to the defaults of the release: ours, then
/// those in the label.
pub(super) fn enabled(f: &Facts) -> String {
    let mut all = vec![OURS];
    for name in requested(f).filter(|name| knows(f.minor, name)) {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all.join(",")
}

/// Plug-ins in the label that this release does not have.
pub(crate) fn left_out(f: &Facts) -> Vec<&str> {
    requested(f).filter(|name| !knows(f.minor, name)).collect()
}
