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

fn chart(
    area: &DrawingArea<SVGBackend, plotters::coord::Shift>,
    title: &str,
    across: &str,
    lines: &[Line],
) -> Result<(), Box<dyn std::error::Error>> {
    let points = || lines.iter().flat_map(|line| line.points.iter());
    let most = |f: fn(&(f64, f64)) -> f64| points().map(f).fold(1.0, f64::max);
    let least = |f: fn(&(f64, f64)) -> f64| points().map(f).fold(f64::MAX, f64::min).max(1.0);
    let (x, y) = (least(|p| p.0)..most(|p| p.0) * 1.05, least(|p| p.1) * 0.8..most(|p| p.1) * 1.3);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(x.log_scale(), y.log_scale())?;
    chart.configure_mesh().x_desc(across).label_style(("sans-serif", 13)).draw()?;
    for (index, line) in lines.iter().enumerate() {
        let colour = Palette99::pick(index).to_rgba();
        let drawn =
            chart.draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)).point_size(3))?;
        drawn.label(&line.name).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .label_font(("sans-serif", 13))
        .draw()?;
    Ok(())
}
