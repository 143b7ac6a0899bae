//! The rules of Prometheus' text format, as far as a page of metrics can break them. It shares
//! no code with what writes the page.
#![allow(unreachable_pub, reason = "each test is a crate of its own")]

use std::collections::{BTreeMap, BTreeSet};

/// Labels, sorted.
pub type Labels = BTreeMap<String, String>;

/// A page that keeps the rules.
#[derive(Debug, Default)]
pub struct Page {
    families: Vec<Family>,
    seen: BTreeSet<(String, Labels)>,
}

#[derive(Debug, Default)]
struct Family {
    name: String,
    help: Option<String>,
    kind: Option<String>,
    samples: Vec<(String, Labels, f64)>,
}

impl Page {
    /// Reads a page of version 0.0.4.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut page = Self::default();
        let body = text.strip_suffix('\n').ok_or("no line break at the end")?;
        for line in body.split('\n') {
            let taken = match line.strip_prefix("# ") {
                Some(comment) => page.take_comment(comment),
                None => page.take_sample(line),
            };
            taken.map_err(|error| format!("{error}: {line}"))?;
        }
        let check = |family: &Family| {
            let checked = family.check();
            checked.map_err(|error| format!("{}: {error}", family.name))
        };
        page.families.iter().try_for_each(check)?;
        Ok(page)
    }

    /// The value of a sample with these labels among others; the sum if there are several.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let samples = self.families.iter().flat_map(|family| &family.samples);
        let wanted = samples.filter(|(sample, has, _)| {
            let mut labels = labels.iter();
            sample == name
                && labels.all(|(key, value)| has.get(*key).is_some_and(|given| given == value))
        });
        let values: Vec<_> = wanted.map(|(_, _, value)| value).collect();
        assert!(!values.is_empty(), "no {name} with {labels:?}");
        values.into_iter().sum()
    }

    fn take_comment(&mut self, comment: &str) -> Result<(), String> {
        let mut words = comment.splitn(3, ' ');
        let (what, name) = (
            words.next(),
            words.next().ok_or("a comment that says nothing")?,
        );
        let text = words.next().unwrap_or_default();
        if !is_name(name, true) {
            return Err("not a name".to_owned());
        }
        let family = self.family(name)?;
        match what {
            Some("HELP") if text.trim().is_empty() => Err("no help".to_owned()),
            Some("HELP") => once(&mut family.help, text),
            Some("TYPE") => once(&mut family.kind, text),
            _ => Err("an unknown comment".to_owned()),
        }
    }

    /// The current family, or a new one: an earlier one must not come back.
    fn family(&mut self, name: &str) -> Result<&mut Family, String> {
        let known = self.families.iter().position(|family| family.name == name);
        let last = self.families.len().wrapping_sub(1);
        match known {
            Some(index) if index != last || !self.families[index].samples.is_empty() => {
                return Err("this family was before".to_owned());
            }
            Some(_) => {}
            None => self.families.push(Family {
                name: name.to_owned(),
                ..Family::default()
            }),
        }
        self.families.last_mut().ok_or_else(String::new)
    }

    fn take_sample(&mut self, line: &str) -> Result<(), String> {
        let end = line.find(['{', ' ']).ok_or("no value")?;
        let (name, rest) = line.split_at(end);
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (Labels::new(), rest),
        };
        let value = value.strip_prefix(' ').ok_or("no space before the value")?;
        let value: f64 = value.parse().map_err(|_| "not a number")?;
        let family = self
            .families
            .last_mut()
            .ok_or("a sample without a family")?;
        let suffix = name.strip_prefix(family.name.as_str());
        let kind = family.kind.as_deref().unwrap_or_default();
        let fits = match kind {
            "counter" => suffix == Some("") && name.ends_with("_total"),
            "gauge" => suffix == Some("") && !name.ends_with("_total"),
            "histogram" => matches!(suffix, Some("_sum" | "_count" | "_bucket")),
            _ => false,
        };
        if !fits || !is_name(name, true) {
            return Err(format!("no sample of {kind} {}", family.name));
        }
        if !self.seen.insert((name.to_owned(), labels.clone())) {
            return Err("it was before".to_owned());
        }
        family.samples.push((name.to_owned(), labels, value));
        Ok(())
    }
}

impl Family {
    fn check(&self) -> Result<(), String> {
        if self.help.is_none() || self.kind.is_none() {
            return Err("no help or no type".to_owned());
        }
        let not_base = [
            "milliseconds",
            "microseconds",
            "_ms",
            "_us",
            "kilobytes",
            "minutes",
        ];
        if not_base.iter().any(|unit| self.name.contains(unit)) {
            return Err("not in base units".to_owned());
        }
        if self.kind.as_deref() == Some("counter") {
            let is_count = |value: f64| value >= 0.0 && value.is_finite();
            if !self.samples.iter().all(|(.., value)| is_count(*value)) {
                return Err("not a count".to_owned());
            }
        }
        if self.kind.as_deref() == Some("histogram") {
            self.check_histogram()?;
        }
        Ok(())
    }

    /// Each series has ascending bounds, counts that do not fall, and all of them at the end.
    fn check_histogram(&self) -> Result<(), String> {
        let mut series: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
        for (name, labels, value) in &self.samples {
            let mut labels = labels.clone();
            let bound = labels.remove("le");
            if name.ends_with("_bucket") != bound.is_some() {
                return Err("le belongs to buckets".to_owned());
            }
            let buckets = series.entry(labels).or_default();
            let bound: Option<Result<f64, _>> = bound.map(|bound| bound.parse());
            if let Some(bound) = bound {
                buckets.push((bound.map_err(|_| "a bound that is no number")?, *value));
            }
        }
        for (labels, buckets) in &series {
            let ascending = buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1);
            let of = |suffix: &str| {
                let name = format!("{}{suffix}", self.name);
                let found = self
                    .samples
                    .iter()
                    .find(|sample| sample.0 == name && sample.1 == *labels);
                found.map(|(.., value)| *value).ok_or("no sum or no count")
            };
            let all = Some((f64::INFINITY, of("_count")?));
            if !ascending || buckets.last().copied() != all || of("_sum")? < 0.0 {
                return Err(format!("no distribution of {labels:?}"));
            }
        }
        Ok(())
    }
}

fn once(place: &mut Option<String>, text: &str) -> Result<(), String> {
    match place.replace(text.to_owned()) {
        None => Ok(()),
        Some(_) => Err("said twice".to_owned()),
    }
}

/// Labels up to their closing brace, and what follows.
fn labels(mut text: &str) -> Result<(Labels, &str), String> {
    let mut labels = Labels::new();
    while !text.starts_with('}') {
        let (name, rest) = text.split_once("=\"").ok_or("no label")?;
        let (value, rest) = value(rest)?;
        if !is_name(name, false) || labels.insert(name.to_owned(), value).is_some() {
            return Err(format!("the label {name}"));
        }
        text = match rest.strip_prefix(',') {
            Some(rest) => rest,
            None if rest.starts_with('}') => rest,
            None => return Err("what follows a label".to_owned()),
        };
    }
    Ok((labels, &text[1..]))
}

/// A value up to its closing quote, without its escapes, and what follows.
fn value(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => value.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, c @ ('\\' | '"'))) => c,
                _ => return Err("an unknown escape".to_owned()),
            }),
            c => value.push(c),
        }
    }
    Err("a label without an end".to_owned())
}

fn is_name(name: &str, of_metric: bool) -> bool {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_' || (of_metric && c == ':');
    name.starts_with(is_first) && name.chars().all(|c| is_first(c) || c.is_ascii_digit())
}
