//! An HTTP request, as the exchanges' answers see it.

/// A request, including its body, which has been read.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// The authority that the request is for.
    pub(super) authority: String,
    /// The path at that authority, with the query.
    pub(super) target: String,
    /// The target as it was sent.
    pub(super) whole_target: String,
    headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let header = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.as_str())
    }
}

impl From<httparse::Request<'_, '_>> for Request {
    fn from(parsed: httparse::Request<'_, '_>) -> Self {
        let headers = parsed.headers.iter().map(|header| {
            let value = String::from_utf8_lossy(header.value).into_owned();
            (header.name.to_owned(), value)
        });
        let target = parsed.path.filter(|path| path.starts_with('/'));
        let target = target.unwrap_or("/").to_owned();
        Self {
            method: parsed.method.unwrap_or_default().to_owned(),
            authority: String::new(),
            whole_target: target.clone(),
            target,
            headers: headers.collect(),
            body: String::new(),
        }
    }
}
