//! The time as an exchange reports it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::fault::Fault;

/// The time used throughout one answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    told_ms: u64,
    /// Whether it is so far ahead that no client should believe it.
    is_absurd: bool,
}

impl Clock {
    pub(super) fn now(fault: Fault) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.expect("later than 1970");
        let told = match fault {
            Fault::ClockAhead(by) => now + by,
            Fault::ClockBehind(by) => now.saturating_sub(by),
            _ => now,
        };
        Self {
            told_ms: u64::try_from(told.as_millis()).expect("not in this era"),
            is_absurd: told > now + AHEAD_MAX,
        }
    }

    /// The time that a client can read from messages with these templates.
    pub(super) fn stamp(self, templates: &[&str]) -> Option<u64> {
        let has = |placeholder| {
            templates
                .iter()
                .any(|template| has_hole(template, placeholder))
        };
        if self.is_absurd {
            return None;
        }
        if ["ms", "us", "ns", "iso", "naive"].into_iter().any(has) {
            Some(self.told_ms)
        } else {
            has("s").then_some(self.told_ms / 1000 * 1000)
        }
    }

    pub(super) fn placeholder(self, placeholder: &str) -> Option<String> {
        match placeholder {
            "ms" => Some(self.told_ms.to_string()),
            "s" => Some((self.told_ms / 1000).to_string()),
            "us" => Some(format!("{}000", self.told_ms)),
            "ns" => Some(format!("{}000000", self.told_ms)),
            // Nine hours east of Greenwich.
            "korea" => Some((self.told_ms + 9 * 3_600_000).to_string()),
            "iso" => Some(self.iso()),
            "naive" => Some(self.iso().trim_end_matches('Z').to_owned()),
            _ => None,
        }
    }

    fn iso(self) -> String {
        let ms = i64::try_from(self.told_ms).expect("not in this era");
        let moment = jiff::Timestamp::from_millisecond(ms);
        moment.expect("not in this era").to_string()
    }
}

/// A time that is further ahead counts as missing.
const AHEAD_MAX: Duration = Duration::from_secs(60);

fn has_hole(template: &str, placeholder: &str) -> bool {
    let mut after = template.split('$').skip(1);
    after.any(|after| {
        let rest = after.strip_prefix(placeholder);
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphabetic()))
    })
}
