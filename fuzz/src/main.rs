//! All targets in one binary, because most of them share their dependencies.
//! `JEROBOAM_FUZZ_TARGET` selects one; `./x fuzz` sets it.
#![no_main]

use std::sync::OnceLock;

type Target = fn(&[u8]);

const TARGETS: &[(&str, Target)] = &[
    ("agent_messages", nodewire::fuzz::agent_messages),
    ("agent_reports", clusters::fuzz::agent_reports),
    ("api_version", rest::fuzz::api_version),
    ("bodies", clusters::fuzz::bodies),
    ("csr", pki::fuzz::csr),
    ("fernet", identity::fuzz::fernet),
    ("hot", lang::fuzz::hot),
    ("identity_fields", identity::fuzz::identity_fields),
    ("json_body", rest::fuzz::json_body),
    ("list_query", clusters::fuzz::list_query),
    ("patch", clusters::fuzz::patch),
    ("patch_any", clusters::fuzz::patch_any),
    ("pem_text", pki::fuzz::pem_text),
    ("policy", rest::fuzz::policy),
    ("sealed", pki::fuzz::sealed),
    ("session", nodewire::fuzz::session),
    ("stack", orchestration::fuzz::stack),
    ("stored_values", clusters::fuzz::stored_values),
    ("token_request", identity::fuzz::token_request),
    ("url", rest::fuzz::url),
    ("yaml", lang::fuzz::yaml),
];

static SELECTED: OnceLock<Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let name = std::env::var("JEROBOAM_FUZZ_TARGET").unwrap_or_default();
        let found = TARGETS.iter().find(|(known, _)| *known == name);
        let (_, run) = found.unwrap_or_else(|| panic!("no target {name:?}"));
        SELECTED.get_or_init(|| *run);
    },
    |data: &[u8]| {
        if let Some(run) = SELECTED.get() {
            run(data);
        }
    }
);
