//! Ids of the objects of this service.

kernel::id_kinds! {
    ClusterId: ClusterKind;
    TemplateId: TemplateKind;
    GroupId: GroupKind;
    NodeId: NodeKind;
    TaskId: TaskKind;
}
