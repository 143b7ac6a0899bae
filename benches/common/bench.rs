//! A bench from its command line to its exit code. Each bench adds its scenarios as methods of
//! [`Bench`].

use std::process::ExitCode;
use std::time::Instant;

use serde_json::{Value, json};

use super::process::Cores;
use super::table::Table;
use super::{Arguments, Findings, interrupted, machine, stop_on_signals};

/// The name of a scenario, and the method that measures it.
pub(crate) type Scenario = (&'static str, fn(&mut Bench));

/// The equipment and the results of a bench.
pub(crate) struct Bench {
    pub(crate) cores: Cores,
    /// Whether to measure for half the time.
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

    /// Measures the requested ones of `scenarios` and prints the results; `how` describes the
    /// method.
    pub(crate) fn measure(arguments: &Arguments, scenarios: &[Scenario], how: &str) -> ExitCode {
        stop_on_signals();
        let began = Instant::now();
        let mut bench = Self::new(arguments.quick);
        for (name, measure) in scenarios {
            if arguments.wants(name) && !interrupted() {
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
        if arguments.json {
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

/// The least that POSIX systems usually allow a process.
const DESCRIPTORS_AT_LEAST: u64 = 1024;
