//! The options about the measuring: what of a message is read, and what else is looked at.

use crate::client::config::Config;
use crate::client::config::pointer::Pointer;
use crate::client::config::unit::Unit;
use crate::options::{BadOption, Options, period};
use crate::usage::Usage;

/// Reads them into `config`; those not given stay as they are.
pub(in crate::client) fn read(options: &mut Options, config: &mut Config) -> Result<(), BadOption> {
    let fields = &mut config.fields;
    for (name, field) in [
        ("--sent-field", &mut fields.sent),
        ("--seq-field", &mut fields.seq),
        ("--symbol-field", &mut fields.symbol),
    ] {
        if let Some(pointer) = options.value(name, Pointer::parse)? {
            *field = pointer;
        }
    }
    if let Some(unit) = options.value("--sent-unit", Unit::parse)? {
        fields.sent_unit = unit;
    }
    config.expect = options.value("--expect", period)?;
    config.sync = options.flag("--sync");
    config.pid = options.value("--pid", pid)?;
    Ok(())
}

fn pid(text: &str) -> Result<u32, String> {
    let pid = text.parse().ok().filter(|&pid| pid > 0);
    let pid = pid.ok_or_else(|| format!("'{text}' is no process id"))?;
    match Usage::of(pid) {
        Ok(_) => Ok(pid),
        Err(error) => Err(format!("cannot read process {pid}: {}", error.kind())),
    }
}
