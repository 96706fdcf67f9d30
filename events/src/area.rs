//! The macro that states an area's events: type name, schema version, struct.

/// The `upcast` of an area whose types are all at their first version.
pub(crate) fn first_version(_kind: &str, _from: u16, _body: serde_json::Value) -> Option<serde_json::Value> {
    None
}

/// Declares the events of one area.
///
/// `registered v1 => Registered(PatientRegistered)` under area `"patients"` is stored as type `patients.registered`,
/// schema version 1. The area's `upcast` function turns the JSON of an older version into that of the next.
macro_rules! area_events {
    ($(#[$doc:meta])* $enum:ident in $area:literal, upcast $upcast:path { $($name:literal v $version:literal => $variant:ident($body:ty),)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs, reason = "each variant's struct carries the documentation")]
        pub enum $enum { $($variant($body),)* }

        impl $enum {
            /// Type names and current schema versions of this area.
            pub const TYPES: &'static [(&'static str, u16)] = &[$((concat!($area, ".", $name), $version)),*];

            /// The stored type name.
            #[must_use]
            pub const fn type_name(&self) -> &'static str {
                match self { $(Self::$variant(_) => concat!($area, ".", $name)),* }
            }
            /// The schema version that is written today.
            #[must_use]
            pub const fn version(&self) -> u16 {
                match self { $(Self::$variant(_) => $version),* }
            }
            pub(crate) fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
                match self { $(Self::$variant(body) => serde_json::to_vec(body)),* }
            }
            pub(crate) fn from_json(kind: &str, version: u16, json: &[u8]) -> Result<Self, $crate::envelope::DecodeError> {
                match kind {
                    $($name => $crate::envelope::decode_body::<$body>(concat!($area, ".", $name), version, $version, json, $upcast).map(Self::$variant),)*
                    _ => Err($crate::envelope::DecodeError::UnknownType { kind: format!(concat!($area, ".{}"), kind) }),
                }
            }
        }
        $(impl From<$body> for $enum { fn from(body: $body) -> Self { Self::$variant(body) } })*
        $(impl From<$body> for $crate::envelope::Event { fn from(body: $body) -> Self { Self::from($enum::from(body)) } })*
    };
}
