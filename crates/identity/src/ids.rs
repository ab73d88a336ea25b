//! Ids of the objects that only this service has.

kernel::id_kinds! {
    RoleId: RoleKind = hex;
    CredentialId: CredentialKind = hex;
}
