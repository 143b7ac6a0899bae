//! Draws the charts of one or several runs as SVG: latency by percentile, and over time. They show
//! the delivery of ticks and, if a run measured them, the lateness of ticks against their schedule
//! and the latency of replies, both of which reveal a stall of the server.
//!
//! Each metric of each run has a colour, and each percentile a line style. Both panels share the
//! axis of latencies. It is linear from zero, so that heights compare, unless the longest latency
//! is so far above the usual ones that they would be a line at the bottom.

mod axis;
mod curves;

use plotters::chart::ChartContext;
use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::client::config::limits::RUNS_MAX;
use crate::client::report::Report;
use crate::client::report::metric::Metric;
use crate::client::report::plot::axis::{Axis, Unit, percent, short};
use crate::client::report::plot::curves::{Curve, Pick, curves_of};

/// Draws the runs, each with its name, the first one on top.
///
/// # Errors
/// A sentence from the drawing library.
pub fn draw(runs: &[(&str, &Report)]) -> Result<String, String> {
    let curves = runs
        .iter()
        .flat_map(|(label, report)| curves_of(label, report));
    let curves: Vec<_> = curves.collect();
    let mut svg = String::new();
    let legend_height = LEGEND_ROW * curves.len().div_ceil(LEGEND_COLUMNS) as i32;
    let height = TITLE_HEIGHT + legend_height + 2 * PANEL_HEIGHT;
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH as u32, height as u32));
        let root = root.into_drawing_area();
        paint(&root, &curves, legend_height).map_err(|error| error.to_string())?;
        root.present().map_err(|error| error.to_string())?;
    }
    Ok(svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Axis, Axis>>;
type Drawing = Result<(), Box<dyn std::error::Error>>;

fn paint(root: &Area<'_>, curves: &[Curve<'_>], legend_height: i32) -> Drawing {
    root.fill(&WHITE)?;
    let (head, panels) = root.split_vertically(TITLE_HEIGHT + legend_height);
    let style = text(20.0, &BLACK).pos(Pos::new(HPos::Left, VPos::Top));
    head.draw_text(&title(curves), &style, (LEFT, 14))?;
    legend(&head, curves)?;
    let (above, below) = panels.split_vertically(PANEL_HEIGHT);
    let scale = Scale::of(curves);
    by_percentile(&above, curves, &scale)?;
    over_time(&below, curves, &scale)
}

/// The title: the metrics in the chart, and what they count from.
fn title(curves: &[Curve<'_>]) -> String {
    let mut metrics: Vec<_> = curves.iter().map(|curve| curve.metric).collect();
    metrics.sort_unstable();
    metrics.dedup();
    if !names_metrics(curves) {
        return "Delivery latency, from the server's stamp to the read".to_owned();
    }
    let since: Vec<_> = metrics.into_iter().map(Metric::samples_since).collect();
    format!("Latency: {}", since.join(", "))
}

/// Whether there are metrics other than deliveries.
fn names_metrics(curves: &[Curve<'_>]) -> bool {
    curves.iter().any(|curve| curve.metric != Metric::Delivery)
}

/// The axis of latencies, and its unit.
struct Scale {
    axis: Option<Axis>,
    unit: Unit,
    is_logarithmic: bool,
}

impl Scale {
    /// `None` if there is no sample.
    fn of(curves: &[Curve<'_>]) -> Self {
        let all = curves.iter().flat_map(Curve::by_percentile);
        let all: Vec<_> = all.map(|(_, us)| us).collect();
        let most = all.iter().copied().reduce(f64::max);
        let least = all.iter().copied().reduce(f64::min);
        let medians = curves.iter().filter_map(Curve::median_us);
        let usual = medians.reduce(f64::min);
        let is_logarithmic = most > usual.map(|usual| usual * LINEAR_MAX);
        let axis = most.zip(least).map(|(most, least)| {
            if is_logarithmic {
                Axis::logarithmic(least, most)
            } else {
                Axis::linear(most)
            }
        });
        Self {
            unit: Unit::of_latency(most.unwrap_or(1.0)),
            axis,
            is_logarithmic,
        }
    }

    fn title(&self) -> String {
        if self.is_logarithmic {
            "Latency, logarithmic".to_owned()
        } else {
            format!("Latency in {}", self.unit.name)
        }
    }

    /// The label of a mark. On a range from µs to a minute, each label has its own unit.
    fn mark(&self, us: f64) -> String {
        if !self.is_logarithmic {
            return short(us / self.unit.size);
        }
        let unit = Unit::of_mark(us);
        format!("{} {}", short(us / unit.size), unit.name)
    }
}

fn by_percentile(area: &Area<'_>, curves: &[Curve<'_>], scale: &Scale) -> Drawing {
    let most = curves.iter().map(Curve::nines_max);
    let most = most.fold(0.0, f64::max);
    let x = Axis::percentiles(most);
    let marks = |nines: &f64| percent(*nines);
    let title = "By percentile: the share that took no longer";
    let Some(mut chart) = panel(area, title, "Percentile", (x, &marks), scale)? else {
        return Ok(());
    };
    for (i, curve) in curves.iter().enumerate().rev() {
        line(&mut chart, &curve.by_percentile(), i, style(i, 1.0, 2))?;
    }
    Ok(())
}

fn over_time(area: &Area<'_>, curves: &[Curve<'_>], scale: &Scale) -> Drawing {
    let most_s = curves.iter().map(Curve::end_s);
    let most_s = most_s.fold(0.0, f64::max).max(0.001);
    let unit = Unit::of_time(most_s);
    let marks = |s: &f64| short(s / unit.size);
    let x_title = format!("Time since the measuring began, in {}", unit.name);
    let x = Axis::time(most_s, unit);
    let title = "Over time: each second's p50 (thin), p99 (bold) and longest (pale)";
    let Some(mut chart) = panel(area, title, &x_title, (x, &marks), scale)? else {
        return Ok(());
    };
    for (i, curve) in curves.iter().enumerate().rev() {
        let lines: [(Pick, ShapeStyle); 3] = [
            (|percentiles| percentiles.max, style(i, 0.4, 1)),
            (|percentiles| percentiles.p50, style(i, 1.0, 1)),
            (|percentiles| percentiles.p99, style(i, 1.0, 2)),
        ];
        for (pick, style) in lines {
            for piece in curve.over_time(pick) {
                line(&mut chart, &piece, i, style)?;
            }
        }
    }
    Ok(())
}

/// The frame of a chart; `None` if there is no sample, which the chart then says.
fn panel<'a>(
    area: &Area<'a>,
    title: &str,
    x_title: &str,
    (x, marks): (Axis, &dyn Fn(&f64) -> String),
    scale: &Scale,
) -> Result<Option<Chart<'a>>, Box<dyn std::error::Error>> {
    let mut builder = ChartBuilder::on(area);
    let y = scale.axis.clone();
    let mut chart = builder
        .caption(title, text(16.0, &BLACK))
        .margin_left(LEFT - MARKS)
        .margin_right(40)
        .margin_bottom(10)
        .x_label_area_size(50)
        .y_label_area_size(MARKS)
        .build_cartesian_2d(x, y.clone().unwrap_or_else(|| Axis::linear(1.0)))?;
    if y.is_none() {
        let style = text(16.0, &GREY).pos(Pos::new(HPos::Center, VPos::Center));
        area.draw_text(
            "nothing was measured",
            &style,
            (WIDTH / 2, PANEL_HEIGHT / 2),
        )?;
        return Ok(None);
    }
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GREY.mix(0.25))
        .axis_style(GREY)
        .label_style(text(14.0, &BLACK))
        .x_label_formatter(marks)
        .y_label_formatter(&|us| scale.mark(*us))
        .x_desc(x_title)
        .y_desc(scale.title())
        .draw()?;
    Ok(Some(chart))
}

/// A line, or a dot if there is only one point. Curves that share a colour with an earlier one are
/// dashed.
fn line(chart: &mut Chart<'_>, points: &[(f64, f64)], curve: usize, style: ShapeStyle) -> Drawing {
    match (points, dash(curve)) {
        ([point], _) => {
            chart.draw_series([Circle::new(*point, 3, style.filled())])?;
        }
        (points, None) => {
            chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
        }
        (points, Some(dash)) => {
            let points = points.to_vec();
            chart.draw_series(DashedLineSeries::new(points, dash, GAP, style))?;
        }
    }
    Ok(())
}

/// A swatch and a name for each curve, in rows below the title.
fn legend(area: &Area<'_>, curves: &[Curve<'_>]) -> Drawing {
    let column_width = (WIDTH - LEFT) / LEGEND_COLUMNS as i32;
    for (i, curve) in curves.iter().enumerate() {
        let x = LEFT + (i % LEGEND_COLUMNS) as i32 * column_width;
        let y = TITLE_HEIGHT + (i / LEGEND_COLUMNS) as i32 * LEGEND_ROW;
        let swatch = [(x, y), (x + 24, y)];
        let swatch_style = style(i, 1.0, 3);
        match dash(i) {
            None => area.draw(&PathElement::new(swatch, swatch_style))?,
            Some(dash) => area.draw(&DashedPathElement::new(swatch, dash, GAP, swatch_style))?,
        }
        let mut label = shortened(curve.run);
        if names_metrics(curves) {
            label = format!("{label}: {}", curve.metric.samples());
        }
        let style = text(14.0, &BLACK).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw_text(&label, &style, (x + 32, y))?;
    }
    Ok(())
}

fn text<'a>(size: f64, colour: &'a RGBColor) -> TextStyle<'a> {
    // plotters divides font sizes by 1.24.
    ("sans-serif", size * 1.24).into_font().color(colour)
}

/// Shortens a long name in the middle: the names of runs mostly differ at the end.
fn shortened(label: &str) -> String {
    let characters: Vec<_> = label.chars().collect();
    if characters.len() <= LABEL_LENGTH_MAX {
        return label.to_owned();
    }
    let (head, tail) = (
        LABEL_LENGTH_MAX / 3,
        LABEL_LENGTH_MAX - LABEL_LENGTH_MAX / 3 - 1,
    );
    let head: String = characters[..head].iter().collect();
    let tail: String = characters[characters.len() - tail..].iter().collect();
    format!("{head}…{tail}")
}

/// The length of a curve's dashes in pixels; `None` if its colour is unique.
fn dash(curve: usize) -> Option<i32> {
    match curve / COLOURS.len() {
        0 => None,
        1 => Some(8),
        _ => Some(2),
    }
}

fn style(curve: usize, opacity: f64, width: u32) -> ShapeStyle {
    let colour = COLOURS[curve % COLOURS.len()];
    colour.mix(opacity).stroke_width(width)
}

/// The colours of Okabe and Ito that stand out on white; people with colour blindness can
/// distinguish them.
const COLOURS: [RGBColor; RUNS_MAX] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
];

const GREY: RGBColor = RGBColor(110, 110, 110);

/// The gap between dashes, in pixels.
const GAP: i32 = 4;

/// The axis is linear if the longest latency is at most this many times the median.
const LINEAR_MAX: f64 = 20.0;

const WIDTH: i32 = 960;
const PANEL_HEIGHT: i32 = 400;
const TITLE_HEIGHT: i32 = 56;

/// The left edge of the charts and their titles.
const LEFT: i32 = 90;

/// Space for the labels of the latency axis and its title.
const MARKS: i32 = 75;

const LEGEND_ROW: i32 = 22;
const LEGEND_COLUMNS: usize = 3;
const LABEL_LENGTH_MAX: usize = 32;

#[cfg(test)]
mod tests;
