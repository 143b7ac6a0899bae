//! The options about the report: what is printed, and where it goes.

use super::Config;
use crate::options::{BadOption, Options};

/// Reads them into `config`; those not given stay as they are.
pub(super) fn read(options: &mut Options, config: &mut Config) -> Result<(), BadOption> {
    config.json = options.flag("--json");
    Ok(())
}
