//! YAML with positions and the intrinsic functions of HOT templates.
