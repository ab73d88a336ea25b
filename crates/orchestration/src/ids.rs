//! Ids of the objects of this service.

kernel::id_kinds! {
    StackId: StackKind;
    /// The row of a resource of a stack; the id of its object is its physical id.
    ResourceId: ResourceKind;
}
