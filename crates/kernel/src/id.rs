//! Ids of objects, with the kind of the object in their type.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids;

/// A kind of objects; its ids are [`Id`]s of this type.
pub trait IdKind: 'static {
    /// The name of the type of the ids, for debugging.
    const NAME: &'static str;

    /// A new random id in the form of the service.
    #[must_use]
    fn draw() -> String {
        ids::uuid()
    }
}

/// The id of an object of one kind. It is text in SQL and in bodies, so it reads
/// as `str`; an id of another kind is another type.
pub struct Id<K> {
    text: String,
    kind: PhantomData<fn() -> K>,
}

impl<K: IdKind> Id<K> {
    /// A new id.
    #[must_use]
    pub fn random() -> Self {
        K::draw().into()
    }
}

impl<K> Id<K> {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl<K> From<String> for Id<K> {
    fn from(text: String) -> Self {
        Self {
            text,
            kind: PhantomData,
        }
    }
}

impl<K> From<&str> for Id<K> {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl<K> From<&String> for Id<K> {
    fn from(text: &String) -> Self {
        text.clone().into()
    }
}

impl<K> From<&Id<K>> for Id<K> {
    fn from(id: &Id<K>) -> Self {
        id.clone()
    }
}

impl<K> From<Id<K>> for String {
    fn from(id: Id<K>) -> Self {
        id.text
    }
}

impl<K> From<&Id<K>> for String {
    fn from(id: &Id<K>) -> Self {
        id.text.clone()
    }
}

impl<K> Deref for Id<K> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl<K> AsRef<str> for Id<K> {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl<K> Borrow<str> for Id<K> {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        self.text.clone().into()
    }
}

/// The empty id, of an object that is not stored yet.
impl<K> Default for Id<K> {
    fn default() -> Self {
        String::new().into()
    }
}

impl<K: IdKind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", K::NAME, self.text)
    }
}

impl<K> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<K> Eq for Id<K> {}

impl<K> PartialEq<str> for Id<K> {
    fn eq(&self, other: &str) -> bool {
        self.text == other
    }
}

impl<K> PartialEq<&str> for Id<K> {
    fn eq(&self, other: &&str) -> bool {
        self.text == *other
    }
}

impl<K> PartialEq<String> for Id<K> {
    fn eq(&self, other: &String) -> bool {
        self.text == *other
    }
}

impl<K> PartialEq<Id<K>> for String {
    fn eq(&self, other: &Id<K>) -> bool {
        *self == other.text
    }
}

impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

/// As the hash of the text, because a map can be searched by `str`.
impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl<K> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de, K> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Into::into)
    }
}

/// Declares kinds of ids: `id_kinds! { ClusterId: ClusterKind; }`. With
/// `UserId: UserKind = hex;` random ids are drawn by `kernel::ids::hex`.
#[macro_export]
macro_rules! id_kinds {
    ($($(#[$meta:meta])* $id:ident: $kind:ident $(= $draw:ident)?;)*) => {$(
        #[doc = concat!("The kind of [`", stringify!($id), "`].")]
        pub enum $kind {}

        impl $crate::IdKind for $kind {
            const NAME: &'static str = stringify!($id);

            $(fn draw() -> String {
                $crate::ids::$draw()
            })?
        }

        $(#[$meta])*
        pub type $id = $crate::Id<$kind>;
    )*};
}

id_kinds! {
    /// A user of identity.
    UserId: UserKind = hex;
    /// A project of identity.
    ProjectId: ProjectKind = hex;
    /// A domain of identity.
    DomainId: DomainKind = hex;
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn an_id_is_found_and_written_as_its_text() {
        let id = UserId::from("u1");
        let users = HashMap::from([(id.clone(), 1)]);
        assert_eq!(users.get("u1"), Some(&1));
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"u1\"");
        assert_eq!(serde_json::from_str::<UserId>("\"u1\"").unwrap(), id);
        assert_eq!(
            (format!("{id}"), format!("{id:?}")),
            ("u1".into(), "UserId(u1)".into())
        );
        assert_eq!(UserId::random().len(), 32);
    }
}
