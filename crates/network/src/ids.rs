//! Ids of the objects of this service.

kernel::id_kinds! {
    NetworkId: NetworkKind;
    SubnetId: SubnetKind;
    PortId: PortKind;
    RouterId: RouterKind;
    SecurityGroupId: SecurityGroupKind;
}
