//! The page of `cnnkit train`.

use super::{Pass, TrainCheckpoint, TrainLayer, TrainSummary};
use crate::{Block, Cell, Column, Fact, Page, Row, StyledText, Table, Tone, Value};
use cnnkit_core::analysis::memory::Dtype;
use cnnkit_core::analysis::training::optimizer::Optimizer;
use cnnkit_core::analysis::training::{AttentionKernel, MOST_IMAGES};
use cnnkit_core::number;

/// Maximum number of segments that people read.
const MOST_SEGMENTS: usize = 8;

/// Returns the page of one network.
pub fn of(summary: &TrainSummary) -> Page {
    let mut page = Page::default();
    let (dtype, optimizer) = (dtype(summary.dtype), optimizer(summary.algorithm));
    page.title_with(&summary.name, format!("training, batch {}, {dtype}, {optimizer}", summary.batch));
    page.table(layers(summary));
    page.push(Block::Facts(facts(summary)));
    if let Some(import) = &summary.import {
        import.explain(&mut page);
    }
    if summary.attends {
        let (other, option) = match summary.attention {
            AttentionKernel::Math => ("a fused kernel", "--attention fused"),
            AttentionKernel::Fused => ("separate products and a softmax", "--attention math"),
        };
        page.text(format!(
            "With attention by {other}, {} are kept: {option}.",
            number::bytes(summary.other_attention)
        ));
    }
    bounds(&mut page, summary);
    checkpoint(&mut page, summary);
    page
}

/// Lists why what is kept is not exact.
fn bounds(page: &mut Page, summary: &TrainSummary) {
    if summary.bounds.is_empty() {
        return;
    }
    page.push(Block::Text(vec![
        StyledText::new("A bound", Tone::Warn),
        StyledText::plain(": what PyTorch keeps, the total and the peak are not exact"),
    ]));
    let lines = summary
        .bounds
        .iter()
        .map(|bound| (bound.id.as_deref().unwrap_or(&summary.name), String::new(), bound.reason.clone()));
    crate::blocker::first(page, lines);
}

fn dtype(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F32 => "f32",
        Dtype::F16 => "f16 with f32 master weights",
        Dtype::Bf16 => "bf16 with f32 master weights",
        Dtype::I8 => "i8",
    }
}

fn optimizer(optimizer: Optimizer) -> &'static str {
    match optimizer {
        Optimizer::Sgd => "SGD",
        Optimizer::Momentum => "SGD with momentum",
        Optimizer::Adam => "Adam",
        Optimizer::Adamw => "AdamW",
        Optimizer::Adam8bit => "8-bit Adam",
        Optimizer::Adafactor => "Adafactor",
    }
}

/// Returns the layers that keep the most, and for programs all others.
fn layers(summary: &TrainSummary) -> Table {
    let mut table = Table {
        name: "layers",
        columns: vec![
            Column::text("id"),
            Column::text("layer").optional(2),
            Column::number("kept"),
            Column::number("%").key("share").optional(1),
            Column::text("tensors").optional(3),
            Column::number("backward MACs").key("backward_macs").optional(4),
        ],
        rows: vec![],
    };
    let mut order: Vec<&TrainLayer> = summary.layers.iter().collect();
    order.sort_by_key(|layer| std::cmp::Reverse(layer.kept));
    let keeping = order.iter().filter(|layer| layer.kept > 0).count();
    for (index, layer) in order.into_iter().enumerate() {
        let cells = vec![
            Cell::toned(&layer.id, Tone::Name),
            Cell::text(layer.op),
            Cell::bytes(layer.kept),
            Cell::share(layer.kept, summary.kept.torch),
            Cell::text(tensors(layer)),
            Cell::magnitude(layer.backward_macs),
        ];
        let hidden = index >= summary.top || layer.kept == 0;
        table.rows.push(Row { hidden, ..Row::new(cells) });
    }
    let more = keeping.saturating_sub(summary.top);
    if more > 0 {
        let cells = vec![Cell::toned(format!("... {more} more"), Tone::Quiet)];
        table.rows.push(Row { cells, summary: true, ..Row::default() });
    }
    table.rows.push(Row::total(vec![
        Cell::toned("total", Tone::Strong),
        Cell::default(),
        Cell::bytes(summary.kept.torch).tone(Tone::Strong),
        Cell::default(),
        Cell::default(),
        Cell::magnitude(summary.backward_macs).tone(Tone::Strong),
    ]));
    table
}

/// Formats `input, indices`: what a layer keeps and no earlier one.
fn tensors(layer: &TrainLayer) -> String {
    let own = layer.tensors.iter().filter(|tensor| !tensor.shared);
    own.map(|tensor| tensor.what.as_str()).collect::<Vec<_>>().join(", ")
}

fn facts(summary: &TrainSummary) -> Vec<Fact> {
    let bytes = |name: &str, bytes: u64| Fact::new(name, Value::Bytes(bytes));
    let mut facts = vec![bytes("parameters", summary.parameters)];
    if summary.buffers > 0 {
        facts.push(bytes("buffers", summary.buffers));
    }
    if summary.master_weights > 0 {
        facts.push(
            bytes("master weights", summary.master_weights).remark("f32 copies of the trained parameters"),
        );
    }
    let trained = if summary.frozen.is_empty() {
        String::new()
    } else {
        format!("frozen: {}", summary.frozen.join(", "))
    };
    let gradients = bytes("gradients", summary.gradients);
    facts.push(if trained.is_empty() { gradients } else { gradients.remark(trained) });
    facts.push(bytes("optimiser states", summary.optimizer));
    facts.push(bytes("kept, torch", summary.kept.torch).remark(if summary.bounds.is_empty() {
        "what PyTorch's autograd keeps: unique storages"
    } else {
        "what PyTorch's autograd keeps, a bound: unique storages"
    }));
    facts.push(
        bytes("kept, cnnkit", summary.kept.cnnkit)
            .remark("what cnnkit's own gradients read; not part of the total"),
    );
    facts.push(
        bytes("temporary", summary.temporary)
            .remark("the most of activations and their gradients that are not kept"),
    );
    facts.push(Fact::new("total", Cell::bytes(summary.total).tone(Tone::Strong)));
    let step = summary.peak_step.as_ref().map(|step| {
        let pass = match step.pass {
            Pass::Forward => "forward",
            Pass::Backward => "backward",
        };
        format!("at the {pass} step of {}", step.id)
    });
    facts.push(Fact { remark: step, ..Fact::new("peak", Cell::bytes(summary.peak).tone(Tone::Strong)) });
    facts.push(Fact::new("forward MACs", Value::Magnitude(summary.forward_macs)));
    facts.push(Fact::new("backward MACs", Value::Magnitude(summary.backward_macs)));
    if let Some(fit) = &summary.fit {
        let memory = number::bytes(fit.memory);
        facts.push(match (fit.batch, fit.peak) {
            (Some(batch), Some(peak)) => {
                let limit = if batch >= MOST_IMAGES { ", the largest that is tried" } else { "" };
                Fact::new("largest batch", Value::Count(batch))
                    .remark(format!("its peak is {} of {memory}{limit}", number::bytes(peak)))
            }
            _ => Fact::new("largest batch", Cell::toned("none", Tone::Bad))
                .remark(format!("one image exceeds {memory}")),
        });
    }
    facts
}

fn checkpoint(page: &mut Page, summary: &TrainSummary) {
    let plan = &summary.checkpoint;
    if plan.segments.is_empty() {
        page.text(nothing_to_do(plan));
        return;
    }
    let mut table = Table {
        name: "checkpoints",
        columns: vec![
            Column::text("run again from").key("first"),
            Column::text("to").key("last"),
            Column::text("keeps").key("input").optional(1),
            Column::number("saves").key("saved"),
            Column::number("MACs again").key("recomputed_macs"),
        ],
        rows: vec![],
    };
    for (index, segment) in plan.segments.iter().enumerate() {
        let cells = vec![
            Cell::toned(&segment.first, Tone::Name),
            Cell::toned(&segment.last, Tone::Name),
            Cell::text(&segment.input),
            Cell::bytes(segment.saved),
            Cell::magnitude(segment.recomputed_macs),
        ];
        table.rows.push(Row { hidden: index >= MOST_SEGMENTS, ..Row::new(cells) });
    }
    let more = plan.segments.len().saturating_sub(MOST_SEGMENTS);
    if more > 0 {
        let cells = vec![Cell::toned(format!("... {more} more"), Tone::Quiet)];
        table.rows.push(Row { cells, summary: true, ..Row::default() });
    }
    page.table(table);
    page.text(sentence(summary));
}

fn nothing_to_do(plan: &TrainCheckpoint) -> String {
    match plan.budget {
        Some(_) if plan.fits => "Checkpoints: none are needed, everything that is kept fits.".to_owned(),
        Some(_) => "Checkpoints: there is no segment that would save memory, and what is kept does not fit."
            .to_owned(),
        None => "Checkpoints: there is no segment that would save memory.".to_owned(),
    }
}

/// Returns what the checkpoints save and cost.
fn sentence(summary: &TrainSummary) -> String {
    let plan = &summary.checkpoint;
    let share = 100.0 * plan.recomputed_macs as f64 / summary.forward_macs.max(1) as f64;
    let (kept, without) = (number::bytes(plan.kept), number::bytes(summary.kept.torch));
    let goal = match (plan.budget, plan.fits) {
        (Some(budget), true) => format!("which fits into the {} that are left for it", number::bytes(budget)),
        (Some(budget), false) => {
            format!("which is the least, but more than the {} that are left for it", number::bytes(budget))
        }
        (None, _) => "which is the least that checkpoints reach".to_owned(),
    };
    let exact = if plan.exact {
        "No other choice of segments recomputes less"
    } else {
        "The search was cut off, so another choice may recompute less"
    };
    format!(
        "Checkpoints keep {kept} of {without}, {goal}, and run {} MACs again, {share:.1} % of the forward pass. {exact}.",
        number::magnitude(plan.recomputed_macs)
    )
}
