//! The outputs of a run, by name, as written to files.

use crate::cli::load::Loaded;
use cnnkit_core::diagnostic::Problem;
use cnnkit_exec::tensor::Tensor;

/// Returns the outputs by their names; those of a model have the file's names and layout.
pub fn named(loaded: &Loaded, tensors: &[Tensor<f32>]) -> Result<(Vec<String>, Vec<Tensor<f32>>), Problem> {
    let graph = &loaded.graph;
    if let Some(model) = &loaded.model {
        let mut names: Vec<String> = model.outputs.iter().map(|output| output.name.clone()).collect();
        let tensors = model.outputs.iter().zip(tensors).map(|(output, tensor)| output.in_file(tensor));
        let mut tensors = tensors.collect::<Result<Vec<_>, _>>()?;
        for (place, name, dims) in &model.empty {
            let sizes: Vec<usize> = dims.iter().map(|&size| size as usize).collect();
            names.insert((*place).min(names.len()), name.clone());
            tensors.insert((*place).min(tensors.len()), Tensor::new(&sizes, vec![])?);
        }
        return Ok((names, tensors));
    }
    let mut names: Vec<String> = Vec::with_capacity(tensors.len());
    for (place, output) in graph.outputs().iter().enumerate() {
        // A node that is output several times is written for each.
        let earlier = graph.outputs()[..place].iter().filter(|other| *other == output).count();
        let id = &graph.node(*output).id;
        names.push(if earlier == 0 { id.clone() } else { format!("{id}#{}", earlier + 1) });
    }
    Ok((names, tensors.to_vec()))
}
