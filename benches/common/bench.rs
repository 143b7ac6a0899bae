//! A bench from its command line to its exit code; the scenarios are methods of [`Bench`] that each
//! bench adds.

use std::process::ExitCode;
use std::time::Instant;

use serde_json::{Value, json};

use super::process::Cores;
use super::table::Table;
use super::{Asked, Findings, interrupted, machine, stop_on_signals};

/// A scenario's name and what it does.
pub(crate) type Scenario = (&'static str, fn(&mut Bench));

/// What is measured with, and what came of it.
pub(crate) struct Bench {
    pub(crate) cores: Cores,
    /// Half the time will do.
    pub(crate) quick: bool,
    /// How many descriptors a process may have.
    pub(crate) descriptors: usize,
    pub(crate) table: Table,
    pub(crate) findings: Findings,
}

impl Bench {
    fn new(quick: bool) -> Self {
        let mut findings = Findings::default();
        let descriptors = tickertape::process::raise_descriptor_limit();
        if let Err(error) = &descriptors {
            findings.problem(format!("the limit on descriptors stays: {error}"));
        }
        let descriptors = descriptors.unwrap_or(DESCRIPTORS_AT_LEAST);
        Self {
            cores: Cores::choose(),
            quick,
            descriptors: usize::try_from(descriptors).unwrap_or(usize::MAX),
            table: Table::default(),
            findings,
        }
    }

    /// Measures what is asked for of `scenarios` and prints it; `how` says how it was measured.
    pub(crate) fn measure(asked: &Asked, scenarios: &[Scenario], how: &str) -> ExitCode {
        stop_on_signals();
        let began = Instant::now();
        let mut bench = Self::new(asked.quick);
        for (name, measure) in scenarios {
            if asked.wants(name) && !interrupted() {
                measure(&mut bench);
            }
        }
        if interrupted() {
            bench.findings.problem("interrupted".to_owned());
        }
        println!("{}, {}; {how}", machine(), bench.cores);
        println!("{:.0} s in all", began.elapsed().as_secs_f64());
        bench.table.print();
        bench.findings.print();
        if asked.json {
            println!("{}", bench.to_json());
        }
        ExitCode::from(u8::from(!bench.findings.is_good()))
    }

    fn to_json(&self) -> Value {
        let mut report = json!({
            "machine": machine(),
            "cores": self.cores.to_string(),
            "figures": self.table.to_json(),
        });
        self.findings.add_to(&mut report);
        report
    }
}

/// What POSIX systems give every process unless told otherwise.
const DESCRIPTORS_AT_LEAST: u64 = 1024;
