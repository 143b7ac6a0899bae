//! Structs of counters that add up, field by field: a new counter is one more word.

/// Declares a struct whose fields are all counts. It derives what it takes to travel between
/// processes, its sum (`+=`) and its difference (`-`), both saturating.
macro_rules! counters {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* $field:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: u64,)*
        }

        impl std::ops::AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                $(self.$field = self.$field.saturating_add(other.$field);)*
            }
        }

        impl std::ops::Sub for $name {
            type Output = Self;

            fn sub(self, earlier: Self) -> Self {
                Self {
                    $($field: self.$field.saturating_sub(earlier.$field),)*
                }
            }
        }
    };
}

pub(super) use counters;
