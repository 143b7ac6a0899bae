//! The two text formats, and which of them is asked for.
//!
//! They differ in little: in OpenMetrics a counter's family is called without the `_total` of its
//! samples, units are told, and the end is marked. What prometheus-client writes is OpenMetrics; the
//! classic format is what browsers, `promtool check metrics` and older Prometheus servers read.

use std::fmt;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

/// A text format of Prometheus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// Version 0.0.4.
    #[default]
    Classic,
    /// Version 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The one that an Accept header prefers; the classic one of equals, and where nothing fits,
    /// since somebody who cannot read it may still be told so better than by nothing.
    pub(crate) fn accepted(accept: &[u8]) -> Self {
        let accept = String::from_utf8_lossy(accept).to_ascii_lowercase();
        let (mut classic, mut open) = (0, 0);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let parameters: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
            let value = |name| parameters.iter().find(|(key, _)| key.trim() == name);
            let quality = value("q").map_or(1000, |(_, q)| thousandths(q.trim()));
            let version = value("version").map(|(_, version)| version.trim());
            match kind {
                "application/openmetrics-text" if version.is_none_or(|it| it == "1.0.0") => {
                    open = open.max(quality);
                }
                "text/plain" if version.is_none_or(|it| it == "0.0.4") => {
                    classic = classic.max(quality);
                }
                _ => {}
            }
        }
        if open > classic {
            Self::OpenMetrics
        } else {
            Self::Classic
        }
    }

    /// Its media type.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Writes out what is registered.
    pub(super) fn encode(self, registry: &Registry) -> Result<String, fmt::Error> {
        let mut out = String::with_capacity(LENGTH_USUAL);
        text::encode_registry(&mut out, registry)?;
        if self == Self::OpenMetrics {
            text::encode_eof(&mut out)?;
        }
        Ok(out)
    }
}

/// A weight of RFC 9110, section 12.4.2, in thousandths; none of what is no such.
fn thousandths(quality: &str) -> u32 {
    let quality: f32 = quality.parse().unwrap_or_default();
    (quality.clamp(0.0, 1.0) * 1000.0) as u32
}

/// A page of one symbol has about that much.
const LENGTH_USUAL: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_is_for_who_prefers_it() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,\
            application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, format) in [
            ("", Format::Classic),
            ("*/*", Format::Classic),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Classic),
            ("text/plain;version=0.0.4;q=1,*/*;q=0.1", Format::Classic),
            (
                "application/openmetrics-text; version=0.0.1",
                Format::Classic,
            ),
            (
                "application/openmetrics-text;q=0.3,text/plain",
                Format::Classic,
            ),
            ("Application/OpenMetrics-Text", Format::OpenMetrics),
            ("application/openmetrics-text;q=nan", Format::Classic),
            (prometheus_2, Format::OpenMetrics),
        ] {
            assert_eq!(Format::accepted(accept.as_bytes()), format, "{accept}");
        }
    }
}
