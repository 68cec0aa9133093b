//! The page of `cnnkit run`: outputs, scores, layers, and measurements beside predictions.

use super::{RunLayer, RunOutput, RunScore, RunSummary};
use crate::{Block, Cell, Column, Fact, Page, Row, Table, Value};
use cnnkit_core::analysis::totals::FLOPS_PER_MAC;
use cnnkit_core::number;
use cnnkit_core::shape::Shape;

/// Returns the page.
pub fn of(summary: &RunSummary) -> Page {
    let mut page = Page::default();
    let inputs: Vec<String> = summary.inputs.iter().map(Shape::to_string).collect();
    page.title_with(
        &summary.name,
        format!("run on input {}, batch {}, f32", inputs.join(" and "), summary.batch),
    );
    page.table(outputs(&summary.outputs));
    if !summary.scores.is_empty() {
        page.title("largest of the first output, first image");
        page.table(scores(&summary.scores));
    }
    if summary.profile {
        page.title("layers");
        page.table(layers(&summary.layers));
    }
    page.push(Block::Facts(facts(summary)));
    page.note("GFLOP/s counts 2 FLOPs for each MAC, those on padding included, and nothing else; predicted figures are those of `cnnkit params`.");
    if summary.profile && summary.layers.iter().any(|layer| layer.with.is_some()) {
        page.note("Layers without a time are computed with the layer that is named, as it writes its output; a batch norm is part of its weights.");
    }
    page
}

fn gflops(macs: u64, seconds: f64) -> f64 {
    (macs * FLOPS_PER_MAC) as f64 / seconds.max(1e-9) / 1e9
}

fn outputs(outputs: &[RunOutput]) -> Table {
    let columns = vec![
        Column::text("output"),
        Column::text("shape"),
        Column::number("min"),
        Column::number("mean"),
        Column::number("max"),
        Column::number("std"),
        Column::number("not finite"),
    ];
    let number = |value: f64| Cell::from(Value::Number(value, 6));
    let row = |output: &RunOutput| {
        Row::new(vec![
            Cell::text(&output.id),
            Cell::text(format!("{:?}", output.shape)),
            number(output.min),
            number(output.mean),
            number(output.max),
            number(output.std),
            Cell::count(output.not_finite),
        ])
    };
    Table { name: "outputs", columns, rows: outputs.iter().map(row).collect() }
}

fn scores(scores: &[RunScore]) -> Table {
    let columns = vec![Column::number("index"), Column::number("value"), Column::number("softmax")];
    let row = |score: &RunScore| {
        Row::new(vec![
            Cell::count(score.index as u64),
            Value::Number(score.value, 6).into(),
            Value::Share(score.share).into(),
        ])
    };
    Table { name: "scores", columns, rows: scores.iter().map(row).collect() }
}

fn layers(layers: &[RunLayer]) -> Table {
    let time: f64 = layers.iter().map(|layer| layer.seconds).sum();
    let columns = vec![
        Column::text("layer"),
        Column::text("kind"),
        Column::text("kernel").optional(2),
        Column::number("ms"),
        Column::number("share"),
        Column::number("MACs"),
        Column::number("GFLOP/s"),
        Column::number("alive").optional(1),
    ];
    let row = |layer: &RunLayer| {
        let (macs, alone) = (layer.macs, layer.with.is_none());
        let share = layer.seconds / time.max(1e-9);
        let rate =
            if macs == 0 { Cell::default() } else { Value::Number(gflops(macs, layer.seconds), 2).into() };
        let kernel =
            layer.with.as_ref().map_or_else(|| layer.kernel.to_owned(), |host| format!("with {host}"));
        Row::new(vec![
            Cell::text(&layer.id),
            Cell::text(layer.op),
            Cell::text(kernel),
            if alone { Value::Number(layer.seconds * 1e3, 3).into() } else { Cell::default() },
            if alone { Value::Share(share).into() } else { Cell::default() },
            if macs == 0 { Cell::default() } else { Cell::magnitude(macs) },
            rate,
            Cell::bytes(layer.alive),
        ])
    };
    Table { name: "layers", columns, rows: layers.iter().map(row).collect() }
}

/// Returns the median; of an even number of values, the larger of the two in the middle.
fn median(seconds: &[f64]) -> f64 {
    let mut times = seconds.to_vec();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn facts(summary: &RunSummary) -> Vec<Fact> {
    let (macs, memory) = (summary.macs, summary.memory);
    let time = summary.seconds.iter().copied().min_by(f64::total_cmp).unwrap_or_default();
    let runs = summary.seconds.len();
    let remark = if runs > 1 {
        format!("fastest of {runs}, median {:.1} ms", median(&summary.seconds) * 1e3)
    } else {
        "one run, the first: `--repeat` shows what later ones take".to_owned()
    };
    let (exact, bytes) = (number::grouped, number::bytes);
    let speed = gflops(macs.measured, time);
    let speed = Cell::written(format!("{speed:.2} GFLOP/s"), speed * 1e9);
    let mut facts = vec![
        Fact::new("time", Cell::written(format!("{:.1} ms", time * 1e3), time)).remark(remark),
        Fact::new("speed", speed),
        Fact::new("MACs", Cell::count(macs.measured)).remark(match macs.on_padding {
            0 => format!("predicted {}", exact(macs.predicted)),
            padding => format!(
                "predicted {}; {} done, {} skipped because they are on padding",
                exact(macs.predicted),
                exact(macs.measured - padding),
                exact(padding)
            ),
        }),
        Fact::new("kernels", Cell::text(summary.kernels)).remark(match summary.threads {
            1 => format!("{}, 1 thread", summary.instructions),
            threads => format!("{}, {threads} threads", summary.instructions),
        }),
        Fact::new("weights", Cell::bytes(memory.weights.measured)).remark(format!(
            "{} elements, predicted {}",
            exact(summary.elements),
            exact(memory.weights.predicted / 4)
        )),
        Fact::new("peak of activations", Cell::bytes(memory.peak.measured))
            .remark(format!("predicted {}", bytes(memory.peak.predicted))),
    ];
    if summary.kernels == "fast" {
        facts.push(Fact::new("buffers", Cell::bytes(memory.buffers)).remark(format!(
            "hold the activations; and {} of packed weights, {} for kernels at work",
            bytes(memory.packed_weights),
            bytes(memory.scratch)
        )));
    }
    if let Some(bytes) = memory.process {
        facts.push(
            Fact::new("process", Cell::bytes(bytes))
                .remark("most memory resident at once, the program included"),
        );
    }
    facts
}
