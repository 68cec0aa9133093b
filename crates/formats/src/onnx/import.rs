//! The import of a model file as a graph.

use std::collections::{HashMap, HashSet};

use super::bind::{Bindings, bind};
use super::constant::Constant;
use super::copies;
use super::declared::Declared;
use super::file_output::FileOutput;
use super::idle::Idle;
use super::inline::{flatten, opset};
use super::ir::{Draft, compact, without_identities};
use super::lower::{Lower, Tensor, Use, Value};
use super::names::{ModulePath, ids};
use super::patterns;
use super::proto::{DataType, ModelProto, TensorProto};
use super::quantisation::stand_for_others;
use super::read::{self, Failure};
use super::source::ModelSource;
use cnnkit_core::diagnostic::{Code, Diagnostic, Problem};
use cnnkit_core::graph::{Builder, Graph, NodeId, Unbuilt};
use cnnkit_core::source::{Origin, Sources};

/// The oldest supported operator set.
pub const OLDEST: i64 = 7;
/// The newest operator set that this version was written for; newer ones are tried, with a remark.
pub const NEWEST: i64 = 28;
/// Maximum number of errors that are reported.
const MAX_ERRORS: usize = 20;

/// A network that was read from a model, with the location of its weights.
#[derive(Debug)]
pub struct Imported {
    /// The network.
    pub graph: Graph,
    /// For each node, a constant for each weight that it declares; empty where a node uses another node's
    /// weights.
    pub weights: Vec<Vec<Constant>>,
    /// The stored tensors that the constants refer to.
    pub tensors: Vec<TensorProto>,
    /// The model's bytes.
    pub source: ModelSource,
    /// Where each of the file's inputs has the batch; none if it has no batch axis, so that it is the same for every image.
    pub batches: Vec<Option<usize>>,
    /// The file's outputs, in the order of the graph's.
    pub outputs: Vec<FileOutput>,
    /// Inputs whose channels come last in the file, and first here.
    pub channels_last: Vec<String>,
    /// Outputs without elements, which no node of the graph makes: place among the file's outputs, name, sizes.
    pub empty: Vec<(usize, String, Vec<u64>)>,
    /// For each node of the graph, the name of the file's node from which it was made, if that has one.
    pub nodes: Vec<Option<String>>,
    /// Remarks about the whole model.
    pub remarks: Vec<String>,
    /// The texts that its layers were written in, if the file has them.
    pub sources: Sources,
}

/// Reads the model of `source` and returns its graph.
///
/// # Errors
/// If the model is invalid; at most 20 flaws, each with the node's name.
pub fn load(source: impl Into<ModelSource>, bindings: &Bindings) -> Result<Imported, Vec<Diagnostic>> {
    let source = source.into();
    let model = open(&source).map_err(|problem| vec![diagnostic(problem)])?;
    import(model, source, bindings)
}

fn diagnostic(problem: Problem) -> Diagnostic {
    problem.in_layer("", &Origin::default())
}

/// Reads the messages of a model, without its large tensors.
pub fn open(source: &ModelSource) -> Result<ModelProto, Problem> {
    let shown = source.shown();
    let io = |error: std::io::Error| source.unreadable(&error);
    if source.file().is_some_and(std::path::Path::is_dir) {
        return Err(
            Problem::new(Code::Io, format!("`{shown}` is a folder")).help("name the .onnx file in it")
        );
    }
    let file = source.open().map_err(io)?;
    let model = read::read(file).map_err(|failure| match failure {
        Failure::Io(error) => io(error),
        Failure::Limit(message) => Problem::new(Code::Limit, format!("`{shown}`: {message}"))
            .help("no network is like this; is the file damaged?"),
        Failure::Malformed { message, place } => {
            let place = if place.is_empty() { String::new() } else { format!(" in {place}") };
            Problem::new(
                Code::Syntax,
                format!("`{shown}` is not an ONNX model, or damaged: {message}{place}"),
            )
            .help("copy it again; with git, `git lfs pull` fetches what a pointer file stands for")
        }
    })?;
    if model.graph.is_none() {
        return Err(Problem::new(Code::Missing, format!("`{shown}` has no graph"))
            .help("is it an ONNX model, and complete?"));
    }
    Ok(model)
}

/// Returns the graph of a model that was read from `source`.
///
/// # Errors
/// As for [`load`].
pub fn import(
    model: ModelProto,
    source: impl Into<ModelSource>,
    bindings: &Bindings,
) -> Result<Imported, Vec<Diagnostic>> {
    import_declared(model, source.into(), bindings, &Declared::default())
}

/// A graph of a model with what another format says of its stored tensors.
///
/// # Errors
/// As [`load`].
pub fn import_declared(
    mut model: ModelProto,
    source: ModelSource,
    bindings: &Bindings,
    declared: &Declared,
) -> Result<Imported, Vec<Diagnostic>> {
    let name = name(&model, &source);
    if declared.every {
        super::weights::recall_declared(&mut model, &source, declared);
    }
    if !declared.every || declared.values {
        super::weights::recall_all(&mut model, &source);
    }
    let mut channels_last = Vec::new();
    if !declared.every {
        channels_last = model.graph.as_mut().map(super::channels_last::moved).unwrap_or_default();
    }
    let Lowered { mut lower, outputs, inputs, batches } = lowered(model, bindings, declared)?;
    for name in &channels_last {
        lower.remark(format!(
            "the channels of the input `{name}` come last in the file: here its shape has them first, and arrays are as in the file"
        ));
    }
    let Finished { mut drafts, ends, outputs, empty } = finish(&mut lower, &outputs)?;
    let idle = if declared.every { Idle::of(&mut drafts, &lower, declared) } else { Idle::default() };
    let nodes = drafts.iter().map(|draft| super::inline::name_in(&draft.title).map(str::to_owned)).collect();
    let (graph, weights) = build(&name, drafts, ends, &inputs, &mut lower, &idle, &source)?;
    Ok(Imported {
        graph,
        weights,
        tensors: lower.tensors,
        source,
        batches,
        outputs,
        channels_last,
        empty,
        nodes,
        remarks: lower.remarks,
        sources: Sources::default(),
    })
}

impl Imported {
    /// Reads the network's weights, one tensor per weight, by full name.
    ///
    /// # Errors
    /// If a weight is missing, has another size than declared, or lies outside the model's folder.
    pub fn load_weights(&self) -> Result<HashMap<String, cnnkit_exec::tensor::Tensor<f32>>, Problem> {
        super::weights::load(&self.graph, &self.weights, &self.tensors, &self.source)
    }
}

/// Returns the graph's name or, if that is an exporter's default, the file's name without its extension.
fn name(model: &ModelProto, source: &ModelSource) -> String {
    let stem = source.stem();
    if !stem.is_empty() {
        return stem;
    }
    let name = model.graph.as_ref().map(|graph| graph.name.clone()).unwrap_or_default();
    if name.is_empty() { source.shown() } else { name }
}

/// A model whose nodes are lowered.
struct Lowered {
    lower: Lower,
    /// The names of the outputs.
    outputs: Vec<String>,
    /// The names of the inputs, whose drafts come first.
    inputs: Vec<String>,
    /// Where each of them has the batch.
    batches: Vec<Option<usize>>,
}

/// Lowers all nodes.
fn lowered(
    mut model: ModelProto,
    bindings: &Bindings,
    declared: &Declared,
) -> Result<Lowered, Vec<Diagnostic>> {
    let one = |problem: Problem| vec![diagnostic(problem)];
    let mut graph = model.graph.take().unwrap_or_default();
    let version = opset(&model.opset_import).unwrap_or(1);
    if let (None, Some(other)) = (opset(&model.opset_import), model.opset_import.first()) {
        let message =
            format!("not supported: the operators of `{}`, the only ones that the model uses", other.domain);
        return Err(one(Problem::new(Code::InvalidValue, message)
            .help("networks of ONNX's own operators are analysed, not trees, scalers and the like")));
    }
    if version < OLDEST {
        let message =
            format!("not supported: operator set {version}; the oldest that is understood is {OLDEST}");
        return Err(one(Problem::new(Code::InvalidValue, message)
            .help("`onnx.version_converter.convert_version(model, 17)` brings it up to date")));
    }
    let mut lower =
        Lower { room: 1 << 25, exact: declared.every, origins: declared.origins.clone(), ..Lower::default() };
    if version > NEWEST {
        lower.remark(format!(
            "the model uses operator set {version}; this version of cnnkit knows up to {NEWEST}"
        ));
    }
    if !declared.every && !graph.initializer.iter().any(is_weight) {
        let parameters = super::provenance::parameters_among_inputs(&mut graph);
        if parameters > 0 {
            lower.remark(format!(
                "{parameters} inputs of the file are parameters, exported without their values: they are counted; `run` needs `--weights FILE`"
            ));
        }
    }
    let stored: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let given: Vec<_> = graph.input.iter().filter(|input| !stored.contains(input.name.as_str())).collect();
    if given.is_empty() {
        return Err(one(
            Problem::new(Code::Missing, "the model has no inputs").help("every network reads something")
        ));
    }
    let bound = bind(&given, &graph.value_info, &graph.output, bindings).map_err(one)?;
    lower.batch = bound.batch;
    lower.stated = bound.stated;
    let (mut names, batches) = (Vec::new(), bound.inputs.iter().map(|input| input.batch).collect());
    for input in bound.inputs {
        let draft = lower.drafts.len();
        let shape = super::lower::shape(&input.dims, input.batch);
        lower.drafts.push(Draft {
            place: ModulePath::default(),
            title: format!("the input `{}`", input.name),
            layer: None,
            inputs: vec![],
            shape,
            weights: vec![],
            origin: lower.origins.whole.clone(),
        });
        if stand_for_others(input.data_type) {
            lower.whole.insert(draft, input.data_type);
        }
        let tensor = Tensor { draft, dims: input.dims, batch: input.batch };
        lower.values.insert(input.name.clone(), Value::Tensor(tensor));
        names.push(input.name);
    }
    lower.joined = super::joined::joined(&graph);
    // An exported program says itself what is learned.
    let fixed =
        if declared.every { declared.buffers.clone() } else { super::provenance::no_parameters(&graph) };
    let made = super::provenance::made(&graph);
    if !declared.every {
        lower.exporters = super::provenance::exporters(&graph);
        lower.folded = super::provenance::folded(&graph);
        super::provenance::unstored(&graph).into_iter().for_each(|remark| lower.remark(remark));
        super::provenance::computed(&graph).into_iter().for_each(|remark| lower.remark(remark));
    }
    let single = if declared.every {
        HashSet::new()
    } else {
        super::provenance::single_parameters(&graph, &model.producer_name)
    };
    let outputs: Vec<String> = graph.output.iter().map(|output| output.name.clone()).collect();
    lower.returned = outputs.iter().cloned().collect();
    for value in graph.input.iter().chain(&graph.value_info).chain(&graph.output) {
        let stated = value.r#type.as_ref().and_then(|stated| stated.tensor_type.as_ref());
        if let Some(data_type) = stated.and_then(|stated| DataType::try_from(stated.elem_type).ok()) {
            lower.types.insert(value.name.clone(), data_type);
        }
    }
    if outputs.is_empty() {
        return Err(one(
            Problem::new(Code::Missing, "the model has no outputs").help("every network returns something")
        ));
    }
    let mut known: HashSet<&str> = stored.clone();
    known.extend(names.iter().map(String::as_str));
    known.extend(
        graph.sparse_initializer.iter().filter_map(|tensor| Some(tensor.values.as_ref()?.name.as_str())),
    );
    let items = flatten(
        graph.node,
        &model.functions,
        version,
        &|name| known.contains(name),
        &outputs.iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .map_err(one)?;
    if let Some(missing) = outputs.iter().find(|name| !known.contains(name.as_str()) && !makes(&items, name))
    {
        let message = format!("the output `{missing}` is made by no node");
        return Err(one(
            Problem::new(Code::Reference, message).help("the file is damaged or cut out of a larger model")
        ));
    }
    if !declared.every {
        unused(&mut lower, &items, &graph.initializer, &outputs);
    }
    lower.blocks = super::blocks::survey(&items, &graph.initializer);
    for sparse in graph.sparse_initializer.iter().filter_map(|tensor| tensor.values.as_ref()) {
        lower.values.insert(sparse.name.clone(), Value::Unknown("a sparse weight".into()));
    }
    for tensor in graph.initializer {
        if fixed.contains(&tensor.name) {
            lower.fixed.insert(lower.tensors.len());
        }
        if made.contains(&tensor.name) {
            lower.made.insert(lower.tensors.len());
        }
        if single.contains(&tensor.name) {
            lower.single.insert(lower.tensors.len());
        }
        lower.add_stored(tensor).map_err(one)?;
    }
    // Paddle and spox store all weights in nodes.
    lower.weights_in_nodes = !declared.every && !lower.tensors.iter().any(is_weight);
    let mut errors = Vec::new();
    for item in &items {
        if let Err(problem) = lower.node(Use { node: &item.node, opset: item.opset }) {
            errors.push(problem.in_layer("", &lower.origin));
            for output in &item.node.output {
                lower.values.insert(output.clone(), Value::Unknown("an error before it".into()));
            }
            if errors.len() >= MAX_ERRORS {
                break;
            }
        }
    }
    if errors.is_empty() { Ok(Lowered { lower, outputs, inputs: names, batches }) } else { Err(errors) }
}

/// Returns whether a stored tensor is a weight, not a setting.
fn is_weight(tensor: &TensorProto) -> bool {
    use super::proto::DataType as D;
    let float = matches!(
        D::try_from(tensor.data_type),
        Ok(D::Float | D::Float16 | D::Bfloat16 | D::Double | D::Int8 | D::Uint8)
    );
    float && super::constant::sizes(&tensor.dims).is_ok_and(|dims| dims.iter().any(|&size| size > 1))
}

fn makes(items: &[super::inline::Item], name: &str) -> bool {
    items.iter().any(|item| item.node.output.iter().any(|output| output == name))
}

/// Adds remarks about stored tensors that no node reads.
fn unused(lower: &mut Lower, items: &[super::inline::Item], stored: &[TensorProto], outputs: &[String]) {
    let read: HashSet<&str> = items
        .iter()
        .flat_map(|item| super::inline::reads(&item.node))
        .chain(outputs.iter().map(String::as_str))
        .collect();
    let idle: Vec<&TensorProto> =
        stored.iter().filter(|tensor| !read.contains(tensor.name.as_str())).collect();
    if let Some(first) = idle.first() {
        let elements = |tensor: &&TensorProto| -> u64 {
            tensor.dims.iter().fold(1u64, |product, &size| product.saturating_mul(size.unsigned_abs()))
        };
        let total = idle.iter().map(elements).fold(0u64, u64::saturating_add);
        let which = if idle.len() == 1 {
            format!("`{}`", first.name)
        } else {
            format!("`{}` and others", first.name)
        };
        lower.remark(format!(
            "{} stored tensor{} with {total} elements {} read by nothing and not counted: {which}",
            idle.len(),
            if idle.len() == 1 { "" } else { "s" },
            if idle.len() == 1 { "is" } else { "are" },
        ));
    }
}

/// The network before it becomes a graph.
struct Finished {
    drafts: Vec<Draft>,
    /// The drafts of the outputs.
    ends: Vec<usize>,
    outputs: Vec<FileOutput>,
    /// Outputs without elements: place in the file, name, sizes.
    empty: Vec<(usize, String, Vec<u64>)>,
}

/// Recognises patterns and removes dead layers.
fn finish(lower: &mut Lower, names: &[String]) -> Result<Finished, Vec<Diagnostic>> {
    let (mut ends, mut outputs, mut empty) = (Vec::new(), Vec::new(), Vec::new());
    for name in names {
        let tensor = match lower.values.get(name).cloned() {
            Some(Value::Tensor(tensor)) => Some(tensor),
            Some(Value::Constant(constant)) => super::lower::constant_output(lower, name, &constant),
            Some(Value::Unknown(_)) | None => None,
        };
        let draft = tensor.as_ref().map(|tensor| tensor.draft).or_else(|| lower.unknown.get(name).copied());
        let Some(draft) = draft else {
            lower.remark(format!("the output `{name}` has no elements; only `run` writes it"));
            let dims = match lower.values.get(name) {
                Some(Value::Constant(constant)) => constant.dims.clone(),
                _ => vec![0],
            };
            empty.push((outputs.len() + empty.len(), name.clone(), dims));
            continue;
        };
        ends.push(draft);
        let (dims, batch) = tensor.map_or((None, None), |tensor| (Some(tensor.dims), tensor.batch));
        let constant = !lower.moves(draft);
        // What the file declares as real numbers was dequantised on the way.
        let whole = lower.types.get(name).is_none_or(|&data_type| stand_for_others(data_type));
        let quantised = lower.quantised.get(name).copied().filter(|_| whole);
        outputs.push(FileOutput { name: name.clone(), dims, batch, constant, quantised });
    }
    let mut drafts = std::mem::take(&mut lower.drafts);
    if ends.is_empty() {
        let message = "no output of the model can be analysed: every output is a constant without elements";
        let problem = Problem::new(Code::InvalidValue, message);
        return Err(vec![diagnostic(problem.help("a network computes something of what it is given"))]);
    }
    // Removed first, so that dead layers do not count as readers.
    drafts = compact(drafts, &mut ends);
    patterns::recognise(&mut drafts, &ends, lower.exact);
    without_identities(&mut drafts, &mut ends);
    let drafts = compact(drafts, &mut ends);
    Ok(Finished { drafts, ends, outputs, empty })
}

/// Builds the graph; returns it with the weights of each node.
fn build(
    name: &str,
    drafts: Vec<Draft>,
    outputs: Vec<usize>,
    inputs: &[String],
    lower: &mut Lower,
    idle: &Idle,
    source: &ModelSource,
) -> Result<(Graph, Vec<Vec<Constant>>), Vec<Diagnostic>> {
    let places: Vec<ModulePath> =
        drafts.iter().filter(|draft| draft.layer.is_some()).map(|draft| draft.place.clone()).collect();
    let mut names =
        inputs.iter().cloned().chain(ids(&places, &inputs.iter().map(String::as_str).collect::<Vec<_>>()));
    let mut builder = Builder::new();
    let mut owners: HashMap<String, NodeId> = HashMap::new();
    let mut weights = Vec::with_capacity(drafts.len());
    for draft in &drafts {
        let id = names.next().unwrap_or_default();
        let Some(layer) = &draft.layer else {
            builder.input(&id, draft.shape.clone(), draft.origin.clone());
            weights.push(vec![]);
            continue;
        };
        let reads = draft.inputs.iter().map(|&input| NodeId::new(input)).collect();
        // Layers with the same stored weights share them.
        let key = draft.shared(&drafts);
        let owner = key.as_ref().and_then(|key| owners.get(key).copied());
        let node = builder.layer(&id, layer.clone(), reads, owner, draft.origin.clone());
        let fixed = || draft.weights.iter().enumerate().filter(|(_, weight)| !lower.is_learned(weight));
        let freezable = cnnkit_core::layers::FREEZABLE.contains(&layer.doc().name);
        if freezable && !draft.weights.is_empty() && fixed().count() == draft.weights.len() {
            builder.freeze(node);
        } else {
            fixed().for_each(|(index, _)| builder.fix(node, index));
        }
        weights.push(if owner.is_some() { vec![] } else { draft.weights.clone() });
        if let (Some(key), None) = (key, owner) {
            owners.insert(key, node);
        }
    }
    // First: what counts beyond a weight goes before what counting finds.
    idle.count(&mut builder);
    let copies = if lower.exact { vec![] } else { copies::of_weights(&weights, lower, source) };
    let shared = super::counting::count(&mut builder, &weights, &lower.tensors, &copies);
    copies::remarks(&copies, &lower.tensors).into_iter().for_each(|remark| lower.remark(remark));
    if shared > 0 {
        let plural = if shared == 1 { " is" } else { "s are" };
        lower.remark(format!("{shared} stored tensor{plural} used by several layers and counted once"));
    }
    let graph =
        builder.finish(name, outputs.into_iter().map(NodeId::new).collect()).map_err(Unbuilt::into_flaws)?;
    let params = cnnkit_core::analysis::totals::of_graph(&graph).params;
    let learned = weights.iter().flatten().filter(|weight| lower.is_learned(weight));
    let roots = learned.flat_map(|weight| weight.root.iter().chain(&weight.sources));
    let counted: HashSet<&str> = roots
        .filter(|root| !lower.fixed.contains(root))
        .filter_map(|&root| lower.tensors.get(root).map(|tensor| tensor.name.as_str()))
        .collect();
    if let Some(remark) = lower.joined.remark(params, |name| counted.contains(name)) {
        lower.remark(remark);
    }
    Ok((graph, weights))
}
