//! A page of metrics on its way: samples by family, written as text in the end.

use std::collections::BTreeMap;

use prometheus::TextEncoder;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::tally::{BOUNDS, Times};

/// The text format of Prometheus, which is UTF-8.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One family of samples.
#[derive(Debug)]
pub(super) struct About {
    name: &'static str,
    kind: MetricType,
    labels: &'static [&'static str],
    help: &'static str,
}

impl About {
    /// One that only grows; its name ends with `_total`.
    pub(super) const fn counter(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind: MetricType::COUNTER, labels, help }
    }

    /// One that goes up and down.
    pub(super) const fn gauge(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind: MetricType::GAUGE, labels, help }
    }

    /// Times; its name ends with `_seconds`.
    pub(super) const fn times(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind: MetricType::HISTOGRAM, labels, help }
    }
}

/// The families told so far, by name.
#[derive(Debug, Default)]
pub(super) struct Page(BTreeMap<&'static str, (&'static About, Vec<Metric>)>);

impl Page {
    /// Adds a whole number.
    pub(super) fn count(&mut self, about: &'static About, labels: &[&str], value: u64) {
        self.number(about, labels, value as f64);
    }

    /// Adds a number.
    pub(super) fn number(&mut self, about: &'static About, labels: &[&str], value: f64) {
        let metric = self.sample(about, labels);
        if about.kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
    }

    /// Adds 1 for the one of several words that is true now, and 0 for the others. The word is the last label.
    pub(super) fn one_of(&mut self, about: &'static About, labels: &[&str], (words, now): (&[&str], &str)) {
        for word in words {
            self.count(about, &[labels, &[word]].concat(), u64::from(*word == now));
        }
    }

    /// Adds times.
    pub(super) fn times(&mut self, about: &'static About, labels: &[&str], times: &Times) {
        let mut below = 0;
        let buckets = BOUNDS.iter().zip(times.counts).map(|(bound, count)| {
            below += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound as f64 / 1e6);
            bucket.set_cumulative_count(below);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(times.counts.iter().sum());
        histogram.set_sample_sum(times.seconds());
        self.sample(about, labels).set_histogram(histogram);
    }

    fn sample(&mut self, about: &'static About, values: &[&str]) -> &mut Metric {
        debug_assert_eq!(about.labels.len(), values.len(), "{}", about.name);
        let pairs = about.labels.iter().zip(values).map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        let (_, samples) = self.0.entry(about.name).or_insert((about, Vec::new()));
        samples.push_mut(Metric::from_label(pairs.collect()))
    }

    /// All of it as text.
    pub(super) fn into_text(self) -> String {
        let families = self.0.into_values().map(|(about, samples)| {
            let mut family = MetricFamily::default();
            family.set_name(about.name.to_owned());
            family.set_help(about.help.to_owned());
            family.set_field_type(about.kind);
            family.set_metric(samples);
            family
        });
        let families: Vec<_> = families.collect();
        // It fails for a family without a sample or a name, and there is none.
        TextEncoder::new().encode_to_string(&families).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally;

    static TIMES: About = About::times("x_seconds", &["pool"], "How long.");
    static COUNT: About = About::counter("x_total", &["pool"], "How many.");

    #[test]
    fn names_are_escaped() {
        let mut page = Page::default();
        page.count(&COUNT, &["a\"b\\c\nd"], 7);
        let expected =
            "# HELP x_total How many.\n# TYPE x_total counter\nx_total{pool=\"a\\\"b\\\\c\\nd\"} 7\n";
        assert_eq!(page.into_text(), expected);
    }

    #[test]
    fn buckets_hold_those_below_them_too() {
        let histogram = tally::Histogram::default();
        for micros in [500, 1_500, 20_000_000] {
            histogram.record(micros);
        }
        let mut page = Page::default();
        page.times(&TIMES, &["app"], &Times::of([&histogram]));
        let text = page.into_text();
        for line in [
            "# TYPE x_seconds histogram",
            "x_seconds_bucket{pool=\"app\",le=\"0.001\"} 1",
            "x_seconds_bucket{pool=\"app\",le=\"0.0025\"} 2",
            "x_seconds_bucket{pool=\"app\",le=\"10\"} 2",
            "x_seconds_bucket{pool=\"app\",le=\"+Inf\"} 3",
            "x_seconds_sum{pool=\"app\"} 20.002",
            "x_seconds_count{pool=\"app\"} 3",
        ] {
            assert!(text.lines().any(|known| known == line), "no {line:?} in\n{text}");
        }
    }
}
