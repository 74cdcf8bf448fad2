//! A curve as SVG. Both axes are logarithmic, so that a factor is as far anywhere.

use std::{error::Error, path::Path};

use plotters::prelude::*;

use super::Curve;

const SIZE: (u32, u32) = (720, 420);
/// Told apart also by those who do not see all colours.
const COLOURS: [RGBColor; 3] = [RGBColor(0, 90, 181), RGBColor(220, 90, 20), RGBColor(110, 110, 110)];

pub(super) fn draw(curve: &Curve, path: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
    let loads: Vec<f64> = curve.loads.iter().map(|&load| load as f64).collect();
    let (low, high) = bounds(curve.lines.iter().flat_map(super::Line::medians));
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(curve.title, ("sans-serif", 16))
        .margin(14)
        .margin_right(32)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(
            (loads[0]..loads[loads.len() - 1]).log_scale().with_key_points(loads.clone()),
            (low..high).log_scale().with_key_points(ticks(low, high)),
        )?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .x_desc(curve.load)
        .y_desc(curve.unit)
        .x_label_formatter(&|load| (curve.write)(*load as usize))
        .y_label_formatter(&|figure| short(*figure))
        .draw()?;
    for (line, colour) in curve.lines.iter().zip(COLOURS) {
        let points: Vec<_> = loads.iter().copied().zip(line.medians()).collect();
        let dots = points.iter().map(|&point| Circle::new(point, 3, colour.filled()));
        chart.draw_series(dots)?;
        let stroke = colour.stroke_width(2);
        chart
            .draw_series(LineSeries::new(points, stroke))?
            .label(line.system)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], stroke));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE)
        .border_style(BLACK.mix(0.3))
        .draw()?;
    root.present()?;
    Ok(())
}

/// A little more than the figures need.
fn bounds(figures: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = figures
        .fold((f64::MAX, f64::MIN_POSITIVE), |(low, high), figure| (low.min(figure), high.max(figure)));
    (low / 1.5, high * 1.5)
}

/// 1, 2 and 5 of every decade within the bounds; of many decades, only 1, and within one, more.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let steps: &[f64] = match high / low {
        1e3.. => &[1.0],
        10.0.. => &[1.0, 2.0, 5.0],
        _ => &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
    };
    let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let all = decades.flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)));
    all.filter(|tick| (low..=high).contains(tick)).collect()
}

fn short(figure: f64) -> String {
    match figure {
        1e6.. => format!("{} M", figure / 1e6),
        1e3.. => format!("{} k", figure / 1e3),
        _ => figure.to_string(),
    }
}
