//! The charts of one or several runs, as SVG: delivery latency by percentile, and over time.
//!
//! A colour is a run, the kind of line a percentile. Both panels share the axis of latencies. It is
//! linear from zero, so that heights compare, unless the longest latency is so far above the usual
//! that all else would be a line at the bottom.

mod axis;
mod run;

use plotters::chart::ChartContext;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

pub use self::run::Run;

use self::axis::{Axis, Unit, percent, short};
use self::run::Pick;

/// Draws the runs, the first one on top.
///
/// # Errors
/// A sentence from the drawing library.
pub fn draw(runs: &[Run]) -> Result<String, String> {
    let mut svg = String::new();
    let legend_height = LEGEND_ROW * runs.len().div_ceil(LEGEND_COLUMNS) as i32;
    let height = TITLE_HEIGHT + legend_height + 2 * PANEL_HEIGHT;
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH as u32, height as u32));
        let root = root.into_drawing_area();
        paint(&root, runs, legend_height).map_err(|error| error.to_string())?;
        root.present().map_err(|error| error.to_string())?;
    }
    Ok(svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Axis, Axis>>;
type Drawing = Result<(), Box<dyn std::error::Error>>;

fn paint(root: &Area<'_>, runs: &[Run], legend_height: i32) -> Drawing {
    root.fill(&WHITE)?;
    let (head, panels) = root.split_vertically(TITLE_HEIGHT + legend_height);
    let title = text(20.0, &BLACK).pos(Pos::new(HPos::Left, VPos::Top));
    head.draw_text(
        "Delivery latency, from the server's stamp to the read",
        &title,
        (LEFT, 14),
    )?;
    legend(&head, runs)?;
    let (above, below) = panels.split_vertically(PANEL_HEIGHT);
    let scale = Scale::of(runs);
    by_percentile(&above, runs, &scale)?;
    over_time(&below, runs, &scale)
}

/// The axis of latencies, and its unit.
struct Scale {
    axis: Option<Axis>,
    unit: Unit,
    is_logarithmic: bool,
}

impl Scale {
    /// None if there is nothing to draw.
    fn of(runs: &[Run]) -> Self {
        let curves: Vec<_> = runs.iter().flat_map(Run::curve).map(|(_, us)| us).collect();
        let most = curves.iter().copied().reduce(f64::max);
        let least = curves.iter().copied().reduce(f64::min);
        let usual = runs.iter().filter_map(Run::median_us).reduce(f64::min);
        let is_logarithmic = most > usual.map(|usual| usual * LINEAR_MAX);
        let axis = most.zip(least).map(|(most, least)| match is_logarithmic {
            true => Axis::logarithmic(least, most),
            false => Axis::linear(most),
        });
        Self {
            unit: Unit::of_latency(most.unwrap_or(1.0)),
            axis,
            is_logarithmic,
        }
    }

    fn title(&self) -> String {
        match self.is_logarithmic {
            true => "Latency, logarithmic".to_owned(),
            false => format!("Latency in {}", self.unit.name),
        }
    }

    /// What is written at a mark. Where it may be a µs or a minute, it says its own unit.
    fn mark(&self, us: f64) -> String {
        if !self.is_logarithmic {
            return short(us / self.unit.size);
        }
        let unit = Unit::of_mark(us);
        format!("{} {}", short(us / unit.size), unit.name)
    }
}

fn by_percentile(area: &Area<'_>, runs: &[Run], scale: &Scale) -> Drawing {
    let most = runs.iter().map(Run::nines_max).fold(0.0, f64::max);
    let x = Axis::percentiles(most);
    let marks = |nines: &f64| percent(*nines);
    let title = "By percentile: the share of deliveries that took no longer";
    let Some(mut chart) = panel(area, title, "Percentile", (x, &marks), scale)? else {
        return Ok(());
    };
    for (i, run) in runs.iter().enumerate().rev() {
        line(&mut chart, &run.curve(), colour(i).stroke_width(2))?;
    }
    Ok(())
}

fn over_time(area: &Area<'_>, runs: &[Run], scale: &Scale) -> Drawing {
    let most_s = runs.iter().map(Run::end_s).fold(0.0, f64::max).max(0.001);
    let unit = Unit::of_time(most_s);
    let marks = |s: &f64| short(s / unit.size);
    let x_title = format!("Time since the measuring began, in {}", unit.name);
    let x = Axis::time(most_s, unit);
    let title = "Over time: each second's p50 (thin), p99 (bold) and longest (pale)";
    let Some(mut chart) = panel(area, title, &x_title, (x, &marks), scale)? else {
        return Ok(());
    };
    for (i, run) in runs.iter().enumerate().rev() {
        let lines: [(Pick, ShapeStyle); 3] = [
            (|it| it.max, colour(i).mix(0.4).stroke_width(1)),
            (|it| it.p50, colour(i).stroke_width(1)),
            (|it| it.p99, colour(i).stroke_width(2)),
        ];
        for (pick, style) in lines {
            for piece in run.over_time(pick) {
                line(&mut chart, &piece, style)?;
            }
        }
    }
    Ok(())
}

/// The frame of a chart; none if there is nothing to draw in it, which it then says.
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
            "no delivery was measured",
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

/// A line, or a dot where there is only one point.
fn line(chart: &mut Chart<'_>, points: &[(f64, f64)], style: ShapeStyle) -> Drawing {
    match points {
        [point] => chart.draw_series([Circle::new(*point, 3, style.filled())])?,
        points => chart.draw_series(LineSeries::new(points.iter().copied(), style))?,
    };
    Ok(())
}

/// A swatch and a name for each run, in rows below the title.
fn legend(area: &Area<'_>, runs: &[Run]) -> Drawing {
    let column_width = (WIDTH - LEFT) / LEGEND_COLUMNS as i32;
    for (i, run) in runs.iter().enumerate() {
        let x = LEFT + (i % LEGEND_COLUMNS) as i32 * column_width;
        let y = TITLE_HEIGHT + (i / LEGEND_COLUMNS) as i32 * LEGEND_ROW;
        let swatch = vec![(x, y), (x + 24, y)];
        area.draw(&PathElement::new(swatch, colour(i).stroke_width(3)))?;
        let style = text(14.0, &BLACK).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw_text(&shortened(run.label()), &style, (x + 32, y))?;
    }
    Ok(())
}

fn text<'a>(size: f64, colour: &'a RGBColor) -> TextStyle<'a> {
    // plotters writes sizes by 1.24 smaller.
    ("sans-serif", size * 1.24).into_font().color(colour)
}

/// A name with its middle left out if it is too long: runs mostly differ in the last characters.
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

fn colour(run: usize) -> &'static RGBColor {
    &COLOURS[run % COLOURS.len()]
}

/// Those of Okabe and Ito that stand out on white: people who see fewer colours tell them apart.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
];

/// How many runs one picture takes, so that each has a colour of its own.
pub const RUNS_MAX: usize = COLOURS.len();

const GREY: RGBColor = RGBColor(110, 110, 110);

/// How many times the median the longest latency may be for a linear axis.
const LINEAR_MAX: f64 = 20.0;

const WIDTH: i32 = 960;
const PANEL_HEIGHT: i32 = 400;
const TITLE_HEIGHT: i32 = 56;

/// Where charts and what is above them begin.
const LEFT: i32 = 90;

/// Room for the latencies' marks and their title.
const MARKS: i32 = 75;

const LEGEND_ROW: i32 = 22;
const LEGEND_COLUMNS: usize = 3;
const LABEL_LENGTH_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::intervals::tests::interval;
    use crate::client::report::CurvePoint;
    use crate::client::report::tests::sample;

    #[test]
    fn a_run_and_those_it_is_compared_with_are_in_one_picture() {
        let mut report = sample();
        report.intervals = vec![
            interval(0, &[100]),
            interval(1, &[]),
            interval(2, &[300, 400]),
        ];
        let before = Run::parse("before <&> after", report.to_json().as_bytes()).unwrap();
        let svg = draw(&[Run::of(&report), before]).unwrap();
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
    fn few_or_no_samples_make_a_picture_too() {
        let mut report = sample();
        report.intervals = vec![interval(0, &[0])];
        report.delivery_us.count = 1;
        report.delivery_curve = vec![CurvePoint {
            quantile: 1.0,
            us: 0,
        }];
        let svg = draw(&[Run::of(&report)]).unwrap();
        assert!(
            svg.contains("Latency in µs") && !svg.contains("NaN"),
            "{svg}"
        );
        report.delivery_curve.clear();
        report.intervals.clear();
        report.delivery_us.count = 0;
        let svg = draw(&[Run::of(&report)]).unwrap();
        assert!(svg.contains("no delivery was measured"), "{svg}");
    }

    #[test]
    fn a_huge_range_is_logarithmic_and_says_so() {
        let mut report = sample();
        report.delivery_curve[0].quantile = 0.5;
        report.delivery_curve[0].us = 100;
        report.delivery_curve[1].us = 59_000_000;
        let svg = draw(&[Run::of(&report)]).unwrap();
        assert!(
            svg.contains("Latency, logarithmic") && svg.contains("10 s"),
            "{svg}"
        );
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(shortened("short"), "short");
        let cut = shortened(&"µ".repeat(100));
        assert_eq!(cut.chars().count(), LABEL_LENGTH_MAX);
        assert!(shortened(&format!("{}-2", "x".repeat(99))).ends_with("x-2"));
    }
}
