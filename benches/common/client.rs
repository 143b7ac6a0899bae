//! Runs of the project's own load client.

use std::time::Duration;

use serde_json::Value;

use super::Findings;
use super::process::{Cores, Guard, Service};

/// The load of the client, and the interval of the server's ticks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) clients: usize,
    pub(crate) interval: Duration,
    pub(crate) warmup: Duration,
    pub(crate) duration: Duration,
}

impl Load {
    /// Runs the client against `server` and returns its report. Its warnings and errors are noted
    /// under `name`. Meanwhile `watch` is called repeatedly.
    pub(crate) fn run(
        &self,
        name: &str,
        server: &Service,
        cores: &Cores,
        findings: &mut Findings,
        watch: impl FnMut(),
    ) -> Result<Value, String> {
        let mut client = Guard::start(cores.client(env!("CARGO_BIN_EXE_client")).args([
            "--json",
            "--url",
            &format!("ws://{}/", server.address),
            "--pid",
            &server.pid().to_string(),
            "--clients",
            &self.clients.to_string(),
            "--warmup",
            &format!("{}ms", self.warmup.as_millis()),
            "--duration",
            &format!("{}ms", self.duration.as_millis()),
        ]))?;
        let limit = self.warmup + self.duration + CLIENT_LIMIT;
        let (out, errors) = client
            .finish(limit, watch)
            .map_err(|error| format!("the client: {error}"))?;
        let report: Value = serde_json::from_str(&out)
            .map_err(|_| format!("the client has no report: {}", errors.trim()))?;
        self.judge(name, &report, findings);
        Ok(report)
    }

    /// Notes the client's warnings and errors. Its exit status adds no information, and a missing
    /// tick is right if none was due.
    fn judge(&self, name: &str, report: &Value, findings: &mut Findings) {
        let is_silent = self.duration < self.interval;
        let kinds = report.pointer("/errors/kinds").and_then(Value::as_object);
        for (kind, count) in kinds.into_iter().flatten() {
            if !(is_silent && kind == "no tick") {
                findings.problem(format!("{name}: {count} times {kind}"));
            }
        }
        if report.get("server").is_none_or(Value::is_null) {
            findings.problem(format!("{name}: its CPU time is not known"));
        }
        let warnings = report.get("warnings").and_then(Value::as_array);
        for warning in warnings.into_iter().flatten().filter_map(Value::as_str) {
            // The remedies are for people who chose the load themselves.
            let (warning, _) = warning.split_once(": try ").unwrap_or((warning, ""));
            findings.note(format!("{name}: {warning}"));
        }
    }
}

/// Time for joining, closing and delays.
const CLIENT_LIMIT: Duration = Duration::from_secs(30);
