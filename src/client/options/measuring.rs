//! The options about the measuring: what of a message is read, and what else is looked at.

use super::Config;
use crate::options::{BadOption, Options};
use crate::usage::Usage;

/// Reads them into `config`; those not given stay as they are.
pub(super) fn read(options: &mut Options, config: &mut Config) -> Result<(), BadOption> {
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
