//! The figures as a picture: throughput against callers, and percentiles of latency. It does not measure.

use plotters::prelude::*;
use std::path::Path;

/// A line of a chart: its name and points.
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// Writes both charts beside each other into an SVG file.
pub fn write(path: &Path, throughput: &[Line], latency: &[Line]) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::new(path, (1280, 560)).into_drawing_area();
    area.fill(&WHITE)?;
    let (left, right) = area.split_horizontally(640);
    chart(&left, "Durable submissions per second", "callers", throughput)?;
    chart(&right, "Latency of a submission in µs", "percentile", latency)?;
    Ok(area.present()?)
}

/// Colours that are told apart, also by those who see few, and are strong enough on white.
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 135, 98), RGBColor(150, 80, 130)];

/// From one column to the next.
const APART: i32 = 100;

/// What stands across is spaced evenly, whatever its numbers are: they are few, and grow by factors or crowd at an end.
fn chart(
    area: &DrawingArea<SVGBackend, plotters::coord::Shift>,
    title: &str,
    across: &str,
    lines: &[Line],
) -> Result<(), Box<dyn std::error::Error>> {
    let points = || lines.iter().flat_map(|line| line.points.iter());
    let mut columns: Vec<f64> = points().map(|point| point.0).collect();
    columns.sort_by(f64::total_cmp);
    columns.dedup();
    let place = |across: f64| APART * columns.partition_point(|column| *column < across) as i32;
    let least = points().map(|point| point.1).fold(f64::MAX, f64::min).max(1.0) * 0.8;
    let most = points().map(|point| point.1).fold(least, f64::max);
    // The names of the lines stand above them all.
    let top = most * (most / least).powf(0.35);
    let (end, places) = (place(f64::MAX) - APART, columns.iter().map(|column| place(*column)).collect::<Vec<_>>());
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(
            (-APART / 8..end + APART / 8).with_key_points(places),
            (least..top).log_scale().with_key_points(round_numbers(least, top)),
        )?;
    let column = |at: &i32| columns.get((at / APART) as usize).map(|column| format!("{column:.0}"));
    chart
        .configure_mesh()
        .x_desc(across)
        .label_style(("sans-serif", 13))
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&|at| column(at).unwrap_or_default())
        .y_label_formatter(&|figure| crate::report::shown(*figure))
        .draw()?;
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let points = line.points.iter().map(|(across, figure)| (place(*across), *figure));
        let drawn = chart.draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(3))?;
        drawn.label(&line.name).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(BLACK.mix(0.3))
        .label_font(("sans-serif", 13))
        .draw()?;
    Ok(())
}

/// 1, 2 and 5 times the powers of ten in the range.
fn round_numbers(least: f64, most: f64) -> Vec<f64> {
    let powers = (0..12).map(|power| 10f64.powi(power));
    let numbers = powers.flat_map(|power| [power, 2.0 * power, 5.0 * power]);
    numbers.filter(|number| (least..=most).contains(number)).collect()
}
