//! Ids of the objects that only this service has.

kernel::id_kinds! {
    RoleId: RoleKind = hex;
    GroupId: GroupKind = hex;
    ServiceId: ServiceKind = hex;
    EndpointId: EndpointKind = hex;
    CredentialId: CredentialKind = hex;
    TrustId: TrustKind = hex;
    PolicyId: PolicyKind = hex;
    EndpointGroupId: EndpointGroupKind = hex;
    ConsumerId: ConsumerKind = hex;
    AccessRuleId: AccessRuleKind = hex;
}
