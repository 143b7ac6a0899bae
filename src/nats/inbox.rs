//! Subjects for answers. A connection subscribes to all of its own at once, and each request has a
//! number of its own at the end.

use fastrand::Rng;

/// The subjects at which one connection expects answers.
#[derive(Clone, Debug)]
pub(crate) struct Inbox {
    /// With the dot at its end.
    prefix: String,
}

impl Inbox {
    /// One that nobody else has.
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let name: String = std::iter::repeat_with(|| rng.alphanumeric())
            .take(NAME_LENGTH)
            .collect();
        Self {
            prefix: format!("_INBOX.{name}."),
        }
    }

    /// What to subscribe to.
    pub(crate) fn filter(&self) -> String {
        format!("{}*", self.prefix)
    }

    /// Where to expect the answer to a request.
    pub(crate) fn subject(&self, request: u64) -> String {
        format!("{}{request}", self.prefix)
    }

    /// The request that a message to `subject` answers.
    pub(crate) fn request(&self, subject: &str) -> Option<u64> {
        let number = subject.strip_prefix(&self.prefix)?;
        number.parse().ok()
    }
}

/// As long as those of NATS's own clients.
const NAME_LENGTH: usize = 22;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_finds_its_request() {
        let mut rng = Rng::with_seed(1);
        let (inbox, other) = (Inbox::new(&mut rng), Inbox::new(&mut rng));
        assert_eq!(inbox.request(&inbox.subject(42)), Some(42));
        assert_eq!(other.request(&inbox.subject(42)), None);
        assert_eq!(inbox.request(&inbox.filter()), None);
        assert!(inbox.filter().starts_with("_INBOX.") && inbox.filter().ends_with(".*"));
    }
}
