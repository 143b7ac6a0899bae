use super::*;
use crate::client::report::percentiles::CurvePoint;
use crate::client::report::tests::{interval, sample, with_requests, with_schedule};

#[test]
fn compared_runs_share_one_chart() {
    let mut report = sample();
    report.intervals = vec![
        interval(0, &[100]),
        interval(1, &[]),
        interval(2, &[300, 400]),
    ];
    let before = Report::from_json(report.to_json().as_bytes()).unwrap();
    let svg = draw(&[("this run", &report), ("before <&> after", &before)]).unwrap();
    assert!(
        svg.starts_with("<svg ") && svg.ends_with("</svg>\n"),
        "{svg}"
    );
    for text in [
        "this run",
        "before &lt;&amp;&gt; after",
        "99.99 %",
        "Latency in ms",
    ] {
        assert!(svg.contains(text), "{text}: {svg}");
    }
    assert_eq!(
        svg.matches("<circle").count(),
        12,
        "two pieces of one second, three lines"
    );
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
}

#[test]
fn lateness_and_replies_have_their_own_curves() {
    let mut report = with_requests(with_schedule(sample()));
    let mut second = interval(0, &[100]);
    second.lateness_us = Some(interval(0, &[2_000_000]).delivery_us);
    second.reply_us = Some(interval(0, &[300]).delivery_us);
    report.intervals = vec![second];
    let before = Report::from_json(report.to_json().as_bytes()).unwrap();
    let svg = draw(&[("this run", &report), ("before", &before)]).unwrap();
    for text in [
        "stamp, lateness against schedule, replies since due",
        "this run: deliveries",
        "this run: lateness",
        "this run: replies",
        "before: replies",
    ] {
        assert!(svg.contains(text), "{text}: {svg}");
    }
    assert_eq!(svg.matches("<circle").count(), 18, "a second, six curves");
    // Ticks without a stamp have no deliveries to draw.
    report.delivery_curve.clear();
    let svg = draw(&[("this run", &report)]).unwrap();
    assert!(!svg.contains("eliveries"), "{svg}");
    assert!(svg.contains("this run: lateness"), "{svg}");
}

#[test]
fn all_runs_differ_in_colour_or_dashes() {
    let mut looks: Vec<_> = (0..3 * RUNS_MAX)
        .map(|curve| (COLOURS[curve % COLOURS.len()].rgb(), dash(curve)))
        .collect();
    looks.sort_unstable();
    looks.dedup();
    assert_eq!(looks.len(), 3 * RUNS_MAX);
    let report = with_requests(with_schedule(sample()));
    let runs = vec![("this run", &report); RUNS_MAX];
    assert_eq!(draw(&runs).unwrap().matches(": replies").count(), RUNS_MAX);
}

#[test]
fn few_or_no_samples_can_be_drawn() {
    let mut report = sample();
    report.intervals = vec![interval(0, &[0])];
    report.delivery_us.count = 1;
    report.delivery_curve = vec![CurvePoint {
        quantile: 1.0,
        us: 0,
    }];
    let svg = draw(&[("this run", &report)]).unwrap();
    assert!(
        svg.contains("Latency in µs") && !svg.contains("NaN"),
        "{svg}"
    );
    report.delivery_curve.clear();
    report.intervals.clear();
    report.delivery_us.count = 0;
    let svg = draw(&[("this run", &report)]).unwrap();
    assert!(svg.contains("nothing was measured"), "{svg}");
}

#[test]
fn a_huge_range_has_a_labelled_logarithmic_axis() {
    let mut report = sample();
    report.delivery_curve[0].quantile = 0.5;
    report.delivery_curve[0].us = 100;
    report.delivery_curve[1].us = 59_000_000;
    let svg = draw(&[("this run", &report)]).unwrap();
    assert!(
        svg.contains("Latency, logarithmic") && svg.contains("10 s"),
        "{svg}"
    );
}

#[test]
fn long_names_are_shortened() {
    assert_eq!(shortened("short"), "short");
    let cut = shortened(&"µ".repeat(100));
    assert_eq!(cut.chars().count(), LABEL_LENGTH_MAX);
    assert!(shortened(&format!("{}-2", "x".repeat(99))).ends_with("x-2"));
}
