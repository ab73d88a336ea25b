//! Ids of the objects of this service.

kernel::id_kinds! {
    ServerId: ServerKind;
    ImageId: ImageKind;
    FlavorId: FlavorKind;
}
