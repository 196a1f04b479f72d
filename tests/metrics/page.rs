//! A strict reader of the text format: what it takes, a scraper takes.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{Proxy, Response};

/// A page of metrics.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) families: BTreeMap<String, Family>,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) help: String,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// With `_bucket`, `_sum` or `_count` where the family is a histogram.
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

impl Page {
    /// What a proxy without a token says.
    #[track_caller]
    pub(crate) fn of(proxy: &Proxy) -> Self {
        let response = ask(proxy, "");
        assert_eq!(response.status, 200, "{response:?}");
        Self::read(&response.text())
    }

    /// # Panics
    /// If anything of it is not as it should be.
    #[track_caller]
    pub(crate) fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end");
        let (mut page, mut current) = (Self::default(), String::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a help text");
                name.clone_into(&mut current);
                let family = Family { help: help.to_owned(), ..Family::default() };
                assert!(page.families.insert(current.clone(), family).is_none(), "{name} comes twice");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                assert_eq!(name, current, "the type of another family");
                kind.clone_into(&mut page.families.get_mut(name).unwrap().kind);
            } else {
                let sample = Sample::read(line);
                let family = page.families.get_mut(&current).unwrap();
                assert!(sample.is_of(&current, &family.kind), "{line:?} in the family {current}");
                family.samples.push(sample);
            }
        }
        page.check();
        page
    }

    fn check(&self) {
        let mut seen = BTreeSet::new();
        for (name, family) in &self.families {
            assert!(!family.samples.is_empty() && !family.help.is_empty(), "{name} is empty");
            match family.kind.as_str() {
                "counter" => assert!(name.ends_with("_total"), "{name} is a counter"),
                "gauge" => assert!(!name.ends_with("_total"), "{name} is a gauge"),
                "histogram" => assert!(name.ends_with("_seconds"), "{name} is of times"),
                other => panic!("{name} is a {other}"),
            }
            for sample in &family.samples {
                assert!(seen.insert((&sample.name, &sample.labels)), "{sample:?} comes twice");
            }
        }
    }

    /// All series.
    pub(crate) fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.families.values().flat_map(|family| &family.samples)
    }

    /// The sum of all series of this name that have these labels, written `a=b,c=d`.
    #[track_caller]
    pub(crate) fn sum(&self, name: &str, labels: &str) -> f64 {
        let wanted: Vec<_> = labels.split(',').filter_map(|pair| pair.split_once('=')).collect();
        let fits = |sample: &&Sample| {
            sample.name == name
                && wanted.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|it| it == value))
        };
        let found: Vec<_> = self.samples().filter(fits).map(|sample| sample.value).collect();
        assert!(!found.is_empty(), "there is no {name}{{{labels}}}");
        found.into_iter().sum()
    }

    /// The same, where it is a whole number.
    #[track_caller]
    pub(crate) fn count(&self, name: &str, labels: &str) -> u64 {
        let sum = self.sum(name, labels);
        assert!(sum >= 0.0 && sum.fract() == 0.0, "{name}{{{labels}}} is {sum}");
        sum as u64
    }

    /// Every name that can be asked for, with the labels it has.
    pub(crate) fn names(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut names = BTreeMap::<_, BTreeSet<String>>::new();
        for sample in self.samples() {
            names.entry(sample.name.clone()).or_default().extend(sample.labels.keys().cloned());
        }
        names
    }
}

impl Sample {
    fn read(line: &str) -> Self {
        let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("not a sample: {line:?}"));
        let name = line[..end].to_owned();
        assert!(name.starts_with("homing_") || name.starts_with("process_"), "{name}");
        let (labels, value) = match line[end..].strip_prefix('{') {
            Some(rest) => {
                let (labels, value) = rest.rsplit_once("} ").expect("an end of the labels");
                (read_labels(labels), value)
            }
            None => (BTreeMap::new(), &line[end + 1..]),
        };
        Self { name, labels, value: value.parse().unwrap_or_else(|_| panic!("not a number: {line:?}")) }
    }

    fn is_of(&self, family: &str, kind: &str) -> bool {
        let rest = self.name.strip_prefix(family);
        match kind {
            "histogram" => rest.is_some_and(|rest| ["_bucket", "_sum", "_count"].contains(&rest)),
            _ => rest == Some(""),
        }
    }
}

/// `a="b",c="d"`, with `\\`, `\"` and `\n` in the values.
fn read_labels(text: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").expect("a label");
        let (mut value, mut octets) = (String::new(), after.char_indices());
        let end = loop {
            match octets.next().expect("an end of the value") {
                (at, '"') => break at,
                (_, '\\') => value.push(match octets.next() {
                    Some((_, 'n')) => '\n',
                    Some((_, it @ ('\\' | '"'))) => it,
                    other => panic!("escaped {other:?}"),
                }),
                (_, other) => value.push(other),
            }
        };
        assert!(labels.insert(name.to_owned(), value).is_none(), "{name} twice in {text:?}");
        rest = &after[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    labels
}

/// Asks for the page with these fields, each ended by CRLF.
#[track_caller]
pub(crate) fn ask(proxy: &Proxy, fields: &str) -> Response {
    let request = format!("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n");
    proxy.connect_admin().send(request).response()
}
