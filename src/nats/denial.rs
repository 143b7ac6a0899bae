//! A right that the server says we do not have.

use std::fmt;

/// What we may not do at which subject. Its text is what one would say of the user that we are:
/// "may not publish to prices.key".
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Denial {
    pub(crate) right: Right,
    pub(crate) subject: String,
}

/// What permissions are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Right {
    Publish,
    Subscribe,
}

impl Denial {
    /// Reads the server's complaint, such as `Permissions Violation for Publish to "prices.key"`;
    /// `None` if it is about something else.
    pub(super) fn read(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let right = if lower.starts_with("permissions violation for publish to ") {
            Right::Publish
        } else if lower.starts_with("permissions violation for subscription to ") {
            Right::Subscribe
        } else {
            return None;
        };
        let (_, quoted) = text.split_once('"')?;
        let (subject, _) = quoted.split_once('"')?;
        Some(Self {
            right,
            subject: subject.to_owned(),
        })
    }
}

impl Right {
    /// What the permissions of a user call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "may not {} to {}", self.right.name(), self.subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_about_permissions_names_the_right_and_the_subject() {
        for (text, shown) in [
            (
                "Permissions Violation for Publish to \"prices.key\"",
                "may not publish to prices.key",
            ),
            (
                "Permissions Violation for Subscription to \"prices.live.>\"",
                "may not subscribe to prices.live.>",
            ),
            (
                "permissions violation for subscription to \"a\" using queue \"b\"",
                "may not subscribe to a",
            ),
        ] {
            let denial = Denial::read(text).map(|denial| denial.to_string());
            assert_eq!(denial.as_deref(), Some(shown));
        }
    }

    #[test]
    fn other_complaints_are_about_no_right() {
        for text in [
            "Permissions Violation for Publish to a",
            "Permissions Violation for Publish to \"a",
            "Permissions Violation for Publish with Reply of \"a\"",
            "Invalid Subject",
            "",
        ] {
            assert_eq!(Denial::read(text), None, "{text}");
        }
    }
}
