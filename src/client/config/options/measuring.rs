//! Options for measuring and requests: which fields to read, and what else to observe.

use std::io::ErrorKind;

use crate::cli::{BadOption, Options, count, period};
use crate::client::config::Config;
use crate::client::config::field::Field;
use crate::client::config::limits::UNANSWERED_MAX;
use crate::client::config::options::load::rate;
use crate::client::config::template::Template;
use crate::client::config::unit::Unit;
use crate::error_text::plain;
use crate::process::Usage;

/// Reads these options into `config`; those not given keep their defaults.
pub(super) fn read(options: &mut Options, config: &mut Config) -> Result<(), BadOption> {
    let fields = &mut config.fields;
    for (name, field) in [
        ("--sent-field", &mut fields.sent),
        ("--seq-field", &mut fields.seq),
        ("--symbol-field", &mut fields.symbol),
    ] {
        if let Some(pointer) = options.value(name, Field::parse)? {
            *field = pointer;
        }
    }
    if let Some(unit) = options.value("--sent-unit", Unit::parse)? {
        fields.sent_unit = unit;
    }
    config.expect = options.value("--expect", period)?;
    config.sync = options.flag("--sync");
    config.pid = options.value("--pid", pid)?;
    read_requests(options, config)
}

fn pid(text: &str) -> Result<u32, String> {
    let pid = text.parse().ok().filter(|&pid| pid > 0);
    let pid =
        pid.ok_or_else(|| format!("invalid process id '{text}': expected a positive number"))?;
    match Usage::of(pid) {
        Ok(_) => Ok(pid),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(format!("there is no process {pid}"))
        }
        Err(error) => Err(format!("cannot read process {pid}: {}", plain(&error))),
    }
}

/// Reads the options for requests; those not given keep their defaults.
fn read_requests(options: &mut Options, config: &mut Config) -> Result<(), BadOption> {
    let id = options.value("--id-field", Field::parse)?;
    let names_id = id.is_some();
    config.fields.id = id.unwrap_or_else(|| config.fields.id.clone());
    let in_order = options.flag("--in-order");
    if let Some(text) = options.value("--request", |text| Ok(text.to_owned()))? {
        let template = Template::parse(&text, &config.fields.id, in_order);
        let named = |error| BadOption::new("--request", error);
        let template = template.map_err(named)?;
        if in_order && template.has_id() {
            let error = "the --request has a \"$id\", so replies are matched by it in any order";
            return Err(BadOption::new("--in-order", error));
        }
        config.request = Some(template);
    }
    let asks = config.request.is_some();
    let without = |name| BadOption::new(name, "only makes sense with --request");
    if let Some(rate) = options.value("--rate", |text| rate(text, "requests"))? {
        config.rate = rate;
        asks.then_some(()).ok_or_else(|| without("--rate"))?;
    }
    if let Some(outstanding) = options.value("--outstanding", outstanding)? {
        config.unanswered_max = outstanding;
        asks.then_some(()).ok_or_else(|| without("--outstanding"))?;
    }
    if names_id && !asks {
        return Err(without("--id-field"));
    }
    if names_id && in_order {
        let error = "has no effect with --in-order: neither requests nor replies have an id";
        return Err(BadOption::new("--id-field", error));
    }
    if in_order && !asks {
        return Err(without("--in-order"));
    }
    Ok(())
}

fn outstanding(text: &str) -> Result<usize, String> {
    match count(text)? {
        more if more > UNANSWERED_MAX => Err(format!(
            "invalid count '{text}': expected at most {UNANSWERED_MAX}"
        )),
        count => Ok(count),
    }
}
