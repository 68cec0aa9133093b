//! `cnnkit run`

use std::time::{Duration, Instant};

use crate::cli::load::{self, Loaded, Replace};
use crate::cli::outputs;
use crate::cli::progress::Progress;
use crate::cli::{Failure, machine};
use cnnkit_core::diagnostic::Problem;
use cnnkit_core::graph::{Graph, NodeId};
use cnnkit_core::shape::Shape;
use cnnkit_exec::fast::Plan;
use cnnkit_exec::network::{Fill, Network, random_inputs, weight_sizes};
use cnnkit_exec::run::{Reference, Run};
use cnnkit_exec::tensor::Tensor;
use cnnkit_formats::arrays;
use cnnkit_formats::pictures::{self, Normalize};
use cnnkit_report::Report;
use cnnkit_report::imported::Figures;
use cnnkit_report::run::{self, Context, Engine, Measured};

/// Run the network on the CPU and measure time, MACs and memory
///
/// Computes in f32, with weights from a file or seeded ones that are the same on every machine, and shows the outputs,
/// the time, the multiply-adds that were done and the memory that was used, beside what `params` predicts.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cnnkit run zoo:resnet18 --input 3,64,64                  noise, seeded weights
  cnnkit run net.yaml --input cat.png --normalize imagenet --weights net.safetensors
  cnnkit run net.yaml --input image.npy -o out.npy         [C, H, W] or [batch, C, H, W]
  cnnkit run zoo:resnet50 --repeat 20 --profile --threads 1
  cnnkit run net.yaml --save-weights net.npz               keep the seeded weights")]
pub struct Args {
    /// The network: a spec file (.yaml), a model (.onnx, .pt2), `zoo:NAME`, or `-` for standard input
    #[arg(value_name = "SPEC")]
    spec: String,
    /// The input: a shape without the batch axis, a .npy, PNG or JPEG file, or `random`; `NAME=` in front if there are
    /// several inputs
    #[arg(long, value_name = "[NAME=]C,H,W|FILE|random", value_parser = input)]
    input: Vec<(String, Input)>,
    /// Replace a variable of the spec, or an open size of a model
    #[arg(long, value_name = "NAME=VALUE", value_parser = load::assignment)]
    set: Vec<(String, String)>,
    /// Normalisation of the pixels of a picture, after it was resized to the input and scaled to 0..1
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    normalize: Normalize,
    /// Seed of the weights and of random data
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Batch size; a picture is repeated
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: Option<u32>,
    /// Run N times and show the fastest
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    repeat: u32,
    /// Show the time of every layer
    #[arg(long)]
    profile: bool,
    /// Number of threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Kernels that compute the layers
    #[arg(long, value_enum, default_value_t, value_name = "KIND")]
    kernels: Kernels,
    /// Load the weights from a .npz or .safetensors file
    #[arg(long, value_name = "FILE")]
    weights: Option<String>,
    /// Write the weights to a .npz or .safetensors file
    #[arg(long, value_name = "FILE")]
    save_weights: Option<String>,
    /// The file of `-o`, if it is for tensors.
    #[arg(skip)]
    pub tensors: Option<String>,
}

/// The code that computes the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Kernels {
    /// Vectorised and fused, on all threads
    #[default]
    Fast,
    /// The definition of each layer in plain loops
    Definition,
}

/// A value of `--input`.
#[derive(Debug, Clone)]
enum Input {
    Shape(Vec<u64>),
    Random,
    File(String),
}

fn input(text: &str) -> Result<(String, Input), String> {
    let (name, value) = text.split_once('=').unwrap_or(("", text));
    let sized = |c: char| c.is_ascii_digit() || ",[] ".contains(c);
    let input = match value {
        "" => return Err("expected a shape C,H,W, a file or `random`".into()),
        "random" => Input::Random,
        shape if shape.chars().all(sized) => Input::Shape(load::input_shape(shape)?.1),
        file => Input::File(file.to_owned()),
    };
    Ok((name.to_owned(), input))
}

/// Returns the failure of a run.
pub fn failed(problem: Problem) -> Failure {
    Failure::Usage(problem.message, problem.help)
}

/// Reads one tensor from a file for an input of the network.
fn read(args: &Args, path: &str, graph: &Graph, id: NodeId) -> Result<Tensor<f32>, Failure> {
    let shape = &graph.node(id).shape;
    let extension = std::path::Path::new(path).extension().and_then(|end| end.to_str()).unwrap_or("");
    let tensor = match extension.to_ascii_lowercase().as_str() {
        "npy" => {
            fits(path, &arrays::npy_sizes(path).map_err(failed)?, graph, shape)?;
            arrays::read_npy(path).map_err(failed)?
        }
        "png" | "jpg" | "jpeg" => pictures::read(path, shape, args.normalize).map_err(failed)?,
        _ => {
            return Err(Failure::usage(
                format!("`{path}` is neither an input shape nor a file that can be read"),
                "`--input` is a shape such as 3,224,224, a .npy, .png or .jpg file, or `random`",
            ));
        }
    };
    if tensor.sizes().is_empty() {
        // A scalar becomes a list of one element.
        return tensor.reshaped(&[1, 1]).map_err(failed);
    }
    // One image without a batch axis becomes a batch of one, or of the requested size.
    let alone = tensor.sizes().len() == shape.rank();
    let sizes = [&[1], tensor.sizes()].concat();
    let tensor = if alone { tensor.reshaped(&sizes).map_err(failed)? } else { tensor };
    match args.batch {
        Some(batch) if tensor.batch() == 1 && batch > 1 => {
            let sizes = [&[batch as usize], tensor.image_sizes()].concat();
            Tensor::new(&sizes, tensor.data().repeat(batch as usize)).map_err(failed)
        }
        _ => Ok(tensor),
    }
}

/// Whether a network can run on an array of these sizes, before it is read: `[C, H, W]`, or a batch of such images.
fn fits(path: &str, sizes: &[usize], graph: &Graph, shape: &Shape) -> Result<(), Failure> {
    let batch = if sizes.len() == shape.rank() + 1 { sizes[0] as u64 } else { 1 };
    if batch == 0 {
        return Err(Failure::usage(
            format!("`{path}` {sizes:?} is a batch of 0 images"),
            "give at least one image",
        ));
    }
    let given = sizes.iter().try_fold(1u64, |product, &size| product.checked_mul(size as u64));
    let wanted = shape.sizes().iter().try_fold(batch, |product, &size| product.checked_mul(size));
    if given.is_none() || given != wanted {
        return Err(Failure::usage(
            format!("`{path}` has the sizes {sizes:?}, the input is {shape}"),
            "give an array [C, H, W], or [batch, C, H, W] for several images",
        ));
    }
    run::affordable(graph, batch, machine::available_memory()).map_err(failed)
}

/// The inputs: random ones, of which those that are given as files are replaced. What has no batch axis in the file is the
/// same for every image.
fn inputs(args: &Args, loaded: &Loaded) -> Result<Vec<Tensor<f32>>, Failure> {
    let graph = &loaded.graph;
    let alike = |place: usize| {
        loaded.model.as_ref().is_some_and(|model| model.batches.get(place).is_some_and(Option::is_none))
    };
    let all: Vec<NodeId> = graph.inputs().map(|(id, _)| id).collect();
    let mut given: Vec<(usize, Tensor<f32>)> = Vec::new();
    for (name, input) in &args.input {
        let Input::File(path) = input else { continue };
        let place = match name.as_str() {
            "" => 0,
            name => all.iter().position(|&id| graph.node(id).id == name).ok_or_else(|| {
                let names: Vec<&str> = all.iter().map(|&id| graph.node(id).id.as_str()).collect();
                let help = match names.as_slice() {
                    [only] => format!("the only input is `{only}`"),
                    names => format!("the inputs are {}", names.join(", ")),
                };
                Failure::usage(format!("there is no input `{name}`"), help)
            })?,
        };
        let tensor = read(args, path, graph, all[place])?;
        // Arrays are in the file's layout; pictures are read into the network's.
        let last = loaded
            .model
            .as_ref()
            .is_some_and(|model| model.channels_last.iter().any(|name| *name == graph.node(all[place]).id));
        let moved = last && arrays::is(path, "npy");
        given.push((place, if moved { tensor.with_channels_first() } else { tensor }));
    }
    let batched = given.iter().find(|(place, _)| !alike(*place));
    let batch = batched.map_or(args.batch.unwrap_or(1) as usize, |(_, tensor)| tensor.batch());
    run::affordable(graph, batch as u64, machine::available_memory()).map_err(failed)?;
    let mut inputs = random_inputs(graph, batch, args.seed).map_err(failed)?;
    for (place, tensor) in given {
        inputs[place] = if alike(place) && tensor.batch() == 1 && batch > 1 {
            let sizes = [&[batch], tensor.image_sizes()].concat();
            Tensor::new(&sizes, tensor.data().repeat(batch)).map_err(failed)?
        } else {
            tensor
        };
    }
    Ok(inputs)
}

/// Runs the network `repeat` times with one engine.
fn measure(
    repeat: u32,
    graph: &Graph,
    mut run: impl FnMut(&mut dyn FnMut(NodeId)) -> Result<Run<f32>, Problem>,
) -> Result<Measured, Failure> {
    let progress = Progress::start("running");
    let total: u64 = graph.nodes().iter().map(|node| node.cost.macs).fold(0, u64::saturating_add).max(1);
    let mut measured = Measured::default();
    for finished in 0..u64::from(repeat) {
        let mut done = 0u64;
        let mut tell = |id: NodeId| {
            let share = (done as f64 / total as f64).min(1.0);
            progress.at((1000.0 * (finished as f64 + share) / f64::from(repeat)) as u64);
            done = done.saturating_add(graph.node(id).cost.macs);
        };
        let start = Instant::now();
        let result = run(&mut tell).map_err(failed)?;
        measured.add(result, start.elapsed());
    }
    Ok(measured)
}

fn execute(
    args: &Args,
    network: &Network<'_, f32>,
    inputs: &[Tensor<f32>],
) -> Result<(Measured, Engine), Failure> {
    if args.kernels == Kernels::Definition {
        let run = |tell: &mut dyn FnMut(NodeId)| network.run(inputs.to_vec(), &Reference, tell);
        return Ok((measure(args.repeat, network.graph, run)?, Engine::definition()));
    }
    fast(network, inputs, args.repeat)
}

/// Runs the network `repeat` times with the fast kernels, on the threads of the current pool.
pub fn fast(
    network: &Network<'_, f32>,
    inputs: &[Tensor<f32>],
    repeat: u32,
) -> Result<(Measured, Engine), Failure> {
    let start = Instant::now();
    let mut plan = Plan::new(network, inputs.first().map_or(1, Tensor::batch)).map_err(failed)?;
    let planning: Duration = start.elapsed();
    let measured = measure(repeat, network.graph, |tell| plan.run(inputs, tell))?;
    Ok((measured, Engine::fast(&plan, rayon::current_num_threads(), planning)))
}

/// Loads the network; the given arrays determine the open sizes of a model.
fn load(args: &Args, replace: &Replace) -> Result<Loaded, Failure> {
    let loader = replace.loader(std::slice::from_ref(&args.spec))?;
    let failure = match loader.load(&args.spec) {
        Ok(network) => return Ok(network),
        Err(error) => Failure::from(error),
    };
    let sizes = |(name, input): &(String, Input)| {
        let Input::File(path) = input else { return None };
        let sizes = arrays::npy_sizes(path).ok().filter(|_| arrays::is(path, "npy"))?;
        Some((name.clone(), sizes.iter().map(|&size| size as u64).collect::<Vec<u64>>()))
    };
    let arrays: Vec<(String, Vec<u64>)> = args.input.iter().filter_map(sizes).collect();
    let is_spec = args.spec.starts_with("zoo:")
        || [".yaml", ".yml"].iter().any(|end| args.spec.to_ascii_lowercase().ends_with(end));
    if arrays.is_empty() || is_spec {
        return Err(failure);
    }
    // An array has a batch in front, or is one image, whose channels may come last, as in the file.
    for (batch, last) in [(1, false), (1, true), (0, false), (0, true)] {
        let mut given = loader.clone();
        for (name, sizes) in &arrays {
            let mut image = if sizes.len() > 1 { sizes[batch..].to_vec() } else { sizes.clone() };
            // A single number has no sizes to turn.
            if last && !image.is_empty() {
                image.rotate_right(1);
            }
            given = given.input(name.clone(), image);
        }
        if let Ok(network) = given.load(&args.spec) {
            return Ok(network);
        }
    }
    Err(failure)
}

/// Runs the command.
pub fn run(args: Args) -> Result<Report, Failure> {
    let shapes = args.input.iter().filter_map(|(name, input)| match input {
        Input::Shape(shape) => Some((name.clone(), shape.clone())),
        _ => None,
    });
    let replace = Replace { input: shapes.collect(), set: args.set.clone(), arg: vec![] };
    let loaded = load(&args, &replace)?;
    let graph = &loaded.graph;
    if let Some(path) = args.tensors.as_ref().filter(|path| arrays::is(path, "npy"))
        && graph.outputs().len() > 1
    {
        return Err(Failure::usage(
            format!("`{path}` holds one tensor, the network has {} outputs", graph.outputs().len()),
            "write a .npz file: it holds them by name",
        ));
    }
    let inputs = inputs(&args, &loaded)?;
    let batch = inputs.first().map_or(1, Tensor::batch);
    let given = match &args.weights {
        Some(path) => {
            let wanted = weight_sizes(graph).map_err(failed)?;
            Some(arrays::read_wanted(path, &wanted).map_err(failed)?)
        }
        None => loaded.weights().map_err(failed)?,
    };
    let network = match given {
        Some(weights) => Network::of_weights(graph, weights),
        None => Network::<f32>::seeded(graph, args.seed, Fill::Declared),
    };
    let network = network.map_err(failed)?;
    if let Some(path) = &args.save_weights {
        let named = network.named().map(|(name, _, _, tensor)| (name, tensor.as_ref()));
        arrays::write_weights(path, named).map_err(failed)?;
    }
    let threads = args.threads.map_or(0, usize::from);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|error| {
        Failure::usage(format!("cannot start {threads} threads: {error}"), "use fewer `--threads`")
    })?;
    let (measured, engine) = pool.install(|| execute(&args, &network, &inputs))?;
    if let (Some(path), Some(run)) = (&args.tensors, &measured.fastest) {
        let (names, tensors) = outputs::named(&loaded, &run.outputs).map_err(failed)?;
        match tensors.as_slice() {
            [only] if arrays::is(path, "npy") => arrays::write_npy(path, only).map_err(failed)?,
            _ => arrays::write_weights(path, names.into_iter().zip(&tensors)).map_err(failed)?,
        }
    }
    let context = Context { batch: batch as u64, process: machine::resident_peak(), profile: args.profile };
    let import = loaded.import(Figures::Counts);
    let found = run::summary(&network, &measured, &engine, &context, import).map_err(failed)?;
    Ok(Report::of_networks(vec![loaded.entry(found)]))
}
