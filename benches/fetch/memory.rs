//! The memory that a further exchange takes: the slope of the server's RSS over the number of
//! exchanges, so that memory used only once is not counted.

use std::time::Duration;

use exchanges::Catalogue;

use crate::Bench;
use crate::common::interrupted;
use crate::common::table::Figure;
use crate::life::{Life, Prices};
use crate::upstream::Upstream;

/// Numbers of exchanges.
const COUNTS: [usize; 3] = [1, 11, 21];

impl Bench {
    pub(crate) fn memory_per_feed(&mut self) {
        let upstream = match Upstream::start(&self.cores, Duration::ZERO) {
            Ok(upstream) => upstream,
            Err(error) => return self.findings.problem(format!("memory: {error}")),
        };
        let bytes = COUNTS.map(|count| {
            if interrupted() {
                return None;
            }
            let name = format!("memory, {count} of the exchanges");
            eprintln!("{name}");
            let resident = self.resident_with(&name, count, &upstream);
            resident
                .map_err(|error| self.findings.problem(format!("{name}: {error}")))
                .ok()
        });
        self.table.begin(
            "memory",
            format!("an exchange each by requests for one symbol, after {ANSWERS} answers of each"),
            &["1 exchange", "11", "21"],
        );
        let resident: Figure = bytes.iter().map(|bytes| Some((*bytes)? / 1e6)).collect();
        self.table
            .row("memory of the server (MB)", 2, resident, None);
        let slope = |index: usize| {
            let more = (COUNTS[index] - COUNTS[0]) as f64;
            (index > 0).then_some((bytes[index]? - bytes[0]?) / more / 1024.0)
        };
        let slopes = (0..COUNTS.len()).map(slope).collect();
        self.table
            .row("per feed and its fiber (KiB)", 1, slopes, None);
    }

    fn resident_with(
        &mut self,
        name: &str,
        count: usize,
        upstream: &Upstream,
    ) -> Result<f64, String> {
        let catalogue = Catalogue::builtin();
        let ids: Vec<_> = catalogue
            .iter()
            .map(exchanges::Exchange::id)
            .take(count)
            .collect();
        let prices = Prices::Fetched(upstream, &ids.join(","), "BTC/USDT");
        let life = Life::begin(name, prices, &self.cores)?;
        life.wait_until(|life| {
            let answers = life.answers()?;
            Ok(answers.sources == count && answers.least >= ANSWERS)
        })?;
        let bytes = life.resident_bytes()?;
        life.end(&mut self.findings)?;
        Ok(bytes as f64)
    }
}

/// How many answers of each exchange to wait for: by then, buffers have reached their size.
const ANSWERS: u64 = 4;
