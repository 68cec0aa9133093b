//! What `cnnkit run` says: outputs, time, multiply-adds and memory, measured, beside what is predicted.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{Block, Cell, Column, Fact, Page, Row, Table, Value};
use cnnkit_core::analysis::memory;
use cnnkit_core::analysis::totals::{self, FLOPS_PER_MAC};
use cnnkit_core::diagnostic::{Code, Problem};
use cnnkit_core::graph::Graph;
use cnnkit_exec::fast::Plan;
use cnnkit_exec::network::Network;
use cnnkit_exec::run::{Run, Step};
use cnnkit_exec::tensor::Tensor;

/// Several runs of one network, of which the fastest is shown.
#[derive(Debug, Default)]
pub struct Measured {
    /// The fastest run.
    pub fastest: Option<Run<f32>>,
    /// Time of each run.
    pub times: Vec<Duration>,
}

fn total(steps: &[Step]) -> Duration {
    steps.iter().map(|step| step.time).sum()
}

/// What computed the network.
#[derive(Debug, Clone)]
pub struct Engine {
    /// `fast` or `definition`.
    pub kernels: &'static str,
    /// The vector instructions, for people.
    pub instructions: &'static str,
    /// Threads.
    pub threads: usize,
    /// Time to pack weights and plan buffers, once.
    pub planning: Duration,
    /// Bytes of buffers that hold activations, of packed weights and of what kernels use while they run.
    pub buffers: u64,
    /// See there.
    pub packed: u64,
    /// See there.
    pub scratch: u64,
}

impl Engine {
    /// The plain loops.
    pub fn definition() -> Self {
        Self {
            kernels: "definition",
            instructions: "plain code",
            threads: 1,
            planning: Duration::ZERO,
            buffers: 0,
            packed: 0,
            scratch: 0,
        }
    }

    /// The fast kernels, after they ran.
    pub fn fast(plan: &Plan<'_>, threads: usize, planning: Duration) -> Self {
        Self {
            kernels: "fast",
            instructions: plan.isa().name(),
            threads,
            planning,
            buffers: plan.buffer_bytes(),
            packed: plan.packed_bytes(),
            scratch: plan.scratch_bytes(),
        }
    }
}

impl Measured {
    /// One run more, and how long it took.
    pub fn add(&mut self, run: Run<f32>, time: Duration) {
        if self.times.iter().all(|&other| time < other) {
            self.fastest = Some(run);
        }
        self.times.push(time);
    }

    fn least(&self) -> Duration {
        self.times.iter().copied().min().unwrap_or_default()
    }

    /// The middle one; of an even number, the larger of the two.
    fn median(&self) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }
}

/// Bytes of weights and activations at once, as predicted.
fn predicted(graph: &Graph, batch: u64) -> (u64, u64) {
    let counts = totals::of_graph(graph);
    let peak = memory::peak(graph).map_or(0, |peak| peak.elements).saturating_mul(batch).saturating_mul(4);
    (counts.params.saturating_add(counts.buffers).saturating_mul(4), peak)
}

/// An error if the machine's memory will not do: an allocation that fails would end the program.
pub fn affordable(graph: &Graph, batch: u64) -> Result<(), Problem> {
    let (weights, peak) = predicted(graph, batch);
    // Weights are packed as well; inputs are kept for repeats, and kernels need room of their own.
    let needed = weights.saturating_mul(2).saturating_add(peak.saturating_mul(3));
    let available = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()?.checked_mul(1024)
    });
    // Where the system does not say, what a large workstation has.
    let available = available.unwrap_or(64 << 30);
    if needed > available {
        let message = format!(
            "running `{}` needs about {} of memory, {} is free",
            graph.name,
            cnnkit_core::number::bytes(needed),
            cnnkit_core::number::bytes(available)
        );
        return Err(Problem::new(Code::Limit, message).help("use a smaller --input or --batch"));
    }
    Ok(())
}

/// What an output holds, in a few figures.
struct Summary {
    least: f64,
    mean: f64,
    most: f64,
    deviation: f64,
    not_finite: u64,
}

fn summary(tensor: &Tensor<f32>) -> Summary {
    let finite = || tensor.data().iter().map(|&value| f64::from(value)).filter(|value| value.is_finite());
    let count = finite().count();
    let mean = finite().sum::<f64>() / count.max(1) as f64;
    let variance = finite().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count.max(1) as f64;
    Summary {
        least: finite().fold(f64::INFINITY, f64::min),
        mean,
        most: finite().fold(f64::NEG_INFINITY, f64::max),
        deviation: variance.sqrt(),
        not_finite: (tensor.len() - count) as u64,
    }
}

fn gflops(macs: u64, time: Duration) -> f64 {
    (macs * FLOPS_PER_MAC) as f64 / time.as_secs_f64().max(1e-9) / 1e9
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The measurements for people.
pub fn page(
    network: &Network<'_, f32>,
    measured: &Measured,
    engine: &Engine,
    batch: u64,
    profile: bool,
) -> Page {
    let graph = network.graph;
    let mut page = Page::default();
    let Some(run) = &measured.fastest else { return page };
    let inputs: Vec<String> = graph.inputs().map(|(_, node)| node.shape.to_string()).collect();
    page.title_with(&graph.name, format!("run on input {}, batch {batch}, f32", inputs.join(" and ")));
    let mut outputs = Table {
        columns: vec![
            Column::text("output"),
            Column::text("shape"),
            Column::number("min"),
            Column::number("mean"),
            Column::number("max"),
            Column::number("std"),
            Column::number("not finite"),
        ],
        rows: vec![],
    };
    for (&id, tensor) in graph.outputs.iter().zip(&run.outputs) {
        let summary = summary(tensor);
        let number = |value: f64| Cell::from(Value::Number(value, 6));
        outputs.rows.push(Row::new(vec![
            Cell::text(&graph.node(id).id),
            Cell::text(format!("{:?}", tensor.sizes())),
            number(summary.least),
            number(summary.mean),
            number(summary.most),
            number(summary.deviation),
            Cell::count(summary.not_finite),
        ]));
    }
    page.table(outputs);
    if let Some(classes) = run.outputs.first().and_then(classes) {
        page.title("largest of the first output, first image");
        page.table(classes);
    }
    if profile {
        page.title("layers");
        page.table(layers(graph, run));
    }
    page.push(Block::Facts(facts(network, measured, engine, run, batch)));
    page.note("GFLOP/s counts 2 FLOPs for each MAC, those on padding included, and nothing else; predicted figures are those of `cnnkit params`.");
    if profile && run.steps.iter().any(|step| step.host.is_some()) {
        page.note("Layers without a time are computed with the layer that is named, as it writes its output; a batch norm is part of its weights.");
    }
    page
}

/// The largest elements of what looks like scores of classes: one row of at least 10.
fn classes(tensor: &Tensor<f32>) -> Option<Table> {
    let scores = tensor.image(0);
    let row = tensor.image_sizes().first() == Some(&scores.len());
    if !row || scores.len() < 10 || scores.iter().any(|score| !score.is_finite()) {
        return None;
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    let most = f64::from(scores[order[0]]);
    let sum: f64 = scores.iter().map(|&score| (f64::from(score) - most).exp()).sum();
    let row = |&index: &usize| {
        let score = f64::from(scores[index]);
        Row::new(vec![
            Cell::count(index as u64),
            Value::Number(score, 6).into(),
            Value::Share((score - most).exp() / sum).into(),
        ])
    };
    let columns = vec![Column::number("index"), Column::number("value"), Column::number("softmax")];
    Some(Table { columns, rows: order[..5].iter().map(row).collect() })
}

fn layers(graph: &Graph, run: &Run<f32>) -> Table {
    let time = total(&run.steps);
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
    let row = |step: &Step| {
        let node = graph.node(step.node);
        let (macs, alone) = (step.counter.total(), step.host.is_none());
        let share = step.time.as_secs_f64() / time.as_secs_f64().max(1e-9);
        let rate = if macs == 0 { Cell::default() } else { Value::Number(gflops(macs, step.time), 2).into() };
        Row::new(vec![
            Cell::text(&node.id),
            Cell::text(node.op.name()),
            Cell::text(
                step.host
                    .map_or_else(|| step.kernel.to_owned(), |host| format!("with {}", graph.node(host).id)),
            ),
            if alone { Value::Number(milliseconds(step.time), 3).into() } else { Cell::default() },
            if alone { Value::Share(share).into() } else { Cell::default() },
            if macs == 0 { Cell::default() } else { Cell::magnitude(macs) },
            rate,
            Cell::bytes(step.alive),
        ])
    };
    Table { columns, rows: run.steps.iter().map(row).collect() }
}

fn facts(
    network: &Network<'_, f32>,
    measured: &Measured,
    engine: &Engine,
    run: &Run<f32>,
    batch: u64,
) -> Vec<Fact> {
    let graph = network.graph;
    let counts = totals::of_graph(graph);
    let (weights, peak) = predicted(graph, batch);
    let time = measured.least();
    let macs: u64 = run.steps.iter().map(|step| step.counter.total()).sum();
    let padding: u64 = run.steps.iter().map(|step| step.counter.padding).sum();
    let runs = measured.times.len();
    let remark = if runs > 1 {
        format!("fastest of {runs}, median {:.1} ms", milliseconds(measured.median()))
    } else {
        "one run, the first: `--repeat` shows what later ones take".to_owned()
    };
    let exact = cnnkit_core::number::grouped;
    let bytes = cnnkit_core::number::bytes;
    let mut facts = vec![
        Fact::new("time", Cell::text(format!("{:.1} ms", milliseconds(time)))).remark(remark),
        Fact::new("speed", Cell::text(format!("{:.2} GFLOP/s", gflops(macs, time)))),
        Fact::new("MACs", Cell::count(macs)).remark(match padding {
            0 => format!("predicted {}", exact(counts.macs.saturating_mul(batch))),
            _ => format!(
                "predicted {}; {} done, {} skipped because they are on padding",
                exact(counts.macs.saturating_mul(batch)),
                exact(macs - padding),
                exact(padding)
            ),
        }),
        Fact::new("kernels", Cell::text(engine.kernels)).remark(match engine.threads {
            1 => format!("{}, 1 thread", engine.instructions),
            threads => format!("{}, {threads} threads", engine.instructions),
        }),
        Fact::new("weights", Cell::bytes(network.bytes())).remark(format!(
            "{} elements, predicted {}",
            exact(network.elements()),
            exact(weights / 4)
        )),
        Fact::new("peak of activations", Cell::bytes(run.peak)).remark(format!("predicted {}", bytes(peak))),
    ];
    if engine.kernels == "fast" {
        facts.push(Fact::new("buffers", Cell::bytes(engine.buffers)).remark(format!(
            "hold the activations; and {} of packed weights, {} for kernels at work",
            bytes(engine.packed),
            bytes(engine.scratch)
        )));
    }
    if let Some(bytes) = resident_peak() {
        facts.push(
            Fact::new("process", Cell::bytes(bytes))
                .remark("most memory resident at once, the program included"),
        );
    }
    facts
}

/// Most memory of this process that was resident at once, where the system says it.
fn resident_peak() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The measurements for programs.
pub fn json(network: &Network<'_, f32>, measured: &Measured, engine: &Engine, batch: u64) -> Json {
    let graph = network.graph;
    let Some(run) = &measured.fastest else { return Json::Null };
    let (weights, peak) = predicted(graph, batch);
    let outputs = graph.outputs.iter().zip(&run.outputs).map(|(&id, tensor)| {
        let summary = summary(tensor);
        json!({
            "id": graph.node(id).id,
            "shape": tensor.sizes(),
            "min": summary.least,
            "mean": summary.mean,
            "max": summary.most,
            "std": summary.deviation,
            "not_finite": summary.not_finite,
        })
    });
    let layers = run.steps.iter().map(|step| {
        let node = graph.node(step.node);
        json!({
            "id": node.id,
            "op": node.op.name(),
            "kernel": step.kernel,
            "with": step.host.map(|host| &graph.node(host).id),
            "seconds": step.time.as_secs_f64(),
            "macs": step.counter.total(),
            "padding_macs": step.counter.padding,
            "sampling_macs": step.counter.sampling,
            "alive": step.alive,
        })
    });
    json!({
        "batch": batch,
        "dtype": "f32",
        "kernels": engine.kernels,
        "instructions": engine.instructions,
        "threads": engine.threads,
        "planning_seconds": engine.planning.as_secs_f64(),
        "flops_per_mac": FLOPS_PER_MAC,
        "outputs": outputs.collect::<Vec<_>>(),
        "seconds": measured.times.iter().map(Duration::as_secs_f64).collect::<Vec<_>>(),
        "macs": {
            "measured": run.steps.iter().map(|step| step.counter.total()).sum::<u64>(),
            "on_padding": run.steps.iter().map(|step| step.counter.padding).sum::<u64>(),
            "predicted": totals::of_graph(graph).macs.saturating_mul(batch),
        },
        "memory": {
            "weights": {"measured": network.bytes(), "predicted": weights},
            "peak": {"measured": run.peak, "predicted": peak},
            "buffers": engine.buffers,
            "packed_weights": engine.packed,
            "scratch": engine.scratch,
            "process": resident_peak(),
        },
        "layers": layers.collect::<Vec<_>>(),
    })
}
